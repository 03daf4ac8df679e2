"""Metrics of ranked documents: by hand, and beside ranx's on random runs."""

import numpy as np
import pytest

from bert_tf.metrics.retrieval import ranking_outcomes, retrieval_metrics


def scores_of(judgements, ranked, **options):
    outcomes = ranking_outcomes(judgements, ranked)
    return {it.name: it.score(outcomes, None) for it in retrieval_metrics(**options)}


def test_two_queries_by_hand():
    judgements = [{"a": 2, "b": 1, "c": 0}, {"x": 1}]
    ranked = [["c", "a", "z", "b"], ["y", "z"]]
    found = scores_of(judgements, ranked, cut=3, recall_cuts=[2, 4])
    ideal = 2 + 1 / np.log2(3)
    assert found["ndcg_at_3"] == pytest.approx((2 / np.log2(3)) / ideal / 2)
    assert found["mrr_at_3"] == pytest.approx(1 / 2 / 2)
    assert found["map"] == pytest.approx((1 / 2 + 2 / 4) / 2 / 2)
    assert (found["recall_at_2"], found["recall_at_4"]) == (0.25, 0.5)


def test_a_query_that_nothing_answers_is_refused():
    with pytest.raises(ValueError, match=r"Every query must have a document.*query 1"):
        ranking_outcomes([{"a": 1}, {"b": 0}], [["a"], ["b"]])


@pytest.mark.filterwarnings("ignore:.*unsafe cast")  # Numba's, of ranx' code
@pytest.mark.parametrize("seed", range(3))
def test_random_runs_have_the_numbers_of_ranx(seed):
    ranx = pytest.importorskip("ranx", reason="needs the bench extra")
    random = np.random.default_rng(seed)
    documents = [f"d{number}" for number in range(300)]
    judgements, ranked = [], []
    for _ in range(100):
        chosen = random.choice(documents, random.integers(1, 15), replace=False)
        grades = dict(
            zip(chosen.tolist(), random.integers(0, 4, len(chosen)).tolist(), strict=True)
        )
        grades[chosen[0]] = 1
        judgements.append(grades)
        ranked.append(random.permutation(documents)[: random.integers(1, 120)].tolist())
    names = [f"q{number}" for number in range(100)]
    qrels = ranx.Qrels(dict(zip(names, judgements, strict=True)))
    run = ranx.Run(
        {
            name: {document: float(1000 - place) for place, document in enumerate(of_query)}
            for name, of_query in zip(names, ranked, strict=True)
        }
    )
    wanted = ranx.evaluate(qrels, run, ["ndcg@10", "mrr@10", "map", "recall@10", "recall@100"])
    found = scores_of(judgements, ranked)
    assert list(found.values()) == pytest.approx([float(it) for it in wanted.values()], abs=1e-9)
