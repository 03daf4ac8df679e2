"""Evaluates a fine-tuned model on held-out examples: batches, metrics and report from one pass."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.answers import answers_of
from bert_tf.tasks.base import Report, Task
from bert_tf.tasks.examples import Examples


class HeldOut:
    """What evaluation needs of held-out examples: `batches` to pass over, `rate` for the outputs.

    The outputs of the last pass are kept: thresholds are tuned and the report is made from them.
    """

    def __init__(
        self,
        task: Task,
        examples: Examples,
        description: ModelDescription,
        *,
        tokenizer: Tokenizer,
        batch_size: int,
        group_by_length: bool = False,
        num_replicas: int = 1,
    ) -> None:
        self._task, self._examples, self._description = task, examples, description
        self._tokenizer = tokenizer
        self._outputs: Any = None
        self._outcomes: Outcomes | None = None
        batches = task.batches(
            task.encode(examples, description, tokenizer=tokenizer),
            batch_size=batch_size,
            group_by_length=group_by_length,
            num_parts=num_replicas,
        )
        self.batches = functools.cache(batches.one_pass)

    def predict(self, model: keras.Model, batch: Mapping[str, tf.Tensor]) -> Any:
        """What `rate` gets of a batch; see `Evaluation`."""
        return self._task.predict(model, batch, self._description, tokenizer=self._tokenizer)

    def rate(self, outputs: Any) -> dict[str, float]:
        """Metrics of the model's outputs on all examples; see `Evaluation`."""
        self._outputs = outputs
        self._outcomes = self._decoded()
        return self._task.measure(self._outcomes)

    def tuned(self) -> ModelDescription:
        """The description with what the task chooses by the outputs of the last pass."""
        tuned = self._task.tune(self._of_last_pass(), self._description)
        if tuned != self._description:
            self._description = tuned
            self._outcomes = self._decoded()
        return tuned

    def report(self, directory: Path) -> Report:
        """All metrics of the last pass with their intervals; picture and table in `directory`."""
        outcomes = self._of_last_pass()
        report = self._task.report(outcomes, directory)
        measured = self._task.measure(outcomes) | self._task.intervals(outcomes)
        return Report(metrics={**measured, **report.metrics}, files=report.files)

    def _of_last_pass(self) -> Outcomes:
        if self._outcomes is None:
            raise LookupError("Held-out examples must be passed over first. Received: no pass yet.")
        return self._outcomes

    def _decoded(self) -> Outcomes:
        answers = answers_of(
            self._task, self._outputs, self._description, tokenizer=self._tokenizer
        )
        return self._task.outcomes(self._examples, answers)
