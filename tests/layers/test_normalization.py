"""LayerNorm outside of training: Keras' numbers in fewer operations, statistics in float32."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.layers.normalization import normalize

WIDTH = 48


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "bfloat16"])
def test_it_is_keras_layer_norm_rounded_once(policy):
    random = np.random.default_rng(0)
    layer_norm = keras.layers.LayerNormalization(epsilon=1e-12, dtype=policy)
    layer_norm.build((None, WIDTH))
    weights = [random.normal(1, 0.01, WIDTH), random.normal(0, 1, WIDTH)]
    layer_norm.set_weights(weights)
    x = tf.cast(random.normal(5, 0.1, (64, WIDTH)), layer_norm.compute_dtype)
    received = tf.function(lambda x: normalize(x, layer_norm, training=False))(x)
    assert received.dtype == layer_norm.compute_dtype
    exact = keras.layers.LayerNormalization(epsilon=1e-12, dtype="float64")
    exact.build((None, WIDTH))
    exact.set_weights([weight.numpy().astype("float64") for weight in layer_norm.weights])
    expected = exact(tf.cast(x, tf.float64)).numpy()
    rounding = 2.0**-8 if layer_norm.compute_dtype == "bfloat16" else 1e-5
    difference = np.abs(tf.cast(received, tf.float64).numpy() - expected)
    assert (difference <= rounding * np.abs(expected) + 1e-4).all()
