"""Embeddings: learned and sinusoidal positions, and which of them are asked for."""

import keras_nlp
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.layers.embeddings import BertEmbeddings, sinusoids

HIDDEN, LENGTH = 16, 6
IDS = np.arange(12, dtype=np.int32).reshape(2, LENGTH)
KINDS = ["learned", "sinusoidal"]


def make_embeddings(position_embedding: str, *, hidden_size: int = HIDDEN, **options):
    layer = BertEmbeddings(
        vocab_size=30,
        hidden_size=hidden_size,
        max_position_embeddings=10,
        type_vocab_size=2,
        position_embedding=position_embedding,
        dropout_rate=0.1,
        initializer_range=0.02,
        layer_norm_eps=1e-12,
        name="embeddings",
        **options,
    )
    layer.build((None, None))
    return layer


@pytest.mark.parametrize("position_embedding", KINDS)
def test_a_sequence_longer_than_the_positions_is_refused(position_embedding):
    long = np.zeros((1, 11), np.int32)
    with pytest.raises(ValueError, match=r"at most max_position_embeddings long. Received: length"):
        make_embeddings(position_embedding)(long, long)


@pytest.mark.parametrize("position_embedding", KINDS)
def test_position_ids_choose_positions(position_embedding):
    layer = make_embeddings(position_embedding)
    restarted = np.array([[0, 1, 2, 0, 1, 2]] * 2, np.int32)
    twice = np.tile(IDS[:, :3], (1, 2))
    zeros = np.zeros_like(IDS)
    output = np.asarray(layer(twice, zeros, position_ids=restarted))
    np.testing.assert_allclose(output[:, :3], output[:, 3:], atol=1e-6)
    np.testing.assert_allclose(output[:, :3], layer(twice, zeros)[:, :3], atol=1e-6)


@pytest.mark.parametrize("hidden_size", [16, 15])
def test_sinusoids_are_those_of_keras_nlp_and_of_the_paper(hidden_size):
    positions = np.arange(50)[None]
    ours = np.asarray(sinusoids(positions, hidden_size))
    theirs = keras_nlp.layers.SinePositionEncoding()(np.zeros((1, 50, hidden_size), np.float32))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert ours[0, 7, 4] == pytest.approx(np.sin(7 / 10000 ** (4 / hidden_size)), abs=1e-6)
    assert ours[0, 7, 5] == pytest.approx(np.cos(7 / 10000 ** (4 / hidden_size)), abs=1e-6)


def test_sinusoidal_positions_have_no_weights_and_scale_the_others_by_the_root_of_the_width():
    layer = make_embeddings("sinusoidal")
    assert sorted(weight.path for weight in layer.weights) == [
        "embeddings/layer_norm/beta",
        "embeddings/layer_norm/gamma",
        "embeddings/token_type_embeddings/embeddings",
        "embeddings/word_embeddings/embeddings",
    ]
    words = np.asarray(layer.word_embeddings.embeddings)
    segments = np.asarray(layer.token_type_embeddings.embeddings)
    x = 4.0 * (words[IDS] + segments[IDS % 2]) + np.asarray(sinusoids(np.arange(6)[None], HIDDEN))
    expected = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    np.testing.assert_allclose(layer(IDS, IDS % 2), expected, atol=1e-5)


def test_sines_are_float32_before_they_are_cast():
    assert sinusoids(IDS, HIDDEN).dtype == "float32"
    layer = make_embeddings("sinusoidal", dtype="mixed_bfloat16")
    assert layer(IDS, IDS % 2).dtype == "bfloat16"


@pytest.mark.parametrize("position_embedding", KINDS)
def test_the_length_may_be_unknown_when_the_graph_is_built(position_embedding):
    layer = make_embeddings(position_embedding)
    compiled = tf.function(layer, input_signature=[tf.TensorSpec([None, None], tf.int32)] * 2)
    np.testing.assert_allclose(compiled(IDS, IDS % 2), layer(IDS, IDS % 2), atol=1e-6)
