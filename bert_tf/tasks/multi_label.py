"""Several labels at once: any number of them a text, or a pair of texts, none included."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pydantic
import tensorflow as tf

from bert_tf.config import FinetuningConfig, Section
from bert_tf.data.tables.label_kinds import check_classes, check_labels
from bert_tf.data.tables.table import Table
from bert_tf.data.tables.values import flags_of, names_of
from bert_tf.metrics import multi_label as scores
from bert_tf.metrics.multi_label import DEFAULT_THRESHOLD
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.metrics.pictures import draw_label_bars
from bert_tf.metrics.tables import markdown_table
from bert_tf.models.description import ModelDescription
from bert_tf.models.objective import Batch, Objective, Sums
from bert_tf.system.files import write_whole
from bert_tf.system.listing import listed, shortened
from bert_tf.system.pictures import try_to_draw
from bert_tf.tasks.base import Answers, Report, Signature
from bert_tf.tasks.examples import NO_LABEL, Examples, check_targets, sorted_names
from bert_tf.tasks.texts import (
    CLASSIFY,
    LABEL_KEY,
    TextTask,
    name_order,
    sequence_head,
    values_by_name,
)

PICTURE_FILE, TABLE_FILE = "labels.png", "labels.md"

Threshold = Annotated[float, pydantic.Field(gt=0.0, lt=1.0)]


class MultiLabelSettings(Section):
    """Beside `finetuning.task.name`."""

    label_fields: tuple[str, ...] = ()
    """A column of 0 and 1 a label. Without, `finetuning.label_field` has the names of a text's
    labels, or a list of them."""
    separator: str = pydantic.Field(default=",", min_length=1)
    """Between the names in `finetuning.label_field`."""
    check_labels: bool = True
    """Whether names of labels that look like texts, ids or scores are refused."""
    thresholds: Literal["tuned"] | Threshold | dict[str, Threshold] = DEFAULT_THRESHOLD
    """From what probability on a label holds: one number, one a label (0.5 where none is given), or
    `tuned`: of each label the one with the best F1 on the held-out texts, kept in the model. What
    is measured on those same texts is then a little too good."""


class MultiLabel(TextTask):
    """Each label holds for a text or does not, whatever the others do.

    The loss is the mean of binary cross-entropies over texts and labels. Of a text without labels
    every target is 0.
    """

    name = "multi_label"
    Settings = MultiLabelSettings
    metrics = (
        scores.MICRO_F1,
        scores.MACRO_F1,
        scores.SAMPLES_F1,
        scores.EXACT_MATCH,
        scores.MACRO_AVERAGE_PRECISION,
        scores.MACRO_ROC_AUC,
    )
    slice_metric = scores.EXACT_MATCH
    answer_names = ("probabilities", "predicted", "thresholds", "labels")
    constant_answers = ("thresholds", "labels")
    foreign_head = sequence_head("multi_label_classification")

    # --- examples

    def read_targets(self, table: Table, section: FinetuningConfig) -> Sequence[tuple[str, ...]]:
        fields = self.settings.label_fields
        if not fields:
            separator = self.settings.separator
            rows = names_of(table, section.label_field, key=LABEL_KEY, separator=separator)
            if self.settings.check_labels:
                check_labels([name for names in rows for name in names], key=LABEL_KEY)
            return [tuple(sorted_names(set(names))) for names in rows]
        key = "finetuning.task.label_fields"
        flags = np.stack([flags_of(table, field, key=key) for field in fields], axis=1)
        return [tuple(np.array(fields, object)[row]) for row in flags]

    def strata(self, examples: Examples) -> Sequence[tuple[str, ...]]:
        return examples.targets

    def target_counts(self, examples: Examples) -> Mapping[str, int]:
        """Texts of each label; `(none)` of those without."""
        counts = Counter(name for names in examples.targets for name in names or (NO_LABEL,))
        return dict(sorted(counts.items()))

    def learn(self, train: Examples) -> dict[str, Any]:
        fields = self.settings.label_fields
        names = fields or sorted_names({name for row in train.targets for name in row})
        if self.settings.check_labels and not fields:
            check_classes([name for row in train.targets for name in row], key=LABEL_KEY)
        if not names:
            raise ValueError(
                f"{train.where(0)}: at least one text must have a label. Received: none has. Is "
                "finetuning.label_field the right column?"
            )
        return {"class_names": tuple(names), "task_state": self.state(**self._given(names))}

    def _given(self, names: Sequence[str]) -> dict[str, Any]:
        """Thresholds in the order of `names`, unless all are the default or to be tuned."""
        given = self.settings.thresholds
        if given in ("tuned", DEFAULT_THRESHOLD):
            return {}
        if isinstance(given, float):
            return {"thresholds": [given] * len(names)}
        key = "finetuning.task.thresholds"
        thresholds = values_by_name(given, names, default=DEFAULT_THRESHOLD, key=key, what="labels")
        return {"thresholds": thresholds}

    def check(self, examples: Examples, description: ModelDescription) -> None:
        check_targets(examples, examples.targets, known=description.class_names)

    def targets(
        self, examples: Examples, description: ModelDescription
    ) -> Mapping[str, np.ndarray]:
        """`labels`, float32 (examples, labels): 1 where the label holds."""
        return {"labels": _flags(examples, description.class_names).astype(np.float32)}

    # --- the model

    def objective(self, description: ModelDescription) -> Objective:
        return MultiLabelObjective()

    # --- answers

    def decode(self, outputs: Any, description: ModelDescription) -> dict[str, tf.Tensor]:
        """(batch, labels): `probabilities`, `predicted` (it holds), `thresholds`, `labels`."""
        probabilities = tf.sigmoid(outputs)
        thresholds = tf.constant(_thresholds(description), tf.float32)
        names = tf.constant(description.class_names)
        num_rows = tf.shape(probabilities)[0]
        return {
            "probabilities": probabilities,
            "predicted": probabilities >= thresholds,
            "thresholds": tf.repeat(thresholds[tf.newaxis], num_rows, axis=0),
            "labels": tf.repeat(names[tf.newaxis], num_rows, axis=0),
        }

    def outcomes(self, examples: Examples, answers: Answers) -> Outcomes:
        if missing := set(self.answer_names) - answers.keys():
            raise ValueError(
                f"A model of the task `{self.name}` must answer with "
                f"{', '.join(self.answer_names)}. Received: no {', '.join(sorted(missing))}."
            )
        names = tuple(name.decode() for name in answers["labels"][0])
        check_targets(examples, examples.targets, known=names)
        return Outcomes(
            targets=_flags(examples, names),
            predictions=answers["predicted"].astype(bool),
            scores=answers["probabilities"],
            names=names,
        )

    def aligned(self, outcomes: Outcomes, other: Outcomes) -> Outcomes:
        order = name_order(outcomes, other, what="labels")
        return dataclasses.replace(
            outcomes,
            targets=outcomes.targets[:, order],
            predictions=outcomes.predictions[:, order],
            scores=outcomes.required_scores[:, order],
            names=other.names,
        )

    def tune(self, outcomes: Outcomes, description: ModelDescription) -> ModelDescription:
        if self.settings.thresholds != "tuned":
            return description
        thresholds = [round(float(value), 6) for value in scores.tune_thresholds(outcomes)]
        state = description.task_state | {"thresholds": thresholds}
        return description.model_copy(update={"task_state": state})

    # --- how good they are

    def calibration_error(self, outcomes: Outcomes) -> float | None:
        return scores.calibration_error(outcomes)

    def target_slices(self, outcomes: Outcomes) -> Mapping[str, np.ndarray]:
        named: dict[str, np.ndarray] = {
            f"label {name}": np.flatnonzero(outcomes.targets[:, index])
            for index, name in enumerate(outcomes.names)
        }
        return named | {"no label": np.logical_not(outcomes.targets.any(axis=1))}

    def report(self, outcomes: Outcomes, directory: Path) -> Report:
        """F1 of each label as bars; a table with precision, recall, average precision, ROC AUC."""
        rows = scores.label_rows(outcomes)
        title = f"F1 of each label on {len(outcomes):,} texts"
        is_drawn = try_to_draw(draw_label_bars, rows, directory / PICTURE_FILE, title=title)
        write_whole(directory / TABLE_FILE, markdown_table(rows) + "\n")
        return Report(files=(*([PICTURE_FILE] if is_drawn else []), TABLE_FILE))

    # --- served

    def signatures(self, description: ModelDescription) -> Mapping[str, Signature]:
        return {**super().signatures(description), "classify": CLASSIFY}

    def disagreement(
        self, expected: Mapping[str, Any], received: Mapping[str, Any], *, tolerance: float
    ) -> str | None:
        wanted, given = (np.asarray(row["probabilities"]) for row in (expected, received))
        if wanted.shape != given.shape:
            return f"{len(wanted)} labels are answered with {len(given)}"
        difference = np.abs(wanted - given)
        worst = int(difference.argmax())
        if difference[worst] <= tolerance:
            return None
        return (
            f"{expected['labels'][worst]} ({wanted[worst]:.4f}) is answered with {given[worst]:.4f}"
        )

    # --- told to people

    def card_lines(self, description: ModelDescription) -> Sequence[str]:
        thresholds = zip(description.class_names, _thresholds(description), strict=True)
        shown = [f"{shortened(name)} (from {value:.2g} on)" for name, value in thresholds]
        return [f"Labels, any number of which may hold: {listed(shown, max_items=50)}."]


class MultiLabelObjective:
    """Mean binary cross-entropy over texts and labels, as PyTorch's `BCEWithLogitsLoss` has it."""

    def weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        num_labels = batch["labels"].shape[-1]
        return {"multi_label": num_labels * tf.reduce_sum(batch["weights"])}

    def sums(self, outputs: Any, batch: Batch) -> Sums:
        labels, weights = batch["labels"], batch["weights"][:, tf.newaxis]
        with tf.name_scope("loss"):  # by which the profiler tells it apart
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels, outputs)
            is_right = tf.cast((outputs > 0.0) == (labels > 0.5), tf.float32)
            return Sums(
                loss={"multi_label": tf.reduce_sum(losses * weights)},
                correct={"multi_label": tf.reduce_sum(is_right * weights)},
            )


def _thresholds(description: ModelDescription) -> list[float]:
    default = [DEFAULT_THRESHOLD] * len(description.class_names)
    return list(description.task_state.get("thresholds", default))


def _flags(examples: Examples, names: Sequence[str]) -> np.ndarray:
    """(examples, names) bool."""
    places = {name: index for index, name in enumerate(names)}
    flags = np.zeros((len(examples), len(names)), bool)
    for row, held in enumerate(examples.targets):
        flags[row, [places[name] for name in held]] = True
    return flags
