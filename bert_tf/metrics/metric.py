"""A metric: its name, its direction, and how it is computed from outcomes."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bert_tf.metrics.outcomes import Outcomes


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number about outcomes."""

    name: str
    """In configuration and decisions, such as "accuracy"."""
    title: str
    """For people."""
    is_higher_better: bool
    score: Callable[[Outcomes, np.ndarray | None], float]
    """Outcomes, and how often each of them counts, (E,) int or float; None is once each."""
    unit: str = ""
    uses_scores: bool = False
    """Whether it is computed from the scores, so that no two examples are alike."""
    has_interval: bool = True
    """Whether reports resample it; False where a thousand resamples would take minutes."""
    key: str = ""
    """In metrics.json; by default the name."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.key or self.name)

    def better(self, new: float, old: float) -> float:
        """By how much `new` is better than `old`; negative where it is worse."""
        return new - old if self.is_higher_better else old - new


def weighted_mean(values: np.ndarray, weights: np.ndarray | None) -> float:
    """Mean of values that count as often as their weights say, (E,) each; NaN of none."""
    total = len(values) if weights is None else weights.sum()
    if not total:
        return math.nan
    return float((values.sum() if weights is None else values @ weights) / total)
