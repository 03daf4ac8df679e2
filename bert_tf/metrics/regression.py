"""Metrics of one number an example: correlation and error. Both arrays are (E,) float.

A weight says how often an example counts: the metric of weighted examples is that of the repeated
ones.
"""

import math

import numpy as np

from bert_tf.metrics.counts import Counts
from bert_tf.metrics.metric import Metric, weighted_mean
from bert_tf.metrics.outcomes import Outcomes


def _pearson(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    return _correlation(*_numbers(outcomes), weights)


def _spearman(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    if any(np.isnan(values).any() for values in _numbers(outcomes)):
        return math.nan
    of_targets, of_predictions = outcomes.derive(_groups)
    return _correlation(_ranks(of_targets, weights), _ranks(of_predictions, weights), weights)


def _mse(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    targets, predictions = _numbers(outcomes)
    return weighted_mean((predictions - targets) ** 2, weights)


def _mae(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    targets, predictions = _numbers(outcomes)
    return weighted_mean(np.abs(predictions - targets), weights)


PEARSON = Metric(name="pearson", title="Pearson correlation", is_higher_better=True, score=_pearson)
"""Of predictions and targets; NaN where one of them is constant or there is none."""

SPEARMAN = Metric(
    name="spearman", title="Spearman correlation", is_higher_better=True, score=_spearman
)
"""Pearson correlation of the ranks, equal values sharing their mean rank; NaN as Pearson's."""

MSE = Metric(name="mse", title="mean squared error", is_higher_better=False, score=_mse)
"""NaN of no examples."""

MAE = Metric(name="mae", title="mean absolute error", is_higher_better=False, score=_mae)
"""NaN of no examples."""


def f1_of_threshold(threshold: float) -> Metric:
    """F1 of the scores from `threshold` on, true and predicted; 0 if there are none.

    KLUE-STS takes sentences with at least 3 as alike (Park et al. 2021).
    """

    def score(outcomes: Outcomes, weights: np.ndarray | None) -> float:
        targets, predictions = (values >= threshold for values in _numbers(outcomes))
        counted = np.ones(len(outcomes)) if weights is None else weights
        sums = ((targets & predictions) @ counted, targets @ counted, predictions @ counted)
        return float(Counts(*(np.array([value]) for value in sums)).f1()[0])

    return Metric(
        name="binary_f1",
        title=f"F1 of scores from {threshold:g} on",
        is_higher_better=True,
        score=score,
    )


def _numbers(outcomes: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    """In double precision, in which single-precision ones do not lose their small differences."""
    if outcomes.targets.ndim != 1:
        raise ValueError(
            "Targets and predictions must be one number for each example. Received: shape "
            f"{outcomes.targets.shape}. Take the column of the number first."
        )
    return outcomes.targets.astype(np.float64), outcomes.predictions.astype(np.float64)


def _correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> float:
    if weights is not None:
        is_drawn = weights > 0
        x, y, weights = x[is_drawn], y[is_drawn], weights[is_drawn]
    if not (_varies(x) and _varies(y)):
        return math.nan
    x, y = _centred(x, weights), _centred(y, weights)
    weighted = x if weights is None else x * weights
    of_y = y if weights is None else y * weights
    value = (weighted @ y) / math.sqrt((weighted @ x) * (of_y @ y))
    return float(min(max(value, -1.0), 1.0))


def _varies(values: np.ndarray) -> bool:
    """Whether the values are finite and not all the same."""
    if not len(values):
        return False
    low, high = values.min(), values.max()
    return bool(np.isfinite(low) and np.isfinite(high) and low < high)


def _centred(values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Around the mean, and at most 1: squares of any values can be summed."""
    centred = values - np.average(values, weights=weights)
    return centred / np.abs(centred).max()


def _groups(outcomes: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    """Of targets and predictions, the number of each row's value in the order of values, (E,)."""
    targets, predictions = _numbers(outcomes)
    return (
        np.unique(targets, return_inverse=True)[1],
        np.unique(predictions, return_inverse=True)[1],
    )


def _ranks(groups: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """The mean rank of each row among the rows repeated by their weights, from 1, (E,)."""
    sizes = np.bincount(groups, weights)
    last = np.cumsum(sizes)
    return (last - (sizes - 1) / 2)[groups]
