"""Precision, recall and F1 from counts: the same for classes and for labels."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Counts:
    """How often each of N classes or labels was there, was predicted, and both; each (N,).

    A ratio of nothing to nothing is 0.
    """

    hits: np.ndarray
    support: np.ndarray
    predicted: np.ndarray

    def precision(self) -> np.ndarray:
        """Share of the predicted ones that were there, (N,)."""
        return _ratio(self.hits, self.predicted)

    def recall(self) -> np.ndarray:
        """Share of those that were there that were predicted, (N,)."""
        return _ratio(self.hits, self.support)

    def f1(self) -> np.ndarray:
        """Harmonic mean of precision and recall, (N,)."""
        return _ratio(2.0 * self.hits, self.support + self.predicted)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)
