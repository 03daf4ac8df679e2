"""A step on packed rows is the step on padded ones."""

import random
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.data.batches.row_packing import pack_batches
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.models import build_model
from bert_tf.training.engine.objective import PretrainingObjective, total_loss
from bert_tf.training.stages.pretraining import pretrain
from tests.references import ARCHITECTURE, randomize
from tests.training.runs import make_run, random_batches, train_and_read
from tests.training.test_opened_records import TOKENS, make_config, make_record

LENGTH = 40


def padded(step: int = 0, *, length: int = LENGTH) -> tf.data.Dataset:
    """`random_batches`, padded further: several sequences fit a row."""

    def pad(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        missing = length - batch["input_ids"].shape[1]
        tokens = ("input_ids", "input_mask", "segment_ids")
        return batch | {name: tf.pad(batch[name], [[0, 0], [0, missing]]) for name in tokens}

    return random_batches(step).map(pad)


def packed(step: int = 0, *, length: int = LENGTH, num_parts: int = 1) -> tf.data.Dataset:
    batches = padded(step, length=length)
    return pack_batches(batches, num_parts=num_parts, masked_lm_prob=0.15, pad_id=0)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Without dropout."""
    architecture = ARCHITECTURE.model_copy(update={"max_position_embeddings": LENGTH})
    model = build_model(
        ModelDescription(kind="pretraining", architecture=architecture, max_seq_length=LENGTH)
    )
    randomize(model)
    return model


def loss_and_gradients(
    model: keras.Model, batch: Any, *, num_parts: int = 1
) -> tuple[Any, Any, list[Any]]:
    """Loss, sums and gradients of a step, its rows dealt to `num_parts` one after another."""
    objective = PretrainingObjective()
    weights = objective.weights(batch)
    num_rows = len(batch["input_ids"]) // num_parts
    parts = []
    for index in range(num_parts):
        rows = slice(index * num_rows, (index + 1) * num_rows)
        part = {name: value[rows] for name, value in batch.items()}
        with tf.GradientTape() as tape:
            sums = objective.sums(model(part, training=True), part)
            loss = total_loss(sums.loss, weights)
        gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
        parts.append((loss, sums, [tf.convert_to_tensor(gradient) for gradient in gradients]))
    loss, sums, gradients = tf.nest.map_structure(lambda *values: sum(values), *parts)
    return loss, (sums, weights), gradients


@pytest.mark.parametrize("num_parts", [1, 2])
def test_packed_and_padded_batches_have_equal_loss_sums_and_gradients(
    model: keras.Model, num_parts: int
) -> None:
    rows, one_a_row = next(iter(packed(num_parts=num_parts))), next(iter(padded()))
    assert len(rows["input_ids"]) <= len(one_a_row["input_ids"]) / 2
    loss, sums, gradients = loss_and_gradients(model, rows, num_parts=num_parts)
    expected_loss, expected_sums, expected = loss_and_gradients(model, one_a_row)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
    for value, other in zip(tf.nest.flatten(sums), tf.nest.flatten(expected_sums), strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-5)
    for variable, gradient, other in zip(
        model.trainable_variables, gradients, expected, strict=True
    ):
        np.testing.assert_allclose(gradient, other, atol=1e-5, rtol=1e-4, err_msg=variable.path)


@pytest.mark.parametrize("training", [False, True])
def test_a_sequence_does_not_feel_what_shares_its_row(model: keras.Model, training: bool) -> None:
    batch = next(iter(packed()))
    is_second = batch["sequence_ids"] == 2
    changed = batch | {
        "input_ids": tf.where(is_second, (batch["input_ids"] + 7) % 60, batch["input_ids"])
    }
    before = model.encoder(batch, training=training)
    after = model.encoder(changed, training=training)
    differs = np.any(before["sequence_output"].numpy() != after["sequence_output"].numpy(), axis=-1)
    is_other = (batch["input_mask"].numpy() == 1) & ~is_second.numpy()
    assert differs[is_second.numpy()].all()
    assert not differs[is_other].any()
    differs = np.any(before["pooled_output"].numpy() != after["pooled_output"].numpy(), axis=-1)
    assert differs[:, 1].any()
    assert not differs[:, 0].any()


@pytest.mark.slow
@pytest.mark.parametrize(("num_replicas", "accumulation_steps"), [(1, 1), (2, 1), (2, 2)])
def test_a_packed_step_does_not_depend_on_how_it_is_split(
    tmp_path: Path, num_replicas: int, accumulation_steps: int
) -> None:
    def run(name: str, **options: Any) -> Any:
        return train_and_read(make_run(tmp_path / name, num_steps=2, eval_batches=None, **options))

    num_parts = num_replicas * accumulation_steps
    expected, _ = run("padded", train_batches=lambda step: padded(step, length=20))
    seen, _ = run(
        "packed",
        num_replicas=num_replicas,
        accumulation_steps=accumulation_steps,
        train_batches=lambda step: packed(step, length=20, num_parts=num_parts),
    )
    for name in ("train/loss", "train/gradient_norm", "train/next_sentence_loss"):
        np.testing.assert_allclose(
            [step[name] for step in seen], [step[name] for step in expected], rtol=1e-4
        )
    for step in seen:  # 8 sequences a step, however many rows
        rate = step["train/sequences_per_second"] * step["train/seconds_per_step"]
        assert rate == pytest.approx(8)


@pytest.mark.flows
def test_pretraining_with_packed_rows_is_pretraining_with_padded_ones(tmp_path: Path) -> None:
    """On static records; the packed run on two replicas."""
    (tmp_path / "vocab.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    draw = random.Random(0)
    for name in ("train-0.tfrecord", "heldout-0.tfrecord"):
        with tf.io.TFRecordWriter(str(tmp_path / name)) as writer:
            for _ in range(20):
                writer.write(make_record(draw, **short_sequence(draw)))
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    results: list[dict[str, float]] = []
    for options in ({}, {"pack_sequences": True, "num_logical_devices": 2}):
        config = make_config(tmp_path)
        training = config.pretraining.training.model_copy(update=options)
        pretraining = config.pretraining.model_copy(update={"training": training})
        model = config.model.model_copy(update=rates)
        config = config.model_copy(update={"model": model, "pretraining": pretraining})
        results.append(pretrain(config, tmp_path / str(len(results))))
    assert results[0].keys() == results[1].keys()
    for name, value in results[0].items():
        assert results[1][name] == pytest.approx(value, rel=1e-4), name


def short_sequence(draw: random.Random) -> dict[str, list[int]]:
    """Four tokens in a record for twelve: three lie in a row."""
    return {
        "input_ids": [2, 4, draw.randint(5, 14), 3] + [0] * 8,
        "input_mask": [1] * 4 + [0] * 8,
        "segment_ids": [0] * 12,
        "masked_lm_positions": [1, 0],
        "masked_lm_ids": [draw.randint(5, 14), 0],
    }
