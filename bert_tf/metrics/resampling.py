"""Bootstrap intervals of a metric, of one model alone and of two on the same examples.

The bootstrap draws examples with replacement; of two models the same examples, so that what makes
an example hard for both cancels out (Efron and Tibshirani 1993; for paired comparison in this
field: Koehn 2004). One resample is held at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bert_tf.metrics.metric import Metric
from bert_tf.metrics.outcomes import Outcomes


@dataclass(frozen=True)
class Interval:
    """A value and its bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedComparison:
    """How one model differs from another on the same examples."""

    difference: Interval
    """New minus old, in the metric's own unit."""
    share_better: float
    """Of the resamples, in how many the new one was better; ties count half."""


def bootstrap(
    metric: Metric,
    outcomes: Outcomes,
    *,
    num_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """A metric with its percentile interval.

    Resamples in which the metric is not defined (NaN) are left out.

    Raises:
        ValueError: there are no examples.
    """
    rows, resamples = _resamples(metric, outcomes, num_resamples=num_resamples, seed=seed)
    drawn = outcomes.take(rows)
    values = np.array([metric.score(drawn, counts) for counts in resamples])
    return Interval(metric.score(outcomes, None), *_percentiles(values, confidence))


def paired_bootstrap(
    metric: Metric,
    outcomes: Outcomes,
    baseline: Outcomes,
    *,
    num_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> PairedComparison:
    """The metric of `outcomes` minus that of `baseline`, which are of the same examples.

    Resamples in which the metric is not defined (NaN) are left out.

    Raises:
        ValueError: there are no examples, or the two have other targets.
    """
    if not np.array_equal(outcomes.targets, baseline.targets):
        raise ValueError(
            "Two models must be compared on the same examples. Received: other targets, "
            f"{len(outcomes)} and {len(baseline)} of them. Ask both about the same file."
        )
    rows, resamples = _resamples(metric, outcomes, baseline, num_resamples=num_resamples, seed=seed)
    new, old = outcomes.take(rows), baseline.take(rows)
    scores = [(metric.score(new, counts), metric.score(old, counts)) for counts in resamples]
    differences = np.array([ours - theirs for ours, theirs in scores])
    gains = np.array([metric.better(ours, theirs) for ours, theirs in scores])
    value = metric.score(outcomes, None) - metric.score(baseline, None)
    return PairedComparison(
        Interval(value, *_percentiles(differences, confidence)), _share_better(gains)
    )


def _resamples(
    metric: Metric, *models: Outcomes, num_resamples: int, seed: int
) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """The rows to look at, (U,), and how often each is drawn, (U,), in one resample after another.

    Examples of the same outcome are alike: to draw examples is to draw from the multinomial
    distribution of outcomes, which takes as long for a million examples as for a hundred.
    """
    first, num_examples = models[0], len(models[0])
    if not num_examples:
        raise ValueError(
            f"The interval of {metric.name} needs examples. Received: none. Evaluate on more texts."
        )
    generator = np.random.default_rng(seed)
    if metric.uses_scores or not first.is_discrete(*models[1:]):
        return np.arange(num_examples), (
            np.bincount(generator.integers(0, num_examples, num_examples), minlength=num_examples)
            for _ in range(num_resamples)
        )
    rows, codes = first.codes(*models[1:])
    shares = np.bincount(codes) / num_examples
    return rows, (generator.multinomial(num_examples, shares) for _ in range(num_resamples))


def _percentiles(values: np.ndarray, confidence: float) -> tuple[float, float]:
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    tail = 50.0 * (1.0 - confidence)
    low, high = np.percentile(values, [tail, 100.0 - tail])
    return float(low), float(high)


def _share_better(gains: np.ndarray) -> float:
    gains = gains[~np.isnan(gains)]
    if not len(gains):
        return float("nan")
    return float(np.mean(gains > 0) + np.mean(gains == 0) / 2)
