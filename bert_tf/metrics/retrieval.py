"""Metrics of ranked documents: how far up those stand that were judged to answer a query.

Targets are (Q,) object, of each query a dict of documents and their grades, 0 or more; predictions
(Q,) object, of each query its documents, best first. Definitions are those of trec_eval: a document
that was not judged has the grade 0, and the gain of a grade is the grade.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bert_tf.metrics.metric import Metric, weighted_mean
from bert_tf.metrics.outcomes import Outcomes, object_array


def ranking_outcomes(
    judgements: Sequence[Mapping[Any, float]], ranked: Sequence[Sequence[Any]]
) -> Outcomes:
    """Of the same queries.

    Raises:
        ValueError: a query has no document that answers it.
    """
    for number, grades in enumerate(judgements):
        if not any(grade > 0 for grade in grades.values()):
            raise ValueError(
                "Every query must have a document with a grade above 0. Received: none for query "
                f"{number}. Leave it out."
            )
    return Outcomes(
        targets=object_array([dict(grades) for grades in judgements]),
        predictions=object_array([tuple(documents) for documents in ranked]),
    )


def retrieval_metrics(*, cut: int = 10, recall_cuts: Sequence[int] = (10, 100)) -> list[Metric]:
    """nDCG, the gate's and the first; mean reciprocal rank, mean average precision, recall."""
    return [
        _mean(f"ndcg_at_{cut}", f"nDCG of the first {cut}", lambda *it: _ndcg(*it, cut=cut)),
        _mean(
            f"mrr_at_{cut}",
            f"mean reciprocal rank of the first {cut}",
            lambda *it: _reciprocal_rank(*it, cut=cut),
        ),
        _mean("map", "mean average precision", _average_precision),
        *(
            _mean(
                f"recall_at_{of_recall}",
                f"right documents among the first {of_recall}",
                lambda *it, of_recall=of_recall: _recall(*it, cut=of_recall),
            )
            for of_recall in recall_cuts
        ),
    ]


def _mean(name: str, title: str, of_query: Callable[[np.ndarray, np.ndarray], float]) -> Metric:
    """Over queries; of the grades of its documents in their order, and all grades of its own."""

    def values(outcomes: Outcomes) -> np.ndarray:
        return np.array([of_query(*grades) for grades in outcomes.derive(_grades)])

    def score(outcomes: Outcomes, weights: np.ndarray | None) -> float:
        return weighted_mean(outcomes.derive(values), weights)

    return Metric(name=name, title=title, is_higher_better=True, score=score)


def _grades(outcomes: Outcomes) -> list[tuple[np.ndarray, np.ndarray]]:
    return [
        (
            np.array([grades.get(document, 0) for document in documents], float),
            np.array(sorted((it for it in grades.values() if it > 0), reverse=True), float),
        )
        for grades, documents in zip(outcomes.targets, outcomes.predictions, strict=True)
    ]


def _ndcg(found: np.ndarray, right: np.ndarray, *, cut: int) -> float:
    """Järvelin and Kekäläinen 2002, with the discount log2(1 + rank) from the first rank on."""
    return _gain(found[:cut]) / _gain(right[:cut])


def _gain(grades: np.ndarray) -> float:
    return float((grades / np.log2(2.0 + np.arange(len(grades)))).sum())


def _reciprocal_rank(found: np.ndarray, right: np.ndarray, *, cut: int) -> float:
    places = np.flatnonzero(found[:cut] > 0)
    return 1.0 / (1.0 + places[0]) if len(places) else 0.0


def _average_precision(found: np.ndarray, right: np.ndarray) -> float:
    places = np.flatnonzero(found > 0)
    return float(((1.0 + np.arange(len(places))) / (1.0 + places)).sum() / len(right))


def _recall(found: np.ndarray, right: np.ndarray, *, cut: int) -> float:
    return float((found[:cut] > 0).sum() / len(right))
