"""What the softmax does to gradients, with and without the division by sqrt(size)."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

NUM_KEYS, NUM_QUERIES = 64, 1000
BASE: dict[str, Any] = {"head_size": 64, "is_scaled": True}


def measure(
    settings: Mapping[str, Any], *, seed: int, data: Path, folder: Path
) -> dict[str, float]:
    """Of queries and keys whose components are independent, of mean 0 and variance 1.

    `gradient`: the norm of d weights / d scores, with which every gradient that comes back through
    the softmax is multiplied: the median over the queries; `gradient_mean`, which a few queries
    with two keys of like score hold up; `largest_weight`: a mean, too.

    Source: Vaswani et al. 2017, section 3.2.1 and its footnote 4.
    """
    rng = np.random.default_rng(seed)
    size = settings["head_size"]
    queries = rng.standard_normal((NUM_QUERIES, size))
    keys = rng.standard_normal((NUM_KEYS, size))
    scores = queries @ keys.T  # (queries, keys)
    if settings["is_scaled"]:
        scores /= math.sqrt(size)
    weights = softmax(scores)
    norms = jacobian_norms(weights)
    return {
        "gradient": float(np.median(norms)),
        "gradient_mean": float(norms.mean()),
        "largest_weight": float(weights.max(axis=-1).mean()),
        "score_deviation": float(scores.std()),
    }


def softmax(scores: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def jacobian_norms(weights: np.ndarray) -> np.ndarray:
    """Frobenius norms of diag(p) - p p^T: (queries, keys) -> (queries)."""
    squares = (weights**2).sum(axis=-1)
    return np.sqrt(np.maximum(squares - 2 * (weights**3).sum(axis=-1) + squares**2, 0.0))
