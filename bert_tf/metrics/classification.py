"""Metrics of one class an example: accuracy, F1, calibration.

Letters in shapes: E examples, C classes. Targets and predictions are (E,) int, scores (E, C).
"""

from typing import Any

import numpy as np

from bert_tf.metrics.calibration import expected_calibration_error
from bert_tf.metrics.counts import Counts
from bert_tf.metrics.metric import Metric
from bert_tf.metrics.outcomes import Outcomes


def confusion_matrix(outcomes: Outcomes, weights: np.ndarray | None = None) -> np.ndarray:
    """Counts, (C, C): rows are true classes, columns predicted ones."""
    targets, predictions = outcomes.derive(_ids)
    num_classes = len(outcomes.names)
    cells = np.bincount(targets * num_classes + predictions, weights, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def confusions(outcomes: Outcomes) -> Any:
    """The confusion matrix as a sparse one: of C classes, most of its C² cells are 0."""
    from scipy.sparse import coo_array

    targets, predictions = outcomes.derive(_ids)
    num_classes = len(outcomes.names)
    pairs, counts = np.unique(targets * num_classes + predictions, return_counts=True)
    cells = np.divmod(pairs, num_classes)
    return coo_array((counts, cells), shape=(num_classes, num_classes))


def f1_scores(matrix: np.ndarray) -> np.ndarray:
    """F1 of each class, (C,), 0 where a class was neither there nor predicted."""
    return Counts(np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)).f1()


def class_rows(outcomes: Outcomes) -> list[dict[str, Any]]:
    """A row for each class: `name`, `support`, `precision`, `recall`, `f1`."""
    counts = _count(outcomes, None)
    columns = (counts.support, counts.precision(), counts.recall(), counts.f1())
    return [
        {
            "name": name,
            "support": int(support),
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
        }
        for name, support, precision, recall, f1 in zip(outcomes.names, *columns, strict=True)
    ]


def calibration_error(outcomes: Outcomes) -> float:
    """Expected calibration error of the most probable class."""
    scores = outcomes.required_scores
    return expected_calibration_error(scores.max(axis=1), scores.argmax(axis=1) == outcomes.targets)


def _accuracy(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    counts = _count(outcomes, weights)
    total = counts.support.sum()
    return float(counts.hits.sum() / total) if total else float("nan")


def _macro_f1(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    return float(_count(outcomes, weights).f1().mean())


ACCURACY = Metric(
    name="accuracy",
    title="accuracy",
    is_higher_better=True,
    score=_accuracy,
    key="classification_accuracy",
)
"""Share of right answers. NaN of no examples."""

MACRO_F1 = Metric(name="macro_f1", title="macro-F1", is_higher_better=True, score=_macro_f1)
"""Mean of the classes' F1 scores; a class that is neither there nor predicted counts as 0."""


def _count(outcomes: Outcomes, weights: np.ndarray | None) -> Counts:
    """What a confusion matrix sums up to, without its C² cells."""
    targets, predictions = outcomes.derive(_ids)
    num_classes, is_right = len(outcomes.names), targets == predictions
    return Counts(
        hits=np.bincount(
            targets, is_right if weights is None else is_right * weights, minlength=num_classes
        ),
        support=np.bincount(targets, weights, minlength=num_classes),
        predicted=np.bincount(predictions, weights, minlength=num_classes),
    )


def _ids(outcomes: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predictions, which are ids of `names`."""
    num_classes = len(outcomes.names)
    for what, ids in (("targets", outcomes.targets), ("predictions", outcomes.predictions)):
        if ids.ndim != 1 or ids.dtype.kind not in "iu":
            raise ValueError(
                f"The {what} must be one class id for each example. Received: {ids.dtype} "
                f"{ids.shape}. Take the most probable class of the scores first."
            )
        is_outside = (ids < 0) | (ids >= num_classes)
        if is_outside.any():
            raise ValueError(
                f"Class ids must be from 0 to {num_classes - 1}, one for each name. Received: "
                f"{ids[is_outside][0]} in row {is_outside.argmax()} of the {what}. Name every "
                "class, and leave out examples without one."
            )
    return outcomes.targets.astype(np.int64), outcomes.predictions.astype(np.int64)
