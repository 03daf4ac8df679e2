"""Metrics of any number of labels an example: F1, ranking, thresholds, calibration.

Letters in shapes: E examples, L labels. Targets and predictions are (E, L) bool, scores (E, L).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from bert_tf.metrics.calibration import expected_calibration_error
from bert_tf.metrics.counts import Counts
from bert_tf.metrics.metric import Metric, weighted_mean
from bert_tf.metrics.outcomes import Outcomes

DEFAULT_THRESHOLD = 0.5


def label_rows(outcomes: Outcomes) -> list[dict[str, Any]]:
    """A row for each label: `name`, `support`, `precision`, `recall`, `f1`, and, with scores,
    `average_precision` and `roc_auc`.

    The average precision of a label that never holds is NaN, the ROC AUC of one that never or
    always holds too.
    """
    counts = _count(outcomes, None)
    columns = {"precision": counts.precision(), "recall": counts.recall(), "f1": counts.f1()}
    if outcomes.scores is not None:
        columns["average_precision"] = _average_precisions(outcomes, None)
        columns["roc_auc"] = _roc_aucs(outcomes, None)
    return [
        {"name": name, "support": int(counts.support[label])}
        | {column: float(values[label]) for column, values in columns.items()}
        for label, name in enumerate(outcomes.names)
    ]


def tune_thresholds(outcomes: Outcomes) -> np.ndarray:
    """The threshold of each label with the best F1 on these examples, (L,) float.

    A label is predicted where its score is at least the threshold, which lies in the middle
    between two neighbouring scores; of several as good it is the one nearest to 0.5. A label that
    never holds keeps 0.5.
    """
    scores = outcomes.required_scores
    return np.array(
        [_best_threshold(outcomes.targets[:, i], scores[:, i]) for i in range(scores.shape[1])]
    )


def calibration_error(outcomes: Outcomes) -> float:
    """Expected calibration error of a label's probability, over all labels of all examples."""
    return expected_calibration_error(outcomes.required_scores.ravel(), outcomes.targets.ravel())


def _best_threshold(is_true: np.ndarray, scores: np.ndarray) -> float:
    if not is_true.any():
        return DEFAULT_THRESHOLD
    order = np.argsort(-scores)
    ranked, hits = scores[order], np.cumsum(is_true[order])
    # Cuts lie between different scores; the last one, below all of them, predicts the label always.
    below = np.append(ranked[1:], min(ranked[-1], 0))
    is_cut = ranked > below
    is_cut[-1] = True
    num_predicted = np.flatnonzero(is_cut) + 1
    f1 = 2 * hits[is_cut] / (num_predicted + hits[-1])
    upper, lower = ranked[is_cut], below[is_cut].astype(ranked.dtype)
    middle = lower + (upper - lower) / 2
    thresholds = np.where(middle > lower, middle, upper)[f1 == f1.max()]
    return float(thresholds[np.abs(thresholds - DEFAULT_THRESHOLD).argmin()])


def _micro_f1(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    of_rows = outcomes.derive(_count_rows)
    sums = [
        np.array([_total(count, weights)])
        for count in (of_rows.hits, of_rows.support, of_rows.predicted)
    ]
    return float(Counts(*sums).f1()[0])


def _macro_f1(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    return float(_count(outcomes, weights).f1().mean())


def _samples_f1(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    return weighted_mean(outcomes.derive(_f1_of_rows), weights)


def _exact_match(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    return weighted_mean(outcomes.derive(_is_exact), weights)


def _macro_average_precision(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    return _mean_of_defined(_average_precisions(outcomes, weights))


def _macro_roc_auc(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    return _mean_of_defined(_roc_aucs(outcomes, weights))


MICRO_F1 = Metric(name="micro_f1", title="micro-F1", is_higher_better=True, score=_micro_f1)
"""F1 of all decisions as if they were of one label."""

MACRO_F1 = Metric(name="macro_f1", title="macro-F1", is_higher_better=True, score=_macro_f1)
"""Mean of the labels' F1 scores; a label that is neither there nor predicted counts as 0."""

SAMPLES_F1 = Metric(
    name="samples_f1", title="F1 of an example", is_higher_better=True, score=_samples_f1
)
"""Mean of the examples' F1 scores; an example that has no labels and gets none counts as 0."""

EXACT_MATCH = Metric(
    name="exact_match", title="exact match", is_higher_better=True, score=_exact_match
)
"""Share of examples of which every label is right. NaN of no examples."""

MACRO_AVERAGE_PRECISION = Metric(
    name="macro_average_precision",
    title="macro average precision",
    is_higher_better=True,
    score=_macro_average_precision,
    uses_scores=True,
    has_interval=False,
)
"""Mean of the labels' average precision; labels that never hold are left out, NaN if all are."""

MACRO_ROC_AUC = Metric(
    name="macro_roc_auc",
    title="macro ROC AUC",
    is_higher_better=True,
    score=_macro_roc_auc,
    uses_scores=True,
    has_interval=False,
)
"""Mean of the labels' ROC AUC; labels that never or always hold are left out, NaN if all are."""


def _count(outcomes: Outcomes, weights: np.ndarray | None) -> Counts:
    """Counts of each label, (L,)."""
    if weights is None:
        weights = np.ones(len(outcomes))
    return Counts(*(flags @ weights for flags in outcomes.derive(_sparse)))


def _sparse(outcomes: Outcomes) -> list[Any]:
    """Hits, targets and predictions as sparse matrices, (L, E): most labels hold seldom."""
    from scipy.sparse import csr_array

    return [csr_array(flags.T).astype(np.float64) for flags in _flags(outcomes)]


def _count_rows(outcomes: Outcomes) -> Counts:
    """Counts of each example, (E,)."""
    return Counts(*(flags.sum(axis=1) for flags in _flags(outcomes)))


def _flags(outcomes: Outcomes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hits, targets and predictions, (E, L) bool."""
    targets, predictions = outcomes.targets, outcomes.predictions
    shape = (len(outcomes), len(outcomes.names))
    for what, flags in (("targets", targets), ("predictions", predictions)):
        if flags.dtype != bool or flags.shape != shape:
            raise ValueError(
                f"The {what} of several labels must be bool, a row for each example and a column "
                f"for each name, {shape}. Received: {flags.dtype} {flags.shape}. Compare the "
                "scores with the thresholds first."
            )
    return targets & predictions, targets, predictions


def _f1_of_rows(outcomes: Outcomes) -> np.ndarray:
    return outcomes.derive(_count_rows).f1()


def _is_exact(outcomes: Outcomes) -> np.ndarray:
    return (outcomes.targets == outcomes.predictions).all(axis=1)


def _average_precisions(outcomes: Outcomes, weights: np.ndarray | None) -> np.ndarray:
    from sklearn.metrics import average_precision_score

    num_true, _ = _num_true_and_false(outcomes, weights)
    return _score_labels(average_precision_score, outcomes, weights, is_defined=num_true > 0)


def _roc_aucs(outcomes: Outcomes, weights: np.ndarray | None) -> np.ndarray:
    from sklearn.metrics import roc_auc_score

    num_true, num_false = _num_true_and_false(outcomes, weights)
    is_defined = np.minimum(num_true, num_false) > 0
    return _score_labels(roc_auc_score, outcomes, weights, is_defined=is_defined)


def _score_labels(
    score: Callable[..., float],
    outcomes: Outcomes,
    weights: np.ndarray | None,
    *,
    is_defined: np.ndarray,
) -> np.ndarray:
    """A score of scikit-learn's for each label, (L,); NaN where it is not defined."""
    labels = zip(outcomes.targets.T, outcomes.required_scores.T, is_defined, strict=True)
    return np.array(
        [
            score(is_true, scores, sample_weight=weights) if defined else np.nan
            for is_true, scores, defined in labels
        ]
    )


def _num_true_and_false(
    outcomes: Outcomes, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    num_true = _count(outcomes, weights).support
    return num_true, (len(outcomes) if weights is None else weights.sum()) - num_true


def _total(values: np.ndarray, weights: np.ndarray | None) -> float:
    return float(values.sum() if weights is None else values @ weights)


def _mean_of_defined(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
