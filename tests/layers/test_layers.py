"""What all layers share: serialisation, dtype policies, a compiled step, initial values."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from bert_tf.layers.attention import MultiHeadAttention
from bert_tf.layers.dropout import Dropout, dropout_seed
from bert_tf.layers.embeddings import BertEmbeddings
from bert_tf.layers.heads import ClassificationHead, MaskedLanguageModelHead, Pooler
from bert_tf.layers.transformer import TransformerLayer
from bert_tf.layers.transformer_decoder import TransformerDecoderLayer

HIDDEN = np.random.default_rng(0).normal(size=(2, 6, 16)).astype(np.float32)
IDS = np.arange(12, dtype=np.int32).reshape(2, 6)
POSITIONS = np.array([[0, 3], [5, 1]], np.int32)
MEMORY = np.random.default_rng(2).normal(size=(2, 5, 16)).astype(np.float32)
TABLE = np.random.default_rng(1).normal(size=(30, 16)).astype(np.float32)
TRANSFORMER = {
    "num_heads": 4,
    "intermediate_size": 32,
    "activation": "gelu",
    "dropout_rate": 0.1,
    "attention_dropout_rate": 0.1,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
}
EMBEDDINGS = {
    "vocab_size": 30,
    "hidden_size": 16,
    "max_position_embeddings": 10,
    "type_vocab_size": 2,
    "dropout_rate": 0.1,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
}
DECODED = (HIDDEN, MEMORY, np.tril(np.ones((1, 1, 6, 6), bool)))
"""Inputs of a decoder layer, with the causal mask."""
CASES = [
    (lambda **k: Dropout(0.5, **k), (HIDDEN,)),
    (
        lambda **k: MultiHeadAttention(
            16, num_heads=4, dropout_rate=0.1, initializer_range=0.02, **k
        ),
        (HIDDEN,),
    ),
    (lambda **k: BertEmbeddings(**EMBEDDINGS, position_embedding="learned", **k), (IDS, IDS % 2)),
    (
        lambda **k: BertEmbeddings(**EMBEDDINGS, position_embedding="sinusoidal", **k),
        (IDS, IDS % 2),
    ),
    (lambda **k: TransformerLayer(16, **TRANSFORMER, norm_first=False, **k), (HIDDEN,)),
    (lambda **k: TransformerLayer(16, **TRANSFORMER, norm_first=True, **k), (HIDDEN,)),
    (lambda **k: TransformerDecoderLayer(16, **TRANSFORMER, norm_first=False, **k), DECODED),
    (lambda **k: TransformerDecoderLayer(16, **TRANSFORMER, norm_first=True, **k), DECODED),
    (lambda **k: Pooler(16, initializer_range=0.02, **k), (HIDDEN,)),
    (
        lambda **k: MaskedLanguageModelHead(
            vocab_size=30,
            hidden_size=16,
            activation="gelu",
            initializer_range=0.02,
            layer_norm_eps=1e-12,
            **k,
        ),
        (HIDDEN, POSITIONS, TABLE),
    ),
    (
        lambda **k: ClassificationHead(
            16, num_classes=3, dropout_rate=0.1, initializer_range=0.02, **k
        ),
        (HIDDEN[:, 0],),
    ),
]
NAMES = [
    "dropout",
    "attention",
    "embeddings",
    "sinusoidal embeddings",
    "post-LN layer",
    "pre-LN layer",
    "post-LN decoder layer",
    "pre-LN decoder layer",
    "pooler",
    "masked-LM head",
    "classification head",
]


@pytest.mark.parametrize(("make", "inputs"), CASES, ids=NAMES)
def test_configuration_round_trips(make, inputs):
    layer = make(name="one")
    expected = layer(*inputs)
    copy = layer.__class__.from_config(layer.get_config())
    copy(*inputs)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(*inputs), expected)
    assert copy.get_config() == layer.get_config()


@pytest.mark.parametrize(("make", "inputs"), CASES, ids=NAMES)
def test_bfloat16_keeps_float32_weights_and_stays_close(make, inputs):
    exact = make(name="exact")
    expected = np.asarray(exact(*inputs))
    layer = make(name="low", dtype="mixed_bfloat16")
    layer(*inputs)
    layer.set_weights(exact.get_weights())
    output = np.asarray(tf.cast(layer(*inputs), tf.float32))
    assert all(weight.dtype == "float32" for weight in layer.weights)
    np.testing.assert_allclose(output, expected, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(("make", "inputs"), CASES, ids=NAMES)
def test_compiled_equals_eager(make, inputs):
    layer = make(name="compiled")
    expected = layer(*inputs)
    np.testing.assert_allclose(tf.function(layer)(*inputs), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("make", "inputs"), CASES[1:], ids=NAMES[1:])
def test_initial_values_are_berts(make, inputs):
    layer = make(name="fresh")
    layer(*inputs)
    for weight in layer.weights:
        value = np.asarray(weight)
        if weight.path.endswith(("bias", "beta")):
            assert (value == 0).all(), weight.path
        elif weight.path.endswith("gamma"):
            assert (value == 1).all(), weight.path
        else:
            # Truncated at two standard deviations.
            assert np.abs(value).max() <= 0.0401, weight.path
            expected = stats.truncnorm(-2, 2, scale=0.02).std()
            assert value.size < 200 or abs(value.std() / expected - 1) < 0.15, weight.path


def test_layer_norm_epsilon_is_berts_everywhere():
    for make, inputs in CASES:
        layer = make(name="norms")
        layer(*inputs)
        for part in layer._flatten_layers():
            if isinstance(part, keras.layers.LayerNormalization):
                assert part.epsilon == 1e-12


def test_dropout_is_a_function_of_the_seed():
    layer = Dropout(0.5, name="dropout")
    x = np.ones((64, 64), np.float32)

    def drop(seed):
        with dropout_seed(tf.constant(seed, tf.int32)):
            return np.asarray(layer(x, training=True))

    np.testing.assert_array_equal(drop([1, 2]), drop([1, 2]))
    assert (drop([1, 2]) != drop([1, 3])).mean() > 0.3
    assert (drop([1, 2]) != drop([2, 2])).mean() > 0.3
    assert set(np.unique(drop([1, 2]))) == {0.0, 2.0}
    assert abs(drop([1, 2]).mean() - 1.0) < 0.05


def test_dropout_without_a_seed_changes_from_call_to_call_and_is_off_outside_training():
    layer = Dropout(0.5)
    x = np.ones((64, 64), np.float32)
    assert (np.asarray(layer(x, training=True)) != np.asarray(layer(x, training=True))).any()
    np.testing.assert_array_equal(layer(x), x)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_dropout_keeps_the_mean_in_every_type(dtype):
    layer = Dropout(0.1, dtype=dtype)
    with dropout_seed(tf.constant([1, 2], tf.int32)):
        output = layer(tf.ones((1000, 1000), dtype), training=True)
    assert output.dtype == dtype
    values = np.asarray(tf.cast(output, tf.float32))
    assert abs(values.mean() - 1.0) < 1e-3
    assert abs((values == 0).mean() - 0.1) < 2e-3


def test_two_dropouts_in_one_model_drop_different_units():
    class Two(keras.layers.Layer):
        def __init__(self):
            super().__init__(name="two")
            self.first = Dropout(0.5, name="first")
            self.second = Dropout(0.5, name="second")

        def call(self, x):
            return self.first(x, training=True), self.second(x, training=True)

    with dropout_seed(tf.constant([5, 6], tf.int32)):
        first, second = Two()(np.ones((64, 64), np.float32))
    assert (np.asarray(first) != np.asarray(second)).mean() > 0.3
