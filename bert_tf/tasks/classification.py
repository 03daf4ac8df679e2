"""Classification: one class a text, or a pair of texts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydantic
import tensorflow as tf

from bert_tf.config import FinetuningConfig, Section
from bert_tf.data.tables.label_kinds import check_classes, check_labels
from bert_tf.data.tables.table import Table
from bert_tf.data.tables.values import labels_of
from bert_tf.metrics import classification as scores
from bert_tf.metrics.metric import Metric
from bert_tf.metrics.outcomes import Outcomes, grouped_rows
from bert_tf.metrics.pictures import draw_confusion_matrix
from bert_tf.metrics.tables import markdown_table
from bert_tf.models.description import ModelDescription
from bert_tf.models.objective import Batch, Objective, Sums, weighted_cross_entropy
from bert_tf.system.files import write_whole
from bert_tf.system.listing import listed
from bert_tf.system.lookalikes import alike_hint
from bert_tf.system.pictures import try_to_draw
from bert_tf.tasks.base import Answers, Report, Signature
from bert_tf.tasks.examples import Examples, check_targets, sorted_names
from bert_tf.tasks.texts import (
    CLASSIFY,
    LABEL_KEY,
    TextTask,
    name_order,
    sequence_head,
    values_by_name,
)

CONFUSION_MATRIX_FILE = "confusion_matrix.png"
TABLE_FILE = "classes.md"


class ClassificationSettings(Section):
    """Beside `finetuning.task.name`."""

    class_weights: Literal["balanced"] | dict[str, pydantic.PositiveFloat] | None = None
    """How much a text of each class counts in the loss: `balanced` is examples / (classes x
    examples of the class), as scikit-learn has it; or a number a class, 1 where none is given."""
    check_labels: bool = True
    """Whether labels that look like texts, ids or scores instead of classes are refused."""
    label_smoothing: float = pydantic.Field(default=0.0, ge=0.0, lt=1.0)
    """Share of each target that is spread over all classes alike (Szegedy et al. 2016)."""
    positive_class: str | None = None
    """The class whose F1 is measured beside, as `f1`, such as that of paraphrases. Default: of two
    classes the second, without an interval."""
    negative_class: str | None = None
    """The class of what is none of the others, such as `no_relation`: micro-F1 of the others is
    measured beside (`micro_f1`), and the mean area under precision and recall."""


class Classification(TextTask):
    """One class of several for each text or pair.

    Source: Devlin et al. 2019, section 4.1 and figure 4.
    """

    name = "classification"
    Settings = ClassificationSettings
    metrics: tuple[Metric, ...] = (scores.ACCURACY, scores.MACRO_F1, scores.MATTHEWS)
    slice_metric = scores.ACCURACY
    answer_names = ("label", "score", "probabilities", "labels")
    constant_answers = ("labels",)
    foreign_head = sequence_head("single_label_classification")

    def __init__(self, settings: Section | None = None, *, name: str | None = None) -> None:
        super().__init__(settings, name=name)
        if (positive := self.settings.positive_class) is not None:
            self.metrics = (*self.metrics, scores.f1_of_class(positive))
        if (negative := self.settings.negative_class) is not None:
            further = (scores.micro_f1_without(negative), scores.MACRO_AVERAGE_PRECISION)
            self.metrics = (*self.metrics, *further)

    # --- examples

    def read_targets(self, table: Table, section: FinetuningConfig) -> Sequence[str]:
        labels = labels_of(table, section.label_field, key=LABEL_KEY)
        if self.settings.check_labels:
            check_labels(labels, key=LABEL_KEY)
        return labels

    def strata(self, examples: Examples) -> Sequence[tuple[str]]:
        return [(target,) for target in examples.targets]

    def learn(self, train: Examples) -> dict[str, Any]:
        names = sorted_names(set(train.targets))
        if self.settings.check_labels:
            check_classes(train.targets, key=LABEL_KEY)
        if len(names) < 2:
            raise ValueError(
                f"{train.where(0)}: a classifier needs two classes or more. Received: {names}. "
                "Is finetuning.label_field the right column?"
            )
        for key in ("positive_class", "negative_class"):
            if (name := getattr(self.settings, key)) not in (None, *names):
                raise ValueError(
                    f"finetuning.task.{key} must be a class of the training data: {listed(names)}. "
                    f"Received: {name!r}. Name one of these.{alike_hint(name, names)}"
                )
        weights = self._class_weights(train, names)
        learnt = {} if weights is None else {"class_weights": weights}
        return {"class_names": tuple(names), "task_state": self.state(**learnt)}

    def _class_weights(self, train: Examples, names: Sequence[str]) -> list[float] | None:
        """Of each class, in the order of `names`."""
        given = self.settings.class_weights
        if given is None:
            return None
        if given == "balanced":
            counts = Counter(train.targets)
            return [len(train) / (len(names) * counts[name]) for name in names]
        key = "finetuning.task.class_weights"
        return values_by_name(given, names, default=1.0, key=key, what="classes")

    def check(self, examples: Examples, description: ModelDescription) -> None:
        check_targets(examples, self.strata(examples), known=description.class_names)

    def targets(
        self, examples: Examples, description: ModelDescription
    ) -> Mapping[str, np.ndarray]:
        """`labels`, int32 (examples,): the index in `class_names`."""
        ids = {name: index for index, name in enumerate(description.class_names)}
        return {"labels": np.array([ids[name] for name in examples.targets], np.int32)}

    # --- the model

    def objective(self, description: ModelDescription) -> Objective:
        return ClassificationObjective(
            class_weights=description.task_state.get("class_weights"),
            label_smoothing=self.settings.label_smoothing,
        )

    # --- answers

    def decode(self, outputs: Any, description: ModelDescription) -> dict[str, tf.Tensor]:
        """`label`, `score`, `probabilities` (batch, classes) and `labels`, their names."""
        names = tf.constant(description.class_names)
        probabilities = tf.nn.softmax(outputs)
        return {
            "label": tf.gather(names, tf.argmax(probabilities, axis=-1)),
            "score": tf.reduce_max(probabilities, axis=-1),
            "probabilities": probabilities,
            "labels": tf.repeat(names[tf.newaxis], tf.shape(probabilities)[0], axis=0),
        }

    def outcomes(self, examples: Examples, answers: Answers) -> Outcomes:
        if not {"probabilities", "labels"} <= answers.keys():
            raise ValueError(
                "A classifier must answer with labels and probabilities. Received: "
                f"{', '.join(sorted(answers))}. Give a model of the task `{self.name}`."
            )
        names = tuple(name.decode() for name in answers["labels"][0])
        check_targets(examples, self.strata(examples), known=names)
        ids = {name: index for index, name in enumerate(names)}
        return Outcomes(
            targets=np.array([ids[target] for target in examples.targets]),
            predictions=np.asarray(answers["probabilities"].argmax(axis=1)),
            scores=answers["probabilities"],
            names=names,
        )

    def aligned(self, outcomes: Outcomes, other: Outcomes) -> Outcomes:
        order = np.array(name_order(outcomes, other, what="classes"))
        places = np.argsort(order)
        probabilities = outcomes.scores
        return Outcomes(
            targets=places[outcomes.targets],
            predictions=places[outcomes.predictions],
            scores=None if probabilities is None else probabilities[:, order],
            names=other.names,
        )

    # --- how good they are

    def calibration_error(self, outcomes: Outcomes) -> float | None:
        return scores.calibration_error(outcomes)

    def target_slices(self, outcomes: Outcomes) -> Mapping[str, np.ndarray]:
        rows = grouped_rows(outcomes.targets, num_groups=len(outcomes.names))
        return {f"label {name}": own for name, own in zip(outcomes.names, rows, strict=True)}

    def report(self, outcomes: Outcomes, directory: Path) -> Report:
        """The confusion matrix as a picture, and precision, recall and F1 of each class."""
        accuracy = scores.ACCURACY.score(outcomes, None)
        is_drawn = try_to_draw(
            draw_confusion_matrix,
            scores.confusions(outcomes),
            outcomes.names,
            directory / CONFUSION_MATRIX_FILE,
            title=f"accuracy {accuracy:.3f} on {len(outcomes):,} texts",
        )
        rows = scores.class_rows(outcomes)
        write_whole(directory / TABLE_FILE, markdown_table(rows) + "\n")
        has_second = len(rows) == 2 and self.settings.positive_class is None
        return Report(
            metrics={"f1": rows[1]["f1"]} if has_second else {},
            files=(*([CONFUSION_MATRIX_FILE] if is_drawn else []), TABLE_FILE),
        )

    # --- served

    def signatures(self, description: ModelDescription) -> Mapping[str, Signature]:
        regress = Signature("examples", _as_regression, "regress")
        of_two = {"regress": regress} if len(description.class_names) == 2 else {}
        return {**super().signatures(description), "classify": CLASSIFY, **of_two}

    def disagreement(
        self, expected: Mapping[str, Any], received: Mapping[str, Any], *, tolerance: float
    ) -> str | None:
        difference = abs(received["score"] - expected["score"])
        if received["label"] == expected["label"] and difference <= tolerance:
            return None
        return (
            f"{expected['label']} ({expected['score']:.4f}) is answered with "
            f"{received['label']} ({received['score']:.4f})"
        )

    # --- told to people

    def card_lines(self, description: ModelDescription) -> Sequence[str]:
        return [f"Classes: {listed(description.class_names, max_items=50)}."]


class ClassificationObjective:
    """Cross-entropy of the class of each text, weighted and smoothed if asked."""

    def __init__(
        self, *, class_weights: Sequence[float] | None = None, label_smoothing: float = 0.0
    ) -> None:
        self._class_weights = class_weights
        self._label_smoothing = label_smoothing

    def weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        return {"classification": tf.reduce_sum(self._weights(batch))}

    def sums(self, outputs: Any, batch: Batch) -> Sums:
        weights = self._weights(batch)
        loss, correct = weighted_cross_entropy(
            outputs, batch["labels"], weights, label_smoothing=self._label_smoothing
        )
        # Of weighted texts the share of right answers would be another number.
        is_counted = self._class_weights is None
        return Sums(
            loss={"classification": loss},
            correct={"classification": correct} if is_counted else {},
        )

    def _weights(self, batch: Batch) -> tf.Tensor:
        """Of each text, float32 (batch)."""
        if self._class_weights is None:
            return batch["weights"]
        of_class = tf.constant(self._class_weights, tf.float32)
        return batch["weights"] * tf.gather(of_class, batch["labels"])


def _as_regression(answers: dict[str, Any]) -> dict[str, Any]:
    """Of two classes one number says all: the second one's probability."""
    return {"outputs": answers["probabilities"][:, 1]}
