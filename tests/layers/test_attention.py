"""Multi-head attention: against Keras' own and a float64 one, its masks, its numeric safety."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.layers.attention import (
    MultiHeadAttention,
    causal_mask,
    combine_masks,
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
        combine_masks(padding, None, causal)[0, 0],
        [[True, False, False], [True, True, False], [True, True, False]],
    )
    np.testing.assert_array_equal(
        sequences[0, 0], [[True, True, False], [True, True, False], [False, False, True]]
    )
    np.testing.assert_array_equal(
        combine_masks(padding, causal, sequences)[0, 0],
        [[True, False, False], [True, True, False], [False, False, False]],
    )
    assert combine_masks(None, None) is None


def float64_attention(layer: MultiHeadAttention, mask: np.ndarray | None):
    """The definition, one head and one row at a time. -> a function of (weights, query, memory)."""
    head_size = layer.hidden_size // layer.num_heads

    def attend(weights, query, memory):
        kernel, bias, output_kernel, output_bias = weights
        (q_kernel, k_kernel, v_kernel), biases = np.split(kernel, 3, axis=1), np.split(bias, 3)
        context = np.zeros_like(query)
        for b, head in np.ndindex(len(query), layer.num_heads):
            columns = slice(head * head_size, (head + 1) * head_size)
            q = query[b] @ q_kernel[:, columns] + biases[0][columns]
            k = memory[b] @ k_kernel[:, columns] + biases[1][columns]
            v = memory[b] @ v_kernel[:, columns] + biases[2][columns]
            for f in range(len(q)):
                scores = k @ q[f] / np.sqrt(head_size)
                allowed = np.ones(len(k), bool) if mask is None else mask[b, f]
                # A row that may attend to nothing takes the mean of all values.
                powers = np.exp(scores - scores[allowed].max()) * allowed if allowed.any() else 1.0
                powers = np.broadcast_to(powers, scores.shape)
                context[b, f, columns] = powers / powers.sum() @ v
        return context @ output_kernel + output_bias

    return attend


def finite_differences(function, x: np.ndarray, *, step: float = 1e-5) -> np.ndarray:
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        kept = x[index]
        x[index] = kept + step
        above = function()
        x[index] = kept - step
        gradient[index] = (above - function()) / (2 * step)
        x[index] = kept
    return gradient


PADDING = np.array([[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]])
MEMORY_PADDING = np.array([[1, 1, 1, 0, 0, 0, 0], [0] * T])  # nothing at all in the second
SEQUENCES = np.array([[0, 0, 1, 1, 2], [0, 1, 1, 1, 1]])


@pytest.mark.parametrize(
    ("mask", "is_cross"),
    [
        (combine_masks(padding_mask(PADDING), causal_mask(F), sequence_mask(SEQUENCES)), False),
        (combine_masks(padding_mask(PADDING), sequence_mask(SEQUENCES)), False),
        (padding_mask(MEMORY_PADDING), True),
        (None, True),
    ],
    ids=["padded causal packed", "padded packed", "padded memory", "memory"],
)
def test_value_and_every_gradient_equal_a_float64_reference(mask, is_cross):
    layer = make_attention()
    layer.query_key_value.bias.assign(random(3 * W, seed=5))
    query, memory = tf.constant(random(B, F, W)), tf.constant(random(B, T, W, seed=1))
    upstream = random(B, F, W, seed=2)
    with tf.GradientTape() as tape:
        tape.watch([query, memory])
        output = layer(query, memory=memory if is_cross else None, attention_mask=mask)
        loss = tf.reduce_sum(output * upstream)
    gradients = tape.gradient(loss, [query, memory, *(w.value for w in layer.weights)])

    if mask is not None:
        mask = np.broadcast_to(np.asarray(mask)[:, 0], (B, F, T if is_cross else F))
    reference = float64_attention(layer, mask)
    weights = [np.asarray(w.value, np.float64) for w in layer.weights]
    query, memory = np.asarray(query, np.float64), np.asarray(memory, np.float64)

    def compute():
        return reference(weights, query, memory if is_cross else query)

    np.testing.assert_allclose(output, compute(), atol=1e-5)
    names = ("query", "memory", "kernel", "bias", "output kernel", "output bias")
    inputs = (query, memory, *weights)
    for name, x, gradient in zip(names, inputs, gradients, strict=True):
        if name != "memory" or is_cross:
            expected = finite_differences(lambda: np.sum(compute() * upstream), x)
            np.testing.assert_allclose(gradient, expected, atol=1e-4, err_msg=name)


def test_a_row_that_may_attend_to_nothing_takes_the_mean_and_gives_its_query_no_gradient():
    layer = make_attention()
    query, memory = tf.constant(random(B, F, W)), random(B, T, W, seed=1)
    with tf.GradientTape() as tape:
        tape.watch(query)
        output, weights = layer(
            query,
            memory=memory,
            attention_mask=padding_mask(MEMORY_PADDING),
            return_weights=True,
        )
    gradient = tape.gradient(output, query)
    np.testing.assert_allclose(weights[1], np.full((N, F, T), 1 / T), atol=1e-7)
    np.testing.assert_array_equal(gradient[1], np.zeros((F, W)))
    assert np.abs(gradient[0]).max() > 1e-3
    np.testing.assert_array_equal(weights[0, :, :, 3:], np.zeros((N, F, T - 3)))


def test_later_tokens_cannot_change_earlier_outputs_under_the_causal_mask():
    layer, x = make_attention(), random(B, F, W)
    changed = x.copy()
    changed[:, 3:] += 5.0
    before = np.asarray(layer(x, attention_mask=causal_mask(F)))
    after = np.asarray(layer(changed, attention_mask=causal_mask(F)))
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert np.abs(before[:, 3:] - after[:, 3:]).max() > 1e-3


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_a_fully_masked_row_and_large_scores_give_finite_values_and_gradients(dtype):
    layer = make_attention(dtype=dtype)
    mask = combine_masks(padding_mask(np.array([[0] * F, [1] * F])), causal_mask(F))
    x = tf.constant(30.0 * random(B, F, W))
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = tf.cast(layer(x, attention_mask=mask), tf.float32)
    gradients = tape.gradient(output, [x, *(w.value for w in layer.weights)])
    for value in (output, *gradients):
        assert np.isfinite(np.asarray(value)).all()


@pytest.mark.parametrize("size", [40.0, 400.0])
def test_float16_scores_whose_unscaled_product_overflows_are_those_of_float32(size):
    """64 x 40 x 40 is over float16's 65504 and an eighth of it is not; 400: neither fits."""
    one, other = np.full(64, size), np.tile([size, -size], 32)
    x = np.stack([one, one, other])[None].astype(np.float32)
    eye = np.eye(64, dtype=np.float32)
    outputs = {}
    for dtype in ("float32", "mixed_float16"):
        layer = MultiHeadAttention(
            64, num_heads=1, dropout_rate=0.0, initializer_range=0.02, dtype=dtype
        )
        layer.build((None, None, 64))
        layer.query_key_value.kernel.assign(np.concatenate([eye, eye, eye], axis=1))
        layer.output_projection.kernel.assign(eye)
        outputs[dtype] = layer(x, return_weights=True)
    assert 64 * size * size > float(np.finfo(np.float16).max)
    for ours, expected in zip(outputs["mixed_float16"], outputs["float32"], strict=True):
        np.testing.assert_allclose(np.asarray(ours, np.float32), expected, rtol=1e-3)
    np.testing.assert_allclose(
        outputs["mixed_float16"][1][0, 0], [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]], atol=1e-6
    )


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("mixed_bfloat16", 0.03), ("mixed_float16", 4e-3)]
)
def test_low_precision_stays_close_to_float32(dtype, tolerance):
    mask = combine_masks(padding_mask(PADDING), causal_mask(F))
    expected = make_attention()(random(B, F, W), attention_mask=mask)
    output = make_attention(dtype=dtype)(random(B, F, W), attention_mask=mask)
    np.testing.assert_allclose(np.asarray(output, np.float32), expected, atol=tolerance)


def test_weights_are_float32_and_sum_to_one_in_bfloat16():
    layer = make_attention(dtype="mixed_bfloat16")
    _, weights = layer(random(B, F, W), return_weights=True)
    assert weights.dtype == "float32"
    np.testing.assert_allclose(np.asarray(weights).sum(-1), 1.0, atol=1e-6)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match=r"num_heads must divide hidden_size. Received: .*=12.*=5"):
        MultiHeadAttention(12, num_heads=5, dropout_rate=0.0, initializer_range=0.02)
