"""Embeddings: learned and sinusoidal positions, and which of them are asked for."""

import keras_nlp
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.layers.embeddings import BertEmbeddings, sinusoids

HIDDEN, LENGTH = 16, 6
IDS = np.arange(12, dtype=np.int32).reshape(2, LENGTH)
KINDS = ["learned", "sinusoidal"]


def make_embeddings(
    position_embedding: str, *, hidden_size: int = HIDDEN, type_vocab_size: int = 2, **options
):
    layer = BertEmbeddings(
        vocab_size=30,
        hidden_size=hidden_size,
        max_position_embeddings=10,
        type_vocab_size=type_vocab_size,
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


@pytest.mark.parametrize("scale", [False, True, None])
@pytest.mark.parametrize("position_embedding", KINDS)
def test_segments_factor_and_layer_norm_may_be_left_out(position_embedding, scale):
    layer = make_embeddings(
        position_embedding, type_vocab_size=0, has_layer_norm=False, scale=scale
    )
    factor = 4.0 if scale or (scale is None and position_embedding == "sinusoidal") else 1.0
    if position_embedding == "learned":
        positions = np.asarray(layer.position_embeddings.embeddings)[:LENGTH]
    else:
        positions = np.asarray(sinusoids(np.arange(LENGTH), HIDDEN))
    expected = factor * np.asarray(layer.word_embeddings.embeddings)[IDS] + positions
    np.testing.assert_allclose(layer(IDS), expected, atol=1e-6)
    names = {weight.path.split("/")[1] for weight in layer.weights}
    learned = {"position_embeddings"} if position_embedding == "learned" else set()
    assert names == {"word_embeddings"} | learned


@pytest.mark.parametrize("position_embedding", KINDS)
def test_one_position_of_all_rows_is_that_of_the_whole_sequence(position_embedding):
    layer = make_embeddings(position_embedding, type_vocab_size=0)
    whole = np.asarray(layer(IDS))
    for position in range(LENGTH):
        one = layer(IDS[:, position : position + 1], position_ids=np.array([[position]]))
        np.testing.assert_allclose(one[:, 0], whole[:, position], atol=1e-6)


def test_a_shared_table_is_one_weight_and_sums_the_gradients_of_both():
    first = make_embeddings("learned", type_vocab_size=0)
    second = make_embeddings(
        "learned", type_vocab_size=0, word_embeddings=first.word_embeddings, has_layer_norm=False
    )
    table = first.word_embeddings.embeddings
    with tf.GradientTape(persistent=True) as tape:
        of_first, of_second = tf.reduce_sum(first(IDS) ** 3), tf.reduce_sum(second(IDS) ** 3)
        of_both = of_first + of_second
    one, other, both = (
        np.asarray(tf.convert_to_tensor(tape.gradient(of, table.value)))
        for of in (of_first, of_second, of_both)
    )
    np.testing.assert_allclose(both, one + other, atol=1e-6)
    assert any(weight is table for weight in second.weights)
    assert len(second.weights) == 2


def test_sines_are_float32_before_they_are_cast():
    assert sinusoids(IDS, HIDDEN).dtype == "float32"
    layer = make_embeddings("sinusoidal", dtype="mixed_bfloat16")
    assert layer(IDS, IDS % 2).dtype == "bfloat16"


@pytest.mark.parametrize("position_embedding", KINDS)
def test_the_length_may_be_unknown_when_the_graph_is_built(position_embedding):
    layer = make_embeddings(position_embedding)
    compiled = tf.function(layer, input_signature=[tf.TensorSpec([None, None], tf.int32)] * 2)
    np.testing.assert_allclose(compiled(IDS, IDS % 2), layer(IDS, IDS % 2), atol=1e-6)
