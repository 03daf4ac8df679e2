"""Metrics of a classifier with their uncertainty, of one alone and of two on the same texts.

Letters in shapes: E examples, C classes, R resamples. The bootstrap draws texts with replacement;
of two models the same texts, so that what makes a text hard for both cancels out (Efron and
Tibshirani 1993; for paired comparison in this field: Koehn 2004).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

METRICS = ("accuracy", "macro_f1")
_NUM_BINS = 15


@dataclass(frozen=True)
class Interval:
    """A value and its bootstrap interval."""

    value: float
    low: float
    high: float


def confusion_matrix(
    labels: np.ndarray, predictions: np.ndarray, *, num_classes: int
) -> np.ndarray:
    """Counts, (C, C): rows are true classes, columns predicted ones; both inputs (E,) int."""
    cells = np.asarray(labels) * num_classes + np.asarray(predictions)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def f1_scores(matrix: np.ndarray) -> np.ndarray:
    """F1 of each class, (C,), 0 where a class was neither there nor predicted."""
    both = matrix.sum(axis=0) + matrix.sum(axis=1)
    return np.divide(2.0 * np.diag(matrix), both, out=np.zeros(len(matrix)), where=both > 0)


def accuracy(matrix: np.ndarray) -> float:
    """Share of right answers. NaN of no examples."""
    total = matrix.sum()
    return float(np.trace(matrix) / total) if total else float("nan")


def macro_f1(matrix: np.ndarray) -> float:
    """Mean of the classes' F1 scores; a class that is neither there nor predicted counts as 0."""
    return float(f1_scores(matrix).mean())


_FUNCTIONS: dict[str, Callable[[np.ndarray], float]] = {"accuracy": accuracy, "macro_f1": macro_f1}


def metric(name: str, labels: np.ndarray, predictions: np.ndarray, *, num_classes: int) -> float:
    """One of `METRICS`; labels and predictions (E,) int."""
    return _FUNCTIONS[name](confusion_matrix(labels, predictions, num_classes=num_classes))


def bootstrap(
    name: str,
    labels: np.ndarray,
    predictions: np.ndarray,
    *,
    num_classes: int,
    num_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """A metric with its percentile interval."""
    shape = (num_classes, num_classes)
    cells, counts = _resamples(labels * num_classes + predictions, num_resamples, seed)
    values = [
        _FUNCTIONS[name](np.bincount(cells, of_cells, num_classes**2).reshape(shape))
        for of_cells in counts
    ]
    low, high = _percentiles(np.array(values), confidence)
    value = metric(name, labels, predictions, num_classes=num_classes)
    return Interval(value, low, high)


@dataclass(frozen=True)
class PairedComparison:
    """How much better one model is than another on the same texts."""

    difference: Interval
    share_better: float
    """Of the resamples, in how many it was better; ties count half."""


def paired_bootstrap(
    name: str,
    labels: np.ndarray,
    predictions: np.ndarray,
    baseline_predictions: np.ndarray,
    *,
    num_classes: int,
    num_resamples: int,
    confidence: float,
    seed: int,
) -> PairedComparison:
    """The metric of `predictions` minus that of `baseline_predictions`, all (E,) int."""
    shape = (num_classes, num_classes)
    outcomes = (labels * num_classes + predictions) * num_classes + baseline_predictions
    outcomes, counts = _resamples(outcomes, num_resamples, seed)
    new_cells = outcomes // num_classes
    old_cells = new_cells // num_classes * num_classes + outcomes % num_classes

    def score(cells: np.ndarray, of_cells: np.ndarray) -> float:
        return _FUNCTIONS[name](np.bincount(cells, of_cells, num_classes**2).reshape(shape))

    values = np.array([score(new_cells, n) - score(old_cells, n) for n in counts])
    low, high = _percentiles(values, confidence)
    share_better = float(np.mean(values > 0) + np.mean(values == 0) / 2)
    new, old = (
        metric(name, labels, of, num_classes=num_classes)
        for of in (predictions, baseline_predictions)
    )
    return PairedComparison(Interval(new - old, low, high), share_better)


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Expected calibration error: |confidence - accuracy| over 15 bins of confidence, weighted.

    `labels` (E,), `probabilities` (E, C). Source: Guo et al. 2017, equation 3.
    """
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * _NUM_BINS).astype(int), _NUM_BINS - 1)
    gaps = [
        abs(confidence[bins == b].mean() - is_right[bins == b].mean()) * np.mean(bins == b)
        for b in np.unique(bins)
    ]
    return float(sum(gaps))


def _resamples(
    outcomes: np.ndarray, num_resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The different outcomes (U,), and how often each is drawn in every resample, (R, U).

    Texts of the same outcome are alike: to draw texts is to draw from the multinomial distribution
    of outcomes, which takes as long for a million texts as for a hundred.
    """
    different, counts = np.unique(outcomes, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(
        len(outcomes), counts / len(outcomes), size=num_resamples
    )
    return different, draws


def _percentiles(values: np.ndarray, confidence: float) -> tuple[float, float]:
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(values, [tail, 100.0 - tail])
    return float(low), float(high)
