"""Both kinds of GELU, and the fused one of training against autodiff."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.layers.activations import ACTIVATIONS, activated
from bert_tf.layers.projection import dense

X = np.linspace(-6, 6, 241, dtype=np.float32)


def test_gelu_is_the_tanh_approximation_and_the_exact_one_is_another():
    tanh = keras.activations.gelu(X, approximate=True)
    exact = keras.activations.gelu(X, approximate=False)
    np.testing.assert_array_equal(ACTIVATIONS["gelu"](X), tanh)
    np.testing.assert_array_equal(ACTIVATIONS["gelu_exact"](X), exact)
    assert np.abs(np.asarray(tanh) - np.asarray(exact)).max() > 1e-4


@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 5e-6), (tf.bfloat16, 0.02)])
def test_fused_gelu_equals_autodiff_in_value_and_gradient(dtype, tolerance):
    results = []
    for training in (True, False):
        # The unfused one in float32: the truth for both types.
        x = tf.cast(tf.cast(X, dtype), dtype if training else tf.float32)
        layer = dense(1, initializer_range=0.02, name="dense", dtype=x.dtype.name)
        layer.build((None, 1))
        layer.kernel.assign([[1.0]])
        layer.bias.assign([0.25])
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = activated(x[:, tf.newaxis], layer, "gelu", training=training)
        results.append((y, *tape.gradient(y, [x, layer.bias.value])))
    (fused, *gradients), (plain, *expected) = results
    assert fused.dtype == dtype
    for ours, theirs in zip((fused, gradients[0]), (plain, expected[0]), strict=True):
        np.testing.assert_allclose(tf.cast(ours, tf.float32), theirs, atol=tolerance)
    np.testing.assert_allclose(tf.cast(gradients[1], tf.float32), expected[1], rtol=tolerance)
