"""Metrics of one class an example: accuracy, F1, correlation, areas under curves, calibration.

Letters in shapes: E examples, C classes. Targets and predictions are (E,) int, scores (E, C).
"""

from typing import Any

import numpy as np

from bert_tf.metrics.calibration import expected_calibration_error
from bert_tf.metrics.counts import Counts
from bert_tf.metrics.metric import Metric
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.system.listing import listed


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


def _matthews(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    counts = _count(outcomes, weights)
    total = float(counts.support.sum())
    support, predicted = (values.astype(float) for values in (counts.support, counts.predicted))
    covariance = float(counts.hits.sum()) * total - support @ predicted
    spread = (total**2 - support @ support) * (total**2 - predicted @ predicted)
    if not total:
        return float("nan")
    return float(covariance / np.sqrt(spread)) if spread > 0 else 0.0


def _macro_average_precision(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    from sklearn.metrics import auc, precision_recall_curve

    targets, _ = outcomes.derive(_ids)
    areas = []
    for place, scores in enumerate(outcomes.required_scores.T):
        is_true = targets == place
        if (is_true.sum() if weights is None else weights[is_true].sum()) > 0:
            curve = precision_recall_curve(is_true, scores, sample_weight=weights)
            areas.append(auc(curve[1], curve[0]))
    return float(np.mean(areas)) if areas else float("nan")


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


MATTHEWS = Metric(
    name="matthews", title="Matthews correlation", is_higher_better=True, score=_matthews
)
"""Correlation of true and predicted classes, of any number of them (Gorodkin 2004); 0 where all are
of one class or all predicted as one. CoLA is measured by it (Warstadt et al. 2019)."""

MACRO_AVERAGE_PRECISION = Metric(
    name="macro_average_precision",
    title="macro area under precision and recall",
    is_higher_better=True,
    score=_macro_average_precision,
    uses_scores=True,
    has_interval=False,
)
"""Mean of the classes' areas under the curve of precision over recall, by trapezoids as
KLUE-baseline's AUPRC; classes that no example has are left out, NaN if all are."""


def f1_of_class(name: str) -> Metric:
    """F1 of one class alone, such as of paraphrases; 0 if it is neither there nor predicted."""

    def score(outcomes: Outcomes, weights: np.ndarray | None) -> float:
        return float(_count(outcomes, weights).f1()[_place(outcomes, name)])

    return Metric(name="f1", title=f"F1 of {name}", is_higher_better=True, score=score)


def micro_f1_without(name: str) -> Metric:
    """F1 of all classes but one, as if they were one: what is neither true nor predicted as another
    does not count. TACRED (Zhang et al. 2017) and KLUE-RE are measured by it."""

    def score(outcomes: Outcomes, weights: np.ndarray | None) -> float:
        counts, place = _count(outcomes, weights), _place(outcomes, name)
        sums = (
            np.array([values.sum() - values[place]])
            for values in (counts.hits, counts.support, counts.predicted)
        )
        return float(Counts(*sums).f1()[0])

    return Metric(
        name="micro_f1", title=f"micro-F1 without {name}", is_higher_better=True, score=score
    )


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


def _place(outcomes: Outcomes, name: str) -> int:
    """The id of a class."""
    if name not in outcomes.names:
        raise ValueError(
            f"The class must be one of {listed(outcomes.names)}. Received: {name!r}. Name one of "
            "these."
        )
    return outcomes.names.index(name)
