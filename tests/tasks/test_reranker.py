"""The task `reranker`: losses written out, what it reads, a pair served as it was trained."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from bert_tf.config import FinetuningConfig
from bert_tf.data.batches.labelled import labelled_batches
from bert_tf.data.tables.reading import read_table
from bert_tf.data.text.packing import pack
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.models.description import ModelDescription
from bert_tf.models.reranker import RerankingObjective
from bert_tf.tasks.reranker import Reranker

WORDS = [f"w{number}" for number in range(30)]
ROWS = {
    "text": ["w1 w2", "w3", "w4"],
    "text_pair": ["w5", " ".join(WORDS[:20]), "w6"],
    "no": ["w7 w8", "w9", "w1"],
    "not": ["w2", None, "w3"],
}


def make_task(**settings) -> Reranker:
    return Reranker.with_options({"negative_fields": ["no", "not"]} | settings, name="reranker")


def read(task: Reranker, columns: dict):
    section = FinetuningConfig(text_pair_field="text_pair")
    table = read_table(pd.DataFrame(columns), config=section.table, key="train")
    return task.read(table, section)


def describe() -> ModelDescription:
    return ModelDescription(
        kind="reranker",
        architecture={
            "vocab_size": len(CONTROL_TOKENS) + len(WORDS),
            "num_hidden_layers": 1,
            "hidden_size": 16,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "max_position_embeddings": 16,
        },
        max_seq_length=12,
        has_text_pairs=True,
    )


@pytest.fixture(scope="module")
def tokenizer() -> WordPieceTokenizer:
    return WordPieceTokenizer([*CONTROL_TOKENS, *WORDS])


def batch_of(task: Reranker, columns: dict, tokenizer) -> dict[str, tf.Tensor]:
    encoded = task.encode(read(task, columns), describe(), tokenizer=tokenizer)
    (batch,) = labelled_batches(encoded, batch_size=len(columns["text"]), is_training=False)
    return batch


def test_a_row_is_what_the_served_pair_is(tokenizer):
    """Both texts are cut to fit together, the longer one first."""
    task = make_task()
    batch = batch_of(task, ROWS, tokenizer)
    assert batch["input_ids"].shape == (3, 3, 12)
    asked = task.asked(read(task, ROWS))
    packed = pack(
        tokenizer.tokenize(asked["text"]),
        tokenizer.tokenize(asked["text_pair"]),
        max_seq_length=12,
        **tokenizer.frame,
    )
    for name in ("input_ids", "input_mask", "segment_ids"):
        rows = tf.reshape(tf.transpose(batch[name], [1, 0, 2]), [9, 12])
        np.testing.assert_array_equal(rows, packed[name])
    assert batch["has_passage"].numpy().tolist() == [[1, 1, 1], [1, 1, 0], [1, 1, 1]]


LOGITS = np.array([[1.0, 0.5, -1.0], [0.2, 0.9, 5.0]], np.float32)
HAS = np.array([[1, 1, 1], [1, 1, 0]], np.int32)


def sigmoid(x: float) -> float:
    return 1 / (1 + np.exp(-x))


def listwise(row: list[float]) -> float:
    return np.log(np.exp(row).sum()) - row[0]


def pairwise(row: list[float]) -> float:
    return float(np.mean([np.log1p(np.exp(wrong - row[0])) for wrong in row[1:]]))


def pointwise(row: list[float]) -> float:
    wrong = [-np.log(1 - sigmoid(it)) for it in row[1:]]
    return float(np.mean([-np.log(sigmoid(row[0])), *wrong]))


@pytest.mark.parametrize("loss", [listwise, pairwise, pointwise])
def test_losses_of_the_passages_that_are_there(loss):
    objective = RerankingObjective(loss.__name__)
    batch = {"has_passage": tf.constant(HAS), "weights": tf.constant([1.0, 1.0])}
    sums = objective.sums(tf.constant(LOGITS), batch)
    wanted = sum(
        loss([float(it) for it, is_there in zip(*rows, strict=True) if is_there])
        for rows in zip(LOGITS, HAS, strict=True)
    )
    assert float(sums.loss["reranking"]) == pytest.approx(wanted, rel=1e-5)
    assert float(sums.correct["reranking"]) == 1.0
    half = {**batch, "weights": tf.constant([1.0, 0.0])}
    assert float(objective.weights(half)["reranking"]) == 1.0
    one = float(objective.sums(tf.constant(LOGITS), half).loss["reranking"])
    assert one == pytest.approx(loss([float(it) for it in LOGITS[0]]), rel=1e-5)


def test_scores_of_single_passages_are_learnt_as_shares(tokenizer):
    task = make_task(negative_fields=[], loss="pointwise", score_range=[0, 4])
    columns = {"text": ["w1", "w2"], "text_pair": ["w3", "w4"], "label": [1, 4]}
    batch = batch_of(task, columns, tokenizer)
    assert batch["scores"].numpy().tolist() == [0.25, 1.0]
    logits = tf.constant([[0.3], [-0.2]])
    sums = task.objective(describe()).sums(logits, batch)
    first = -0.25 * np.log(sigmoid(0.3)) - 0.75 * np.log(1 - sigmoid(0.3))
    assert float(sums.loss["reranking"]) == pytest.approx(first - np.log(sigmoid(-0.2)), rel=1e-5)
    assert not sums.correct


def test_a_row_is_as_long_as_the_query_and_its_longest_passage():
    from bert_tf.tasks.embedding import Embedding

    examples = read(make_task(), ROWS)
    queries, passages = make_task().parts_of_rows(examples)
    assert queries[0] == ["w1 w2"]
    assert passages[0] == ["w5", "w7 w8", "w2"]
    (texts,) = Embedding().parts_of_rows(examples)
    assert texts[2] == ["w4", "w6", "w1", "w3"]


def test_ranks_are_among_a_querys_own_passages():
    task = make_task()
    examples = read(task, ROWS)
    groups = np.array([[0.9, 0.1, 0.95], [0.5, 0.4, 0.99], [0.2, 0.2, 0.1]])
    for scores in (groups, groups.T.reshape(-1)):  # of evaluation, and of an export's rows
        outcomes = task.outcomes(examples, {"score": scores})
        assert outcomes.predictions.tolist() == [2, 1, 2]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"negative_fields": []}, "negative_fields must name columns for loss=listwise"),
        ({"score_range": [1, 0]}, "the least and then the greatest"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        make_task(**settings)


def test_rows_and_columns_that_do_not_do_are_named():
    task = make_task(negative_fields=[], loss="pointwise")
    columns = {"text": ["a", "b"], "text_pair": ["c", "d"], "label": [0.5, 3]}
    with pytest.raises(ValueError, match=r"score must be from 0 to 1.*Received: 3; in all 1"):
        read(task, columns)
    table = read_table(pd.DataFrame(columns), config=FinetuningConfig().table, key="train")
    with pytest.raises(ValueError, match="must name the passages"):
        task.read(table, FinetuningConfig())
    with pytest.raises(ValueError, match="texts of an example must differ"):
        read(make_task(), {**ROWS, "no": ["w5", "w9", "w1"]})
