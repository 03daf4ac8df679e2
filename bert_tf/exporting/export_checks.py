"""Checks of an export: what is meant to be equal is compared as equal, the rest within a bound.

float32         served graph = model in memory, alone = in a batch
bfloat16, int8  the same of the graph in float32, which is written for that; then the export
                beside float32: labels, numbers within `BOUNDS`, metrics if there is a table
"""

import dataclasses
import functools
import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from bert_tf.exporting.accuracy import check_metrics, measure
from bert_tf.exporting.batching_check import Batch, make_batches
from bert_tf.exporting.closeness import CLOSENESS
from bert_tf.exporting.precision import BOUNDS, compare_with_float32
from bert_tf.exporting.servability import Answers, Check, Report, check_servability
from bert_tf.exporting.signatures import ServingModel
from bert_tf.exporting.source import Source
from bert_tf.exporting.warmup import WarmupRequest
from bert_tf.tasks.base import Task
from bert_tf.tasks.examples import Examples
from bert_tf.tasks.table import task_of

log = logging.getLogger(__name__)

Write = Callable[[ServingModel, Path, Sequence[WarmupRequest]], None]


@dataclasses.dataclass(frozen=True)
class ExportChecker:
    """Checks the export of a source.

    Args:
        requests: warm-up requests, which the export has.
        evaluation: the task and labelled examples to measure it on, or None.
        serving_version: of the TensorFlow Serving that is to take it.
        write: writes a model and requests as a SavedModel.
    """

    source: Source
    requests: Sequence[WarmupRequest]
    evaluation: tuple[Task, Examples] | None
    serving_version: str
    write: Write

    def check(self, model: ServingModel, directory: Path) -> Report:
        """Of `model`, which `directory` holds as a SavedModel.

        Raises:
            ValueError: there are faults.
        """
        log.info("Checking the export, in memory and in a process of its own: this takes a while.")
        batches = make_batches(
            self.requests, self.source.description, pad_id=model.tokenizer.pad_id
        )
        if self.source.section.precision == "float32":
            report = check_servability(
                directory,
                answers_of(model, self.requests),
                batches=batches,
                serving_version=self.serving_version,
            )
            report = self._with_metrics(report, model, None)
        else:
            exact, _ = self.source.serving_model(precision="float32")
            report = self._beside_float32(exact, directory, batches)
            report = self._with_metrics(report, model, exact)
        if report.faults:
            raise ValueError(
                "An export must be servable. Received:\n  "
                + "\n  ".join(report.faults)
                + "\nThe export is not published."
            )
        return report

    def _beside_float32(
        self, exact: ServingModel, directory: Path, batches: Sequence[Batch]
    ) -> Report:
        expected = answers_of(exact, self.requests)
        with tempfile.TemporaryDirectory(prefix="bert_tf-float32-") as folder:
            self.write(exact, Path(folder), self.requests)
            in_float32 = check_servability(folder, expected, batches=batches)
        report = check_servability(
            directory,
            expected,
            batches=batches,
            closeness=CLOSENESS[self.source.section.precision],
            serving_version=self.serving_version,
            compare=functools.partial(
                compare_with_float32,
                bound=BOUNDS[self.source.section.precision],
                task=task_of(self.source.description),
            ),
        )
        detail = "in float32 it answers as the model in memory, alone and in batches"
        return report.with_check(Check("graph", tuple(in_float32.faults), detail))

    def _with_metrics(
        self, report: Report, model: ServingModel, exact: ServingModel | None
    ) -> Report:
        if self.evaluation is None:
            return report
        task, examples = self.evaluation
        check = check_metrics(
            measure(model, task, examples),
            None if exact is None else measure(exact, task, examples),
            task=task,
            num_examples=len(examples),
            max_loss=self.source.section.max_metric_loss,
        )
        return report.with_check(check)


def answers_of(model: ServingModel, requests: Sequence[WarmupRequest]) -> list[Answers]:
    """What the model in memory answers."""
    return [_answers(model, request) for request in requests]


def _answers(model: ServingModel, request: WarmupRequest) -> dict[str, np.ndarray]:
    arguments = {name: tf.constant(value) for name, value in request.arguments.items()}
    answers = model.answers[request.signature_name](**arguments)
    return {name: value.numpy() for name, value in answers.items()}
