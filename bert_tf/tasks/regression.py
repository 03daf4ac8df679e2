"""Regression: a number for each text, or pair of texts, such as how alike two sentences are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pydantic
import tensorflow as tf

from bert_tf.config import FinetuningConfig, Section
from bert_tf.data.inspection.text_profile import Moved
from bert_tf.data.tables.table import Table
from bert_tf.data.tables.values import numbers_of
from bert_tf.metrics import regression as scores
from bert_tf.metrics.metric import Metric
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.metrics.pictures import draw_scatter
from bert_tf.metrics.tables import markdown_table
from bert_tf.models.description import ModelDescription
from bert_tf.models.objective import Batch, Objective, Sums
from bert_tf.system.files import write_whole
from bert_tf.system.pictures import try_to_draw
from bert_tf.tasks.base import Answers, Report, Signature
from bert_tf.tasks.examples import Examples
from bert_tf.tasks.score_counts import compare_score_counts, score_counts
from bert_tf.tasks.texts import TextTask, sequence_head

PICTURE_FILE, TABLE_FILE = "scatter.png", "regression.md"
_THIRDS = ("lowest third of targets", "middle third of targets", "highest third of targets")


class RegressionSettings(Section):
    """Beside `finetuning.task.name`."""

    range: tuple[float, float] | None = None
    """The least and the greatest score there is: targets outside are refused, and no answer lies
    outside. Default: any number."""

    threshold: float | None = None
    """The score from which on texts count as alike: F1 of these is measured beside, as
    `binary_f1`."""

    @pydantic.model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(
                "range must be the least and then the greatest score. Received: "
                f"{self.range[0]:g} and {self.range[1]:g}. Swap them, or leave range out."
            )
        return self


class Regression(TextTask):
    """A score for each text or pair, by mean squared error.

    Source: Cer et al. 2017 (semantic similarity, 0 to 5); transformers,
    BertForSequenceClassification with one output.
    """

    name = "regression"
    Settings = RegressionSettings
    metrics: tuple[Metric, ...] = (scores.PEARSON, scores.SPEARMAN, scores.MSE, scores.MAE)
    slice_metric = scores.MAE
    answer_names = ("score",)
    has_class_names = False
    foreign_head = sequence_head("regression")

    def __init__(self, settings: Section | None = None, *, name: str | None = None) -> None:
        super().__init__(settings, name=name)
        if (threshold := self.settings.threshold) is not None:
            self.metrics = (*self.metrics, scores.f1_of_threshold(threshold))

    # --- examples

    def read_targets(self, table: Table, section: FinetuningConfig) -> Sequence[float]:
        values = numbers_of(table, section.label_field, key="finetuning.label_field")
        if self.settings.range is not None:
            least, greatest = self.settings.range
            outside = np.flatnonzero((values < least) | (values > greatest))
            if len(outside):
                row = int(outside[0])
                raise ValueError(
                    f"{table.where(row)}: a score must be from {least:g} to {greatest:g} "
                    f"(finetuning.task.range). Received: {values[row]:g}; in all {len(outside)} "
                    "outside. Repair them, or widen the range."
                )
        return [float(value) for value in values]

    def target_counts(self, examples: Examples) -> Mapping[str, int]:
        """Texts a score, or a bin of scores."""
        return score_counts(examples.targets, span=self.settings.range)

    def compare_targets(self, before: Mapping[str, int], now: Mapping[str, int]) -> Moved:
        return compare_score_counts(before, now)

    def learn(self, train: Examples) -> dict[str, Any]:
        values = np.asarray(train.targets, float)
        if values.min() == values.max():
            raise ValueError(
                f"{train.where(0)}: a regression needs different scores. Received: {values[0]:g} "
                "for every text. Is finetuning.label_field the right column?"
            )
        return {"task_state": self.state()}

    def check(self, examples: Examples, description: ModelDescription) -> None:
        """Every number will do: `read_targets` has looked at the range."""

    def targets(
        self, examples: Examples, description: ModelDescription
    ) -> Mapping[str, np.ndarray]:
        """`labels`, float32 (examples,)."""
        return {"labels": np.asarray(examples.targets, np.float32)}

    # --- the model

    def num_outputs(self, description: ModelDescription) -> int:
        return 1

    def objective(self, description: ModelDescription) -> Objective:
        return RegressionObjective()

    # --- answers

    def decode(self, outputs: Any, description: ModelDescription) -> dict[str, tf.Tensor]:
        """`score`, float32 (batch,)."""
        score = outputs[:, 0]
        if self.settings.range is not None:
            score = tf.clip_by_value(score, *self.settings.range)
        return {"score": score}

    def outcomes(self, examples: Examples, answers: Answers) -> Outcomes:
        if "score" not in answers or "labels" in answers:
            raise ValueError(
                f"A model of the task `{self.name}` must answer with a score alone. Received: "
                f"{', '.join(sorted(answers))}. Give a model of that task."
            )
        return Outcomes(
            targets=np.asarray(examples.targets, float),
            predictions=np.asarray(answers["score"], float),
        )

    # --- how good they are

    def target_slices(self, outcomes: Outcomes) -> Mapping[str, np.ndarray]:
        edges = np.quantile(outcomes.targets, [1 / 3, 2 / 3])
        thirds = np.searchsorted(edges, outcomes.targets)
        return {name: thirds == third for third, name in enumerate(_THIRDS)}

    def report(self, outcomes: Outcomes, directory: Path) -> Report:
        """Predicted over true scores as a picture, and all metrics as a table."""
        title = f"{len(outcomes):,} scores"
        path = directory / PICTURE_FILE
        scores = outcomes.targets, outcomes.predictions
        is_drawn = try_to_draw(draw_scatter, *scores, path, title=title)
        rows = [
            {"metric": metric.title, "value": float(metric.score(outcomes, None))}
            for metric in self.metrics
        ]
        write_whole(directory / TABLE_FILE, markdown_table(rows) + "\n")
        return Report(files=(*([PICTURE_FILE] if is_drawn else []), TABLE_FILE))

    # --- served

    def signatures(self, description: ModelDescription) -> Mapping[str, Signature]:
        regress = Signature("examples", _as_regression, "regress")
        return {**super().signatures(description), "regress": regress}

    def is_answer(self, outputs: Mapping[str, Any]) -> bool:
        return set(outputs) == {"score"}

    def disagreement(
        self, expected: Mapping[str, Any], received: Mapping[str, Any], *, tolerance: float
    ) -> str | None:
        """`tolerance` is a share of the range, or of the score where there is none."""
        wanted, given = float(expected["score"]), float(received["score"])
        least, greatest = self.settings.range or (0.0, max(1.0, abs(wanted)))
        if abs(wanted - given) <= tolerance * (greatest - least):
            return None
        return f"{wanted:.4f} is answered with {given:.4f}"

    # --- told to people

    def card_lines(self, description: ModelDescription) -> Sequence[str]:
        if self.settings.range is None:
            return ["Answers with a number."]
        return ["Answers with a number from {:g} to {:g}.".format(*self.settings.range)]


class RegressionObjective:
    """Mean squared error."""

    def weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        return {"regression": tf.reduce_sum(batch["weights"])}

    def sums(self, outputs: Any, batch: Batch) -> Sums:
        with tf.name_scope("loss"):  # by which the profiler tells it apart
            errors = tf.math.squared_difference(outputs[:, 0], batch["labels"])
            return Sums(loss={"regression": tf.reduce_sum(errors * batch["weights"])}, correct={})


def _as_regression(answers: dict[str, Any]) -> dict[str, Any]:
    return {"outputs": answers["score"]}
