"""The task `embedding`: what it reads and refuses, how it is measured, how it is served."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bert_tf.config import FinetuningConfig, validate_config
from bert_tf.conversion.convert import convert_checkpoint
from bert_tf.data.batches.labelled import labelled_batches
from bert_tf.data.tables.reading import read_table
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.metrics.embeddings import passage_ranks
from bert_tf.models.description import ModelDescription, load_description
from bert_tf.models.folder import load_encoder
from bert_tf.tasks.embedding import Embedding
from bert_tf.tasks.models import load_model
from bert_tf.tasks.table import task_of
from bert_tf.training.stages.evaluation import evaluate_model
from bert_tf.training.stages.finetuning import finetune

WORDS = ["good", "bad", "film", "plot", "long", "short"]
PAIRS = {"text": ["good film", "bad film"], "text_pair": ["a good one", "a bad one"]}
PAIR_FIELD = {"text_pair_field": "text_pair"}


def make_task(**settings) -> Embedding:
    return Embedding.with_options(settings, name="embedding")


def read(columns: dict, *, fields: dict | None = None, **settings):
    section = FinetuningConfig(**(PAIR_FIELD if fields is None else fields))
    table = read_table(pd.DataFrame(columns), config=section.table, key="train")
    return make_task(**settings).read(table, section)


def test_texts_of_pairs_triplets_and_scored_pairs():
    assert dict(read(PAIRS).inputs) == PAIRS
    with_negatives = {**PAIRS, "first": ["no", "not"], "second": ["none", None]}
    found = read(with_negatives, negative_fields=["first", "second"])
    assert found.inputs["negative_1"] == ["no", "not"]
    assert found.inputs["negative_2"] == ["none", ""]
    scored = read({**PAIRS, "label": [1.5, 3]}, loss="cosent")
    assert scored.targets == [1.5, 3.0]


@pytest.mark.parametrize(
    ("columns", "settings", "said"),
    [
        ({**PAIRS, "text_pair": ["a", ""]}, {}, "nothing to read|needs a text in 'text_pair'"),
        ({**PAIRS, "text": [" ", "b"]}, {}, "needs a text in 'text'"),
        (
            {**PAIRS, "text_pair": ["good  film", "b"]},
            {},
            "texts of an example must differ.*'text' and in 'text_pair'",
        ),
        (
            {**PAIRS, "no": ["a good one", "b"]},
            {"negative_fields": ["no"]},
            "texts of an example must differ.*'text_pair' and in 'no'",
        ),
        ({**PAIRS, "label": [1.0, None]}, {"loss": "cosent"}, "needs a finite number in 'label'"),
        (
            {**PAIRS, "label": [1.0, 7.0]},
            {"loss": "cosine", "score_range": [0, 5]},
            "score must be from 0 to 5.*Received: 7; in all 1",
        ),
    ],
)
def test_a_row_at_fault_is_named(columns, settings, said):
    with pytest.raises(ValueError, match=said):
        read(columns, **settings)


def test_rows_at_fault_are_left_out_and_told(caplog):
    columns = {"text": ["a", "b", "c"], "text_pair": ["x", "", "c"]}
    found = read(columns, faults="skip")
    assert dict(found.inputs) == {"text": ["a"], "text_pair": ["x"]}
    assert "Rows at fault, left out: 2" in caplog.text
    with pytest.raises(ValueError, match="at least one row without a fault"):
        read({"text": ["a"], "text_pair": ["a"]}, faults="skip")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"loss": "triplet"}, "must name one column for loss=triplet"),
        ({"loss": "cosent", "negative_fields": ["no"]}, "negative_fields are for loss=ranking"),
        ({"loss": "simcse"}, "held_out must name the columns"),
        ({"score_range": [5, 0]}, "the least and then the greatest"),
        ({"los": "ranking"}, "loss"),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        make_task(**settings)


def test_pairs_without_second_texts_and_long_documents_are_refused():
    with pytest.raises(ValueError, match="text_pair_field must name the second texts"):
        read(PAIRS, fields={})
    with pytest.raises(ValueError, match="max_windows must be 1"):
        read(PAIRS, fields={**PAIR_FIELD, "max_windows": 2})


def test_widths_beyond_the_models_are_refused():
    described = description_of(make_task())
    for settings in ({"matryoshka": {64: 1.0}}, {"dimensions": 64}):
        with pytest.raises(ValueError, match=r"at most the model's hidden_size, 32.*64"):
            make_task(**settings).check(read(PAIRS), described)
    taught = {"text": ["a", "b"], "embedding": [[1.0, 2.0], [3.0, 4.0]]}
    task = make_task(loss="distillation", held_out={})
    table = read_table(pd.DataFrame(taught), config=FinetuningConfig().table, key="train")
    with pytest.raises(ValueError, match=r"as wide as the model's, 32\. Received: 2"):
        task.check(task.read(table, FinetuningConfig()), described)


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        ([[1.0], [float("nan")]], "finite numbers"),
        ([[1.0], [1.0, 2.0]], "of one length, 1. Received: 2"),
        ([[1.0], None], "must be a list"),
    ],
)
def test_a_teachers_embedding_at_fault_is_named(vectors, said):
    columns = {"text": ["a", "b"], "embedding": vectors}
    with pytest.raises(ValueError, match=said):
        read(columns, fields={}, loss="distillation", held_out={})


def description_of(task: Embedding, **fields) -> ModelDescription:
    return ModelDescription(
        kind="embedding",
        architecture={
            "vocab_size": len(CONTROL_TOKENS) + len(WORDS),
            "num_hidden_layers": 1,
            "hidden_size": 32,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "max_position_embeddings": 32,
        },
        max_seq_length=16,
        **{**task.inherited(None), **fields},
    )


def test_a_batch_has_a_row_a_text_and_knows_which_are_equal():
    task = make_task(negative_fields=["no"], query_prefix="long ")
    columns = {
        "text": ["good film", "bad plot"],
        "text_pair": ["film", "good film"],
        "no": ["plot", "short"],
    }
    columns["no2"] = [None, "film "]
    task = make_task(negative_fields=["no", "no2"], query_prefix="long ")
    section = FinetuningConfig(**PAIR_FIELD)
    table = read_table(pd.DataFrame(columns), config=section.table, key="train")
    tokenizer = WordPieceTokenizer([*CONTROL_TOKENS, *WORDS])
    encoded = task.encode(task.read(table, section), description_of(task), tokenizer=tokenizer)
    (batch,) = labelled_batches(encoded, batch_size=2, is_training=False)
    assert batch["input_ids"].shape == (2, 4, 8)
    tokens = np.asarray(tokenizer.vocabulary)[batch["input_ids"].numpy()]
    assert tokens[0, 0, :5].tolist() == ["[CLS]", "long", "good", "film", "[SEP]"]
    assert tokens[1, 1, :4].tolist() == ["[CLS]", "good", "film", "[SEP]"]
    ids = batch["text_ids"].numpy()
    assert ids[0, 0] == ids[1, 1], "equal texts, whatever is put before them"
    assert ids[0, 3] == -1
    assert ids[1, 3] == ids[0, 1], "white space makes no other text"
    assert batch["input_mask"].numpy()[0, 3].sum() == 2
    assert encoded.first_tokens()[0].tolist() == [3, 3]


def test_ranks_are_those_of_a_sorted_list():
    random = np.random.default_rng(0)
    queries, passages = random.normal(size=(50, 5)), random.normal(size=(40, 5))
    right = random.integers(0, 40, 50)
    others = [random.integers(0, 40, random.integers(0, 4)) for _ in range(50)]
    found = passage_ranks(queries, passages, right=right, others=others)
    for row in range(50):
        cosines = passages @ queries[row] / np.linalg.norm(passages, axis=1)
        kept = [it for it in range(40) if it == right[row] or it not in others[row]]
        order = sorted(kept, key=lambda it: -cosines[it])
        assert found[row] == 1 + order.index(right[row])


def test_outcomes_of_served_rows_are_those_of_examples():
    """In evaluation an example is one answer, of an export one for each of its texts."""
    task = make_task(negative_fields=["no"])
    examples = read({**PAIRS, "no": ["x", "y"]}, negative_fields=["no"])
    vectors = np.random.default_rng(0).normal(size=(2, 3, 4))
    served = vectors.transpose(1, 0, 2).reshape(6, 4)
    assert task.asked(examples)["text"] == [*PAIRS["text"], *PAIRS["text_pair"], "x", "y"]
    found = [task.outcomes(examples, {"embedding": it}) for it in (vectors, served)]
    assert found[0].predictions.tolist() == found[1].predictions.tolist()
    vectors[1, 2, 0] = np.nan
    with pytest.raises(ValueError, match=r"embeddings must be finite.*in all 1 such"):
        task.outcomes(examples, {"embedding": vectors})


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A small model learnt from single texts, whose held-out data are scored pairs."""
    folder = tmp_path_factory.mktemp("embedding")
    WordPieceTokenizer([*CONTROL_TOKENS, *WORDS]).save(folder / "vocab")
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(WORDS, 5)) for _ in range(64)]
    pd.DataFrame({"document": texts}).to_csv(folder / "train.csv", index=False)
    scored = {"a": texts[:32], "b": texts[32:]}
    scored["score"] = [
        len(set(a.split()) & set(b.split())) for a, b in zip(texts[:32], texts[32:], strict=True)
    ]
    pd.DataFrame(scored).to_csv(folder / "scored.csv", index=False)
    finetune(config_of(folder), folder / "model")
    return folder


def config_of(folder: Path, **finetuning):
    held_out = {"text_field": "a", "text_pair_field": "b", "label_field": "score"}
    section = {
        "task": {
            "name": "embedding",
            "loss": "simcse",
            "held_out": held_out,
            "dimensions": 8,
            "query_prefix": "good ",
            "passage_prefix": "bad ",
        },
        "from_scratch": True,
        "train_path": str(folder / "train.csv"),
        "eval_path": str(folder / "scored.csv"),
        "text_field": "document",
        "max_seq_length": 16,
        "num_epochs": 1,
        "training": {"batch_size": 16, "precision": "float32"},
        **finetuning,
    }
    model = description_of(make_task()).architecture.model_dump(exclude_unset=True)
    return validate_config(
        {
            "model": model,
            "tokenizer": {"vocabulary": str(folder / "vocab")},
            "finetuning": section,
            "evaluation": {"model": str(folder / "model"), "data": str(folder / "scored.csv")},
            "tracking": {"enabled": False},
        }
    )


def test_held_out_pairs_may_have_other_columns_than_the_training(work):
    metrics = json.loads((work / "model" / "metrics.json").read_text())
    assert -1 <= metrics["spearman"] <= 1
    assert "spearman_low" in metrics
    description = load_description(work / "model")
    assert (description.kind, description.pooling) == ("embedding", "mean")
    assert not description.has_pooler


def test_a_plain_encoder_is_evaluated_as_an_embedding(work, tmp_path):
    """So a model is measured before it is trained."""
    convert_checkpoint(work / "model", tmp_path / "hf", target_format="huggingface")
    convert_checkpoint(tmp_path / "hf", tmp_path / "plain")
    assert load_description(tmp_path / "plain").kind == "encoder"
    config = config_of(work)
    evaluation = config.evaluation.model_copy(update={"model": str(tmp_path / "plain")})
    found = evaluate_model(config.model_copy(update={"evaluation": evaluation}), tmp_path / "found")
    wanted = evaluate_model(config, tmp_path / "wanted")
    assert found["spearman"] == pytest.approx(wanted["spearman"], abs=1e-6)
    assert task_of(load_description(tmp_path / "plain")) is None


def test_a_folder_of_sentence_transformers_gives_the_same_vectors(work, tmp_path):
    library = pytest.importorskip("sentence_transformers", reason="needs the bench extra")
    convert_checkpoint(work / "model", tmp_path / "out", target_format="huggingface")
    reference = library.SentenceTransformer(str(tmp_path / "out"), device="cpu")
    texts = ["good film", "bad long plot short"]
    model, tokenizer = load_model(work / "model"), WordPieceTokenizer.load(work / "model")
    from bert_tf.data.text.packing import pack

    packed = pack(tokenizer.tokenize(texts), max_seq_length=16, **tokenizer.frame)
    found = model(packed)["embedding"].numpy()
    np.testing.assert_allclose(found, reference.encode(texts), atol=1e-5)


def test_a_further_training_pools_as_the_model_it_starts_from(work):
    stored = load_description(work / "model").model_copy(
        update={"pooling": "cls", "normalize_embeddings": True}
    )
    assert make_task().inherited(stored)["pooling"] == "cls"
    assert make_task().inherited(stored)["normalize_embeddings"] is True
    assert make_task(pooling="max").inherited(stored)["pooling"] == "max"
    pretrained = stored.model_copy(update={"kind": "pretraining"})
    assert make_task().inherited(pretrained)["pooling"] == "mean"
    other = load_model(work / "model")
    load_encoder(other, work / "model")


def test_an_export_cuts_prefixes_and_gives_whole_embeddings_beside(work, tmp_path):
    import bert_tf

    bert_tf.export(work / "model", output_dir=tmp_path / "served")
    served = bert_tf.load(tmp_path / "served")
    whole = served.embed(["good film", "bad film", "film"])
    default = np.stack(served.predict(["good film", "bad film"])["embedding"].to_list())
    assert whole.shape == (3, 32)
    cut = whole[:2, :8] / np.linalg.norm(whole[:2, :8], axis=1, keepdims=True)
    np.testing.assert_allclose(default, cut, atol=1e-5)
    for name, row in (("embed_query", 0), ("embed_passage", 1)):
        answer = served.predict(["film"], signature_name=name)["embedding"][0]
        np.testing.assert_allclose(answer, default[row], atol=1e-5)
