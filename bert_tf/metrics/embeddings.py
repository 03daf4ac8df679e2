"""Metrics of embeddings: where each query's passage stands among all passages.

Predictions are (E,) int: the rank of the right passage, 1 the best; targets are all 1. How alike
two texts are is measured by the metrics of `regression`, of cosines and scores.
"""

from collections.abc import Callable, Sequence

import numpy as np

from bert_tf.metrics.metric import Metric, weighted_mean
from bert_tf.metrics.outcomes import Outcomes

CUT = 10
_ROWS_A_BLOCK = 256


def passage_ranks(
    queries: np.ndarray, passages: np.ndarray, *, right: np.ndarray, others: Sequence[np.ndarray]
) -> np.ndarray:
    """The rank of each query's right passage by cosine, (Q,) int from 1; of equals it is the last.

    Args:
        queries: float (Q, W).
        passages: float (P, W), each text once.
        right: int (Q), the passage of each query.
        others: of each query further passages that are right as well, which are left out.
    """
    queries, passages = _of_length_1(queries), _of_length_1(passages)
    ranks = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), _ROWS_A_BLOCK):
        rows = np.arange(start, min(start + _ROWS_A_BLOCK, len(queries)))
        cosines = queries[rows] @ passages.T
        own = cosines[np.arange(len(rows)), right[rows]][:, np.newaxis]
        is_before = cosines >= own
        is_before[np.arange(len(rows)), right[rows]] = False
        for place, of_row in enumerate(others[start : start + len(rows)]):
            is_before[place, of_row] = False
        ranks[rows] = 1 + is_before.sum(axis=1)
    return ranks


def rank_outcomes(vectors: np.ndarray, keys: Sequence[Sequence[str | None]]) -> Outcomes:
    """Ranks of the second text of each example among the second and further ones of all.

    The second texts of other examples with the same first text are right as well: left out.

    Args:
        vectors: float (E, T, W), of T texts an example.
        keys: T columns of what tells texts apart; None where an example has no such text.
    """
    places: dict[str, int] = {}
    first_with: list[tuple[int, int]] = []
    for column, of_column in enumerate(keys[1:], start=1):
        for row, key in enumerate(of_column):
            if key is not None and places.setdefault(key, len(first_with)) == len(first_with):
                first_with.append((row, column))
    right = np.array([places[str(key)] for key in keys[1]])
    of_query: dict[str | None, list[int]] = {}
    for query, place in zip(keys[0], right.tolist(), strict=True):
        of_query.setdefault(query, []).append(place)
    ranks = passage_ranks(
        vectors[:, 0],
        np.stack([vectors[row, column] for row, column in first_with]),
        right=right,
        others=[np.array(of_query[query]) for query in keys[0]],
    )
    return Outcomes(targets=np.ones_like(ranks), predictions=ranks)


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of the rows of two arrays (E, W): (E,)."""
    product: np.ndarray = (_of_length_1(first) * _of_length_1(second)).sum(axis=-1)
    return product


def _of_length_1(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, np.float64)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _mean_over(value: Callable[[np.ndarray], np.ndarray]) -> Callable[..., float]:
    def score(outcomes: Outcomes, weights: np.ndarray | None) -> float:
        return weighted_mean(value(outcomes.predictions), weights)

    return score


MRR = Metric(
    name="mrr_at_10",
    title=f"mean reciprocal rank of the first {CUT}",
    is_higher_better=True,
    score=_mean_over(lambda ranks: np.where(ranks <= CUT, 1.0 / ranks, 0.0)),
)
"""Mean of 1 / rank, 0 beyond the tenth. NaN of no queries."""

NDCG = Metric(
    name="ndcg_at_10",
    title=f"nDCG of the first {CUT}",
    is_higher_better=True,
    score=_mean_over(lambda ranks: np.where(ranks <= CUT, 1.0 / np.log2(1.0 + ranks), 0.0)),
)
"""Of one right passage the discount of its rank (Järvelin and Kekäläinen 2002)."""


def recall_at(cut: int) -> Metric:
    """Share of queries whose passage is among the first `cut`."""
    return Metric(
        name=f"recall_at_{cut}",
        title=f"right passage among the first {cut}",
        is_higher_better=True,
        score=_mean_over(lambda ranks: (ranks <= cut).astype(float)),
    )


def rank_rows(outcomes: Outcomes) -> list[dict[str, object]]:
    """How many queries have their passage at which ranks: `ranks`, `support`, `share`."""
    edges = [1, 2, 3, 5, 10, 100, np.inf]
    named = []
    for low, high in zip([0, *edges], edges, strict=False):
        is_here = (outcomes.predictions > low) & (outcomes.predictions <= high)
        name = str(high) if high - low == 1 else f"{low + 1:g} to {high:g}"
        name = f"beyond {low:g}" if high == np.inf else name
        named.append({"name": name, "support": int(is_here.sum()), "share": float(is_here.mean())})
    return named
