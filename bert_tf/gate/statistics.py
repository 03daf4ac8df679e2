"""Metrics of a classifier with their uncertainty, of one alone and of two on the same texts.

Letters in shapes: E examples, C classes, R resamples. The bootstrap draws texts with replacement;
of two models the same texts, so that what makes a text hard for both cancels out (Efron and
Tibshirani 1993; for paired comparison in this field: Koehn 2004).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bert_tf.training.confusion import f1_scores

METRICS = ("accuracy", "macro_f1")
_NUM_BINS = 15


@dataclass(frozen=True)
class Interval:
    """A value and its bootstrap interval."""

    value: float
    low: float
    high: float


def accuracy(labels: np.ndarray, predictions: np.ndarray, *, num_classes: int) -> float:
    """Share of right answers; both (E,) int. NaN of no examples."""
    return float(np.mean(labels == predictions)) if len(labels) else float("nan")


def macro_f1(labels: np.ndarray, predictions: np.ndarray, *, num_classes: int) -> float:
    """Mean of the classes' F1 scores; a class that is neither there nor predicted counts as 0."""
    counts = np.bincount(labels * num_classes + predictions, minlength=num_classes**2)
    return float(f1_scores(counts.reshape(num_classes, num_classes)).mean())


_FUNCTIONS: dict[str, Callable[..., float]] = {"accuracy": accuracy, "macro_f1": macro_f1}


def metric(name: str, labels: np.ndarray, predictions: np.ndarray, *, num_classes: int) -> float:
    """One of `METRICS`."""
    return _FUNCTIONS[name](labels, predictions, num_classes=num_classes)


def bootstrap(
    name: str,
    labels: np.ndarray,
    predictions: np.ndarray,
    *,
    num_classes: int,
    num_resamples: int,
    confidence: float,
    seed: int,
) -> Interval:
    """A metric with its percentile interval."""
    values = [
        metric(name, labels[rows], predictions[rows], num_classes=num_classes)
        for rows in _resamples(len(labels), num_resamples, seed)
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

    def difference(rows: np.ndarray) -> float:
        new, old = (
            metric(name, labels[rows], of[rows], num_classes=num_classes)
            for of in (predictions, baseline_predictions)
        )
        return new - old

    values = np.array([difference(r) for r in _resamples(len(labels), num_resamples, seed)])
    low, high = _percentiles(values, confidence)
    share_better = float(np.mean(values > 0) + np.mean(values == 0) / 2)
    return PairedComparison(Interval(difference(np.arange(len(labels))), low, high), share_better)


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


def _resamples(number: int, num_resamples: int, seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.integers(0, number, number) for _ in range(num_resamples)]


def _percentiles(values: np.ndarray, confidence: float) -> tuple[float, float]:
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(values, [tail, 100.0 - tail])
    return float(low), float(high)
