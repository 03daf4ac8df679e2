"""Sentence embeddings: every pooling against plain NumPy; padding is never read."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import ModelConfig
from bert_tf.models.description import ModelDescription
from bert_tf.models.embedder import POOLINGS, BertEmbedder
from bert_tf.tasks.models import build_model
from tests.references import ARCHITECTURE, random_batch, randomize

ROWS = {
    "cls": lambda tokens: tokens[0],
    "mean": lambda tokens: tokens.mean(axis=0),
    "mean_sqrt_len": lambda tokens: tokens.sum(axis=0) / np.sqrt(len(tokens)),
    "max": lambda tokens: tokens.max(axis=0),
}
"""One embedding of the vectors (tokens, hidden) that are no padding."""


def make_embedder(*, pooling, normalize=False, dtype="float32"):
    description = ModelDescription(
        kind="encoder",
        architecture=ARCHITECTURE,
        max_seq_length=20,
        pooling=pooling,
        normalize_embeddings=normalize,
    )
    model = build_model(description, dtype=dtype)
    randomize(model)
    return model


def expected_embedding(outputs, batch, *, pooling):
    if pooling == "pooler":
        return np.asarray(outputs["pooled_output"], np.float64)
    hidden = np.asarray(outputs["sequence_output"], np.float64)
    is_token = batch["input_mask"].astype(bool)
    return np.stack([ROWS[pooling](row[keep]) for row, keep in zip(hidden, is_token, strict=True)])


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("normalize", [False, True])
def test_embedding_equals_numpy(pooling, normalize):
    batch = random_batch()
    outputs = make_embedder(pooling=pooling, normalize=normalize)(batch)
    expected = expected_embedding(outputs, batch, pooling=pooling)
    if normalize:
        expected = expected / np.linalg.norm(expected, axis=-1, keepdims=True)
        np.testing.assert_allclose(np.linalg.norm(outputs["embedding"], axis=-1), 1.0, atol=1e-6)
    np.testing.assert_allclose(np.asarray(outputs["embedding"]), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_changes_nothing(pooling):
    model = make_embedder(pooling=pooling)
    batch = random_batch(length=8)
    whole = {name: value[1:2] for name, value in batch.items()}  # a row without padding
    padded = {name: np.pad(whole[name], ((0, 0), (0, 5))) for name in ("input_mask", "segment_ids")}
    padded["input_ids"] = np.pad(whole["input_ids"], ((0, 0), (0, 5)), constant_values=7)
    np.testing.assert_allclose(
        np.asarray(model(padded)["embedding"]),
        np.asarray(model(whole)["embedding"]),
        rtol=0,
        atol=1e-5,
    )


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("normalize", [False, True])
def test_text_of_padding_alone_gives_finite_numbers_and_gradients(pooling, normalize):
    model = make_embedder(pooling=pooling, normalize=normalize)
    batch = random_batch()
    batch["input_mask"][0] = 0
    with tf.GradientTape() as tape:
        embedding = model(batch, training=True)["embedding"]
        loss = tf.reduce_sum(embedding[1:] ** 3)
    assert np.isfinite(np.asarray(embedding)).all()
    for weight, gradient in zip(
        model.weights,
        tape.gradient(loss, [weight.value for weight in model.weights]),
        strict=True,
    ):
        if gradient is not None:  # the pooler's, of the other poolings
            assert np.isfinite(tf.convert_to_tensor(gradient)).all(), weight.path
        else:
            assert "pooler" in weight.path


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_is_float32_whatever_the_compute_type(pooling):
    batch = random_batch()
    outputs = make_embedder(pooling=pooling, dtype="mixed_bfloat16")(batch)
    assert outputs["sequence_output"].dtype == "bfloat16"
    assert outputs["embedding"].dtype == "float32"
    outputs = {name: np.asarray(value, np.float32) for name, value in outputs.items()}
    expected = expected_embedding(outputs, batch, pooling=pooling)
    np.testing.assert_allclose(outputs["embedding"], expected, rtol=0, atol=2e-6)


def test_configuration_round_trips():
    model = BertEmbedder(ARCHITECTURE, pooling="max", normalize=True, has_pooler=False)
    copy = BertEmbedder.from_config(model.get_config())
    assert copy.get_config() == model.get_config()
    assert isinstance(copy.config, ModelConfig)


def test_unknown_pooling_and_a_pooler_that_is_not_there_are_refused():
    with pytest.raises(ValueError, match=r"pooling must be one of pooler, cls, mean"):
        BertEmbedder(ARCHITECTURE, pooling="median", normalize=False)
    with pytest.raises(ValueError, match=r"`pooler` needs a pooler"):
        BertEmbedder(ARCHITECTURE, pooling="pooler", normalize=False, has_pooler=False)
