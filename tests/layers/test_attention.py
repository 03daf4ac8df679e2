"""Multi-head attention: against Keras' own, its masks, its numeric safety."""

import keras
import numpy as np
import pytest
from keras import ops

from bert_tf.layers.attention import (
    MultiHeadAttention,
    causal_mask,
    padding_mask,
    sequence_mask,
)

B, F, T, W, N = 2, 5, 7, 12, 3


def make_attention(*, dtype: str = "float32", spread: float = 0.3) -> MultiHeadAttention:
    keras.utils.set_random_seed(0)
    layer = MultiHeadAttention(
        W, num_heads=N, dropout_rate=0.0, initializer_range=spread, dtype=dtype, name="attention"
    )
    layer.build((None, None, W))
    return layer


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def keras_attention(ours: MultiHeadAttention) -> keras.layers.MultiHeadAttention:
    """Keras' layer with our weights."""
    theirs = keras.layers.MultiHeadAttention(N, W // N)
    theirs.build((B, F, W), (B, T, W))
    kernels = np.split(np.asarray(ours.query_key_value.kernel), 3, axis=1)
    biases = np.split(np.asarray(ours.query_key_value.bias), 3)
    weights = []
    for kernel, bias in zip(kernels, biases, strict=True):
        weights += [kernel.reshape(W, N, W // N), bias.reshape(N, W // N)]
    output = ours.output_projection
    weights += [np.asarray(output.kernel).reshape(N, W // N, W), np.asarray(output.bias)]
    theirs.set_weights(weights)
    return theirs


@pytest.mark.parametrize("is_cross", [False, True])
def test_equals_keras_with_the_same_weights(is_cross):
    layer = make_attention()
    query, memory = random(B, F, W), random(B, T, W, seed=1)
    ours, weights = layer(query, memory=memory if is_cross else None, return_weights=True)
    theirs, their_weights = keras_attention(layer)(
        query, memory if is_cross else query, return_attention_scores=True
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    np.testing.assert_allclose(weights, their_weights, atol=1e-6)


def test_masks_combine_to_who_may_attend():
    padding = padding_mask(np.array([[1, 1, 0]]))
    causal = causal_mask(3)
    sequences = sequence_mask(np.array([[0, 0, 1]]))
    np.testing.assert_array_equal(padding, [[[[True, True, False]]]])
    np.testing.assert_array_equal(
        ops.logical_and(padding, causal)[0, 0],
        [[True, False, False], [True, True, False], [True, True, False]],
    )
    np.testing.assert_array_equal(
        sequences[0, 0], [[True, True, False], [True, True, False], [False, False, True]]
    )


def test_later_tokens_cannot_change_earlier_outputs_under_the_causal_mask():
    layer, x = make_attention(), random(B, F, W)
    changed = x.copy()
    changed[:, 3:] += 5.0
    before = np.asarray(layer(x, attention_mask=causal_mask(F)))
    after = np.asarray(layer(changed, attention_mask=causal_mask(F)))
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert np.abs(before[:, 3:] - after[:, 3:]).max() > 1e-3


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_a_fully_masked_row_and_large_scores_give_finite_numbers(dtype):
    layer = make_attention(dtype=dtype)
    mask = padding_mask(np.array([[0] * F, [1] * F]))
    output = layer(30.0 * random(B, F, W), attention_mask=mask)
    assert np.isfinite(np.asarray(ops.cast(output, "float32"))).all()


def test_weights_are_float32_and_sum_to_one_in_bfloat16():
    layer = make_attention(dtype="mixed_bfloat16")
    _, weights = layer(random(B, F, W), return_weights=True)
    assert weights.dtype == "float32"
    np.testing.assert_allclose(np.asarray(weights).sum(-1), 1.0, atol=1e-6)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match=r"num_heads must divide hidden_size. Received: .*=12.*=5"):
        MultiHeadAttention(12, num_heads=5, dropout_rate=0.0, initializer_range=0.02)
