"""Exact search beside a sort of everything; which passages become negatives."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from click.testing import CliRunner

from bert_tf.cli.main import main
from bert_tf.retrieval.evaluation import evaluate_retrieval, read_retrieval_set
from bert_tf.retrieval.mining import MiningRules, mine_negatives
from bert_tf.retrieval.search import nearest


@pytest.mark.parametrize("block_rows", [1, 7, 100])
@pytest.mark.parametrize("num_nearest", [1, 5, 200])
def test_search_is_a_sort_of_all_cosines(block_rows, num_nearest):
    random = np.random.default_rng(0)
    queries, passages = random.normal(size=(9, 6)), random.normal(size=(60, 6))
    passages[40] = 2 * passages[3]  # equal cosines: the lower number is first
    blocks = [passages[start : start + block_rows] for start in range(0, 60, block_rows)]
    numbers, cosines = nearest(queries, blocks, num_nearest=num_nearest)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, passages)]
    wanted = unit[0] @ unit[1].T
    order = np.argsort(-wanted.astype(np.float32).round(6), axis=1, kind="stable")
    np.testing.assert_array_equal(numbers, order[:, : min(num_nearest, 60)])
    np.testing.assert_allclose(cosines, np.take_along_axis(wanted, numbers, axis=1), atol=1e-6)


def test_vectors_at_fault_are_told():
    good = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"queries must be finite numbers.*the first at 1"):
        nearest(np.array([[1.0], [np.nan]]), [np.ones((1, 1))], num_nearest=1)
    with pytest.raises(ValueError, match="passages must be finite"):
        nearest(good, [good, good * np.inf], num_nearest=1)
    with pytest.raises(ValueError, match=r"by one model\. Received: widths 3 and 2"):
        nearest(good, [np.ones((1, 2))], num_nearest=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text is numbers with commas: its embedding."""
    return save_numbers(tmp_path_factory.mktemp("model") / "numbers")


def save_numbers(path: Path, *, mirrored: bool = False) -> Path:
    class Numbers(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def embed(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
            parts = tf.strings.split(text, ",").to_tensor("0", shape=[None, 2])
            numbers = tf.strings.to_number(parts)
            # A passage on the right is as one on the left.
            return {"embedding": tf.abs(numbers) if mirrored else numbers}

    module = Numbers()
    tf.saved_model.save(
        module, str(path), signatures={"serving_default": module.embed, "embed": module.embed}
    )
    return path


def at(degrees: float) -> str:
    """A text whose embedding points there."""
    return f"{np.cos(np.radians(degrees)):.6f},{np.sin(np.radians(degrees)):.6f}"


PAIRS = {"q": [at(0), at(0), at(90)], "p": [at(10), at(30), at(100)], "id": [1, 2, 3]}


def mine(model: Path, tmp_path: Path, *, corpus: list[str] = (), pairs=PAIRS, **rules):
    pd.DataFrame(pairs).to_csv(tmp_path / "pairs.csv", index=False)
    pd.DataFrame({"text": [*corpus]}).to_csv(tmp_path / "corpus.csv", index=False)
    path = mine_negatives(
        model,
        str(tmp_path / "pairs.csv"),
        tmp_path / "out.jsonl",
        query_field="q",
        passage_field="p",
        corpus=str(tmp_path / "corpus.csv") if corpus else None,
        rules=MiningRules(**rules),
    )
    return pd.read_json(path, lines=True)


def test_the_nearest_that_answers_no_pair_of_the_query_is_its_negative(model, tmp_path):
    found = mine(model, tmp_path, corpus=[at(20), at(0), f" {at(10)}", at(60)], num_negatives=2)
    assert found.columns.tolist() == ["q", "p", "id", "negative_1", "negative_2"]
    # at(0) is the query itself; " at(10)" an answer with white space before it.
    assert found["negative_1"].tolist() == [at(20), at(20), at(60)]
    assert found["negative_2"].tolist() == [at(60), at(60), at(30)]
    assert not list(tmp_path.glob(".*mining"))


def test_rules_leave_out_what_may_be_an_answer(model, tmp_path):
    corpus = [at(1), at(5), at(25), at(70)]
    ranks = mine(model, tmp_path, corpus=corpus, first_rank=2, last_rank=3)
    assert ranks["negative_1"].tolist()[0] == at(5)
    margin = mine(model, tmp_path, corpus=corpus, margin=0.05)
    # The cosine to at(10) is 0.985, to at(25) 0.906: the first that is 0.05 below.
    assert margin["negative_1"].tolist()[0] == at(25)
    capped = mine(model, tmp_path, corpus=corpus, largest_cosine=0.5)
    assert capped["negative_1"].tolist()[0] == at(70)
    drawn = [
        mine(model, tmp_path, corpus=corpus, choice="random", seed=seed)["negative_1"][0]
        for seed in (0, 0, 1, 2, 3)
    ]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 1


def test_fewer_candidates_than_asked_and_none(model, tmp_path):
    few = mine(model, tmp_path, num_negatives=3)
    assert few["negative_1"].tolist()[2] == at(30)
    assert few["negative_3"].isna().all()
    with pytest.raises(ValueError, match=r"some pair must have a negative\. Received: none of 3"):
        mine(model, tmp_path, largest_cosine=-0.9)
    with pytest.raises(ValueError, match="first_rank must be from 1 to last_rank"):
        MiningRules(first_rank=9, last_rank=3)
    with pytest.raises(ValueError, match="must leave the negatives a name"):
        mine(model, tmp_path, pairs={**PAIRS, "negative_1": ["", "", ""]})


def test_a_run_that_ended_after_embedding_does_not_embed_again(model, tmp_path, monkeypatch):
    from bert_tf.retrieval import embedding, mining

    def fail(*_args, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(mining, "_negatives", fail)
        with pytest.raises(KeyboardInterrupt):
            mine(model, tmp_path)
    assert (tmp_path / ".out.jsonl.mining" / "passage.parquet").is_file()
    embedded = []
    plain = embedding.embed_table
    monkeypatch.setattr(
        embedding,
        "embed_table",
        lambda *args, **options: embedded.append(args) or plain(*args, **options),
    )
    other = mine(model, tmp_path)
    assert not embedded
    assert len(other) == 3
    mine(model, tmp_path, corpus=[at(50)])
    assert len(embedded) == 2, "everything is embedded anew once it is done"


def test_the_command_says_where_its_output_is(model, tmp_path):
    pd.DataFrame(PAIRS).to_csv(tmp_path / "pairs.csv", index=False)
    out = tmp_path / "mined.csv"
    arguments = ["--model", str(model), "--pairs", str(tmp_path / "pairs.csv")]
    fields = ["--query-field", "q", "--passage-field", "p", "--output", str(out)]
    result = CliRunner().invoke(main, ["mine-negatives", *arguments, *fields])
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(out)
    assert pd.read_csv(out)["negative_1"].tolist()[0] == at(100)


@pytest.fixture
def beir(tmp_path) -> Path:
    """Queries, a corpus and judgements as BEIR has them."""
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    corpus = pd.DataFrame({"_id": ["1", "2", "3"], "title": "", "text": [at(0), at(40), at(90)]})
    corpus.to_json(folder / "corpus.jsonl", orient="records", lines=True)
    queries = pd.DataFrame({"_id": ["a", "b", "c"], "text": [at(10), at(80), at(0)]})
    queries.to_json(folder / "queries.jsonl", orient="records", lines=True)
    lines = ["query-id\tcorpus-id\tscore", "a\t1\t1", "b\t2\t1", "c\t3\t0"]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_a_search_is_measured_on_the_queries_that_have_an_answer(model, beir, tmp_path):
    arguments = ["--model", str(model), "--data", str(beir), "--output-dir", str(tmp_path / "out")]
    result = CliRunner().invoke(main, ["evaluate-retrieval", *arguments])
    assert result.exit_code == 0, result.output
    metrics = json.loads(result.stdout)
    assert metrics["mrr_at_10"] == pytest.approx((1 + 1 / 2) / 2)
    assert metrics["ndcg_at_10"] == pytest.approx((1 + 1 / np.log2(3)) / 2, abs=1e-6)
    assert metrics["map_low"] <= metrics["map"] <= metrics["map_high"]
    assert "nDCG of the first 10" in (tmp_path / "out" / "retrieval.md").read_text()


def test_embeddings_of_another_model_are_not_taken_for_its_own(model, beir, tmp_path):
    corpus = pd.DataFrame({"_id": ["1", "2", "3"], "title": "", "text": [at(180), at(40), at(90)]})
    corpus.to_json(beir / "corpus.jsonl", orient="records", lines=True)
    other = save_numbers(tmp_path / "mirrored", mirrored=True)
    found = [
        evaluate_retrieval(it, beir, tmp_path / "out")["mrr_at_10"] for it in (model, other, model)
    ]
    assert found == pytest.approx([(1 / 3 + 1 / 2) / 2, (1 + 1 / 2) / 2, (1 / 3 + 1 / 2) / 2])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("d\t1\t1", "judgement must be of a query that is there. Received: 'd'"),
        ("a\t9\t1", "judgement must be of a document that is there. Received: '9'"),
        ("a\t2\tgood", "needs a finite number in 'score'"),
    ],
)
def test_a_judgement_at_fault_is_named(beir, line, said):
    with (beir / "qrels" / "test.tsv").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=f"test.tsv:5.*{said}"):
        read_retrieval_set(beir)


def test_sets_at_fault_are_told(beir):
    with pytest.raises(FileNotFoundError, match=r"must hold dev\.jsonl"):
        read_retrieval_set(beir, split="dev")
    (beir / "corpus.jsonl").write_text(2 * '{"_id": "1", "text": "x"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"ids must differ\. Received: '1' once more"):
        read_retrieval_set(beir)
