"""Texts from texts: what is read, what is written, and how a training of it goes on."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import FinetuningConfig, ModelConfig, validate_config
from bert_tf.data.tables.reading import read_table
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.exporting.source import Source
from bert_tf.metrics.generated_texts import SPACE_F1, text_outcomes
from bert_tf.models.bert import BertEncoder
from bert_tf.models.description import ModelDescription
from bert_tf.models.embedder import BertEmbedder
from bert_tf.models.folder import save_model
from bert_tf.system.signals import TrainingInterruptedError
from bert_tf.tasks.answers import answers_of
from bert_tf.tasks.models import load_model
from bert_tf.tasks.sequence_to_sequence import SequenceToSequence
from bert_tf.tasks.table import task_of
from bert_tf.training.stages.finetuning import finetune

WORDS = ["good", "bad", "film", "plot", "long", "short"]
SHAPE: dict[str, Any] = {
    "num_hidden_layers": 1,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 24,
}


def make_task(**options: Any) -> SequenceToSequence:
    return SequenceToSequence.with_options(options, name="sequence_to_sequence")


def read(task: SequenceToSequence, rows: list[dict[str, str]], **section: Any) -> Any:
    table = read_table(rows, key="finetuning.train_path")
    return task.read(table, FinetuningConfig(**section))


@pytest.fixture
def tokenizer() -> WordPieceTokenizer:
    return WordPieceTokenizer([*CONTROL_TOKENS, *WORDS, "##s"])


def describe(task: SequenceToSequence, tokenizer: Any, **architecture: Any) -> ModelDescription:
    shape = {"num_decoder_layers": 1, **SHAPE, **architecture}
    return ModelDescription(
        kind=task.name,
        architecture=ModelConfig(**shape, vocab_size=tokenizer.vocab_size),
        max_seq_length=16,
        **task.learn(read(task, [{"source": "good", "target": "bad", "text": "good"}])),
    )


def test_sources_and_targets_are_columns_or_two_files_side_by_side(tmp_path):
    (tmp_path / "a.en").write_text("a dog\na cat\n")
    (tmp_path / "a.de").write_text("ein Hund\neine Katze\n")
    task = make_task()
    table = read_table(str(tmp_path / "a.{en,de}"), key="finetuning.train_path")
    found = task.read(table, FinetuningConfig())
    assert found.inputs == {"text": ["a dog", "a cat"]}
    assert found.targets == ["ein Hund", "eine Katze"]
    named = read(task, [{"x": "a", "y": "b"}], text_field="x", label_field="y")
    assert (named.inputs["text"], named.targets) == (["a"], ["b"])


def test_both_sides_are_made_of_texts():
    rows = [{"text": "나는  학교에 간다"}]
    spacing = read(make_task(pairs="spacing"), rows)
    assert spacing.inputs["text"] == ["나는학교에간다"]
    assert spacing.targets == ["나는 학교에 간다"]
    infilling = read(make_task(pairs="infilling"), rows)
    assert infilling.targets == [rows[0]["text"]]


def test_sides_with_nothing_to_read_are_refused_or_left_out():
    rows = [{"source": "a", "target": "b"}, {"source": " ", "target": "b"}]
    with pytest.raises(ValueError, match=r"row 2.*source"):
        read(make_task(), rows)
    assert read(make_task(faults="skip"), rows).targets == ["b"]


def test_what_a_decoder_cannot_do_is_refused(tokenizer):
    rows = [{"source": "a", "target": "b"}]
    with pytest.raises(ValueError, match="max_windows must be 1"):
        read(make_task(), rows, max_windows=2)
    with pytest.raises(ValueError, match="text_pair_field must be left out"):
        read(make_task(), rows, text_pair_field="other")
    for options, shape, message in (
        ({}, {"num_decoder_layers": 0}, "num_decoder_layers must be above 0"),
        ({"decoding": {"max_length": 25}}, {}, "at most max_position_embeddings, 24"),
    ):
        task = make_task(**options)
        description = describe(task, tokenizer, **shape)
        with pytest.raises(ValueError, match=message):
            task.make_model(description, dtype="float32", rematerialize=False)


def test_metrics_are_those_that_the_settings_ask_for():
    outcomes = text_outcomes(["a B c d"], predictions=["A b C d"], sources=["x"])
    cased, uncased = (
        make_task(bleu_lower_case=it, bleu_tokenizer="none").metric("bleu").score(outcomes, None)
        for it in (False, True)
    )
    assert cased < uncased == pytest.approx(100.0)
    assert make_task(pairs="spacing").metric() is SPACE_F1
    assert make_task().metric().name == "bleu"


def test_what_is_found_is_written_as_texts(tokenizer):
    """Two texts, of which one has a single answer; ids beyond an answer's length are not read."""
    task = make_task(decoding={"beam_size": 2, "num_answers": 2})
    good, bad, film, plural = (
        tokenizer.vocabulary.index(it) for it in ("good", "bad", "film", "##s")
    )
    ids = np.array([[[good, film, plural], [bad, 0, 0]], [[film, 0, 0], [0, 0, 0]]], np.int32)
    outputs = {
        "token_ids": ids.transpose(0, 2, 1),
        "lengths": np.array([[3, 1], [1, 0]], np.int32),
        "log_probs": np.array([[-1.0, -2.0], [-3.0, -np.inf]], np.float32),
        "scores": np.array([[-0.5, -1.0], [-1.5, -np.inf]], np.float32),
        "has_ended": np.array([[True, True], [False, False]]),
        "is_found": np.array([[True, True], [True, False]]),
        "has_failed": np.array([False, False]),
    }
    answers = answers_of(task, outputs, describe(task, tokenizer), tokenizer=tokenizer)
    assert answers["n_best_texts"].tolist() == [[b"good films", b"bad"], [b"film", b""]]
    assert answers["generated_text"].tolist() == [b"good films", b"film"]
    assert answers["num_answers"].tolist() == [2, 1]
    assert answers["n_best_scores"].tolist() == [[-0.5, -1.0], [-1.5, 0.0]]
    assert answers["has_ended"].tolist() == [True, False]
    assert answers["status"].tolist() == [b"OK", b"OK"]


def test_scores_that_are_no_numbers_are_told(tokenizer):
    task = make_task(decoding={"max_length": 8})
    description = describe(task, tokenizer)
    model = task.make_model(description, dtype="float32", rematerialize=False)
    for weight in model.weights:
        weight.assign(np.full(weight.shape, np.nan, np.float32))
    inputs = tokenizer.pack(tokenizer.tokenize(tf.constant(["good film"])), max_seq_length=8)
    found = task.predict(model, inputs, description, tokenizer=tokenizer)
    answers = task.written(task.decode(found, description), tokenizer=tokenizer)
    assert answers["num_answers"].numpy().tolist() == [0]
    assert answers["generated_text"].numpy().tolist() == [b""]
    assert b"must be numbers" in answers["status"].numpy()[0]


def test_an_export_may_write_texts_in_another_way(tokenizer, tmp_path):
    task = make_task(decoding={"beam_size": 2, "max_length": 8})
    description = describe(task, tokenizer)
    model = task.make_model(description, dtype="float32", rematerialize=False)
    save_model(model, description, tmp_path)

    def source(**export: Any) -> Source:
        return Source.of(validate_config({"export": {"model": str(tmp_path), **export}}))

    assert task_of(source().description).settings.decoding.beam_size == 2
    other = task_of(source(decoding={"method": "greedy", "max_length": 5}).description)
    assert (other.settings.decoding.method, other.settings.decoding.max_length) == ("greedy", 5)
    with pytest.raises(ValueError, match="must be float32 or bfloat16 for a model with a decoder"):
        source(precision="int8", calibration_texts="texts.txt")
    encoder = describe(task, tokenizer, num_decoder_layers=0).model_copy(update={"kind": "encoder"})
    (tmp_path / "model.json").write_text(encoder.model_copy(update={"pooling": "mean"}).as_json())
    with pytest.raises(ValueError, match=r"export\.decoding must be left out"):
        source(decoding={"max_length": 5})


def make_config(folder: Path, **finetuning: Any) -> Any:
    draw = np.random.default_rng(3)
    for name, number in (("train", 60), ("eval", 12)):
        rows = [draw.choice(WORDS, draw.integers(1, 9)) for _ in range(number)]
        lines = [json.dumps({"source": " ".join(it), "target": " ".join(it[::-1])}) for it in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return validate_config(
        {
            "model": SHAPE | {"num_decoder_layers": 1},
            "finetuning": {
                "task": {
                    "name": "sequence_to_sequence",
                    "batch_tokens": 64,
                    "decoding": {"max_length": 12},
                },
                "from_scratch": True,
                "train_path": str(folder / "train.jsonl"),
                "eval_path": str(folder / "eval.jsonl"),
                "max_seq_length": 12,
                "num_epochs": 1,
                "training": {"precision": "float32", "checkpoint_every_steps": 3},
                **finetuning,
            },
            "tokenizer": {"vocabulary": str(folder / "vocab")},
            "tracking": {"enabled": False},
        },
        origin="test",
    )


def weights_of(folder: Path) -> list[np.ndarray]:
    return [weight.numpy() for weight in load_model(folder).weights]


def test_a_training_that_was_stopped_ends_as_one_that_was_not(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "vocab")
    config = make_config(tmp_path)
    steps: list[int] = []
    whole = finetune(config, tmp_path / "whole")

    def is_stopped() -> bool:
        steps.append(len(steps))
        return len(steps) == 4

    with pytest.raises(TrainingInterruptedError, match="Stopped after step 4"):
        finetune(config, tmp_path / "parts", is_stop_requested=is_stopped)
    parts = finetune(config, tmp_path / "parts")
    assert parts == whole
    for ours, theirs in zip(
        *map(weights_of, (tmp_path / "parts", tmp_path / "whole")), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_micro_batches_and_replicas_are_ways_to_compute_one_step(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "vocab")
    losses = []
    for name, training in (
        ("one", {}),
        ("parts", {"num_logical_devices": 2, "accumulation_steps": 3, "batch_size": 48}),
    ):
        dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        config = make_config(tmp_path, training={"precision": "float32", **training})
        config = config.model_copy(update={"model": config.model.model_copy(update=dropout)})
        losses.append(finetune(config, tmp_path / name))
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_it_starts_from_an_encoder(tokenizer, tmp_path):
    """Encoder and decoder have the encoder's weights before the first step."""
    encoder_config = ModelConfig(**SHAPE, vocab_size=tokenizer.vocab_size)
    keras.utils.set_random_seed(5)
    embedder = BertEmbedder(encoder_config, pooling="mean", normalize=False, has_pooler=False)
    embedder.build(dict.fromkeys(("input_ids", "input_mask", "segment_ids"), (None, None)))
    tokenizer.save(tmp_path / "bert")
    described = ModelDescription(
        kind="encoder",
        architecture=encoder_config,
        max_seq_length=16,
        pooling="mean",
        has_pooler=False,
    )
    save_model(embedder, described, tmp_path / "bert")
    config = make_config(tmp_path, from_scratch=False, pretrained=str(tmp_path / "bert"))
    config = config.model_copy(update={"model": ModelConfig.model_construct()})
    task = make_task()
    architecture = task.architecture(ModelConfig.model_construct(), encoder_config)
    assert architecture.num_decoder_layers == encoder_config.num_hidden_layers
    model = task.make_model(
        describe(task, tokenizer, **architecture.model_dump(include={"num_decoder_layers"})),
        dtype="float32",
        rematerialize=False,
    )
    task.load_pretrained(model, tmp_path / "bert")
    assert isinstance(embedder.encoder, BertEncoder)
    wanted = embedder.encoder.transformer_layers[0].attention.query_key_value.kernel
    for side in (model.encoder, model.decoder):
        found = side.transformer_layers[0].attention.query_key_value.kernel
        np.testing.assert_array_equal(found, wanted)
    metrics = finetune(config, tmp_path / "tuned")
    assert metrics["target_token_loss"] > 0.0
    again = make_config(tmp_path, from_scratch=False, pretrained=str(tmp_path / "tuned"))
    again = again.model_copy(update={"model": ModelConfig.model_construct()})
    tuned = task.make_model(describe(task, tokenizer), dtype="float32", rematerialize=False)
    task.load_pretrained(tuned, tmp_path / "tuned")
    for ours, theirs in zip(tuned.weights, weights_of(tmp_path / "tuned"), strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs)
