"""The fused kernels of training against the same chains written plainly, in value and gradient."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from bert_tf.layers.dropout import Dropout, dropout_seed
from bert_tf.layers.dropout_mask import dropout_mask
from bert_tf.layers.normalization import drop_add_norm
from bert_tf.layers.tensorflow import fused as kernels
from bert_tf.layers.tensorflow.cross_entropy import cross_entropy

SEED = tf.constant([3, -5], tf.int32)
RATES = [{"rate": 0.0, "scale": 1.0}, {"rate": 0.2, "scale": 1.25}]
TYPES = [(tf.float32, 1e-5), (tf.bfloat16, 0.04)]
EPSILON = 1e-12


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def value_and_gradients(function: Any, inputs: list[Any], dtype: Any) -> list[np.ndarray]:
    """Of a sum with fixed weights, so that every element has a gradient of its own."""
    tensors = [tf.cast(x, dtype) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        output = function(*tensors)
    assert output.dtype == dtype
    upstream = tf.cast(draw(*output.shape, seed=9), dtype)
    gradients = tape.gradient(output, tensors, output_gradients=upstream)
    return [np.asarray(tf.cast(x, tf.float32)) for x in (output, *gradients)]


def mask_of(x: tf.Tensor, rates: dict[str, float]) -> tf.Tensor:
    return dropout_mask(x.shape, SEED, **rates)


@pytest.mark.parametrize(("dtype", "tolerance"), TYPES)
@pytest.mark.parametrize("rates", RATES)
def test_drop_add_norm(rates: dict[str, float], dtype: Any, tolerance: float) -> None:
    def plain(update: Any, bias: Any, residual: Any, gamma: Any, beta: Any) -> Any:
        total = residual + (update + bias) * mask_of(update, rates)
        mean, variance = tf.nn.moments(total, [-1], keepdims=True)
        return (total - mean) / tf.sqrt(variance + EPSILON) * gamma + beta

    def fused(*inputs: Any) -> Any:
        return kernels.drop_add_norm(*inputs, SEED, epsilon=EPSILON, **rates)

    hidden, vector = (3, 5, 16), (16,)
    shapes = (hidden, vector, hidden, vector, vector)
    inputs = [draw(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    rounded = [np.asarray(tf.cast(tf.cast(x, dtype), tf.float32)) for x in inputs]
    found = value_and_gradients(fused, inputs, dtype)
    expected = value_and_gradients(plain, rounded, tf.float32)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=tolerance * np.abs(theirs).max())


@pytest.mark.parametrize(("dtype", "tolerance"), TYPES)
def test_layer_norm(dtype: Any, tolerance: float) -> None:
    def plain(x: Any, gamma: Any, beta: Any) -> Any:
        mean, variance = tf.nn.moments(x, [-1], keepdims=True)
        return (x - mean) / tf.sqrt(variance + EPSILON) * gamma + beta

    def fused(*inputs: Any) -> Any:
        return kernels.layer_norm(*inputs, epsilon=EPSILON)

    inputs = [draw(*shape, seed=seed) for seed, shape in enumerate([(3, 5, 16), (16,), (16,)])]
    rounded = [np.asarray(tf.cast(tf.cast(x, dtype), tf.float32)) for x in inputs]
    found = value_and_gradients(fused, inputs, dtype)
    expected = value_and_gradients(plain, rounded, tf.float32)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=tolerance * np.abs(theirs).max())


@pytest.mark.parametrize(("dtype", "tolerance"), TYPES)
def test_add_bias(dtype: Any, tolerance: float) -> None:
    inputs = [draw(3, 5, 16), draw(16, seed=1)]
    rounded = [np.asarray(tf.cast(tf.cast(x, dtype), tf.float32)) for x in inputs]
    found = value_and_gradients(kernels.add_bias, inputs, dtype)
    expected = value_and_gradients(lambda x, bias: x + bias, rounded, tf.float32)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=tolerance * np.abs(theirs).max())


@pytest.mark.parametrize(("dtype", "tolerance"), TYPES)
@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("mask_shape", [None, (2, 1, 1, 7), (2, 1, 5, 7)])
def test_attention_weights(
    mask_shape: Any, rates: dict[str, float], dtype: Any, tolerance: float
) -> None:
    mask = None
    if mask_shape is not None:
        is_allowed = draw(*mask_shape, seed=5) > 0
        is_allowed[0, ..., :] = False  # a row that may attend to nothing
        mask = tf.constant(is_allowed)

    def plain(scores: Any) -> Any:
        scaled = scores * 0.5
        if mask is not None:
            scaled = tf.where(mask, scaled, -1e9)
        return tf.nn.softmax(scaled) * mask_of(scores, rates)

    def fused(scores: Any) -> Any:
        return kernels.attention_weights(scores, mask, SEED, factor=0.5, masked_score=-1e9, **rates)

    scores = draw(2, 3, 5, 7) * 4
    rounded = np.asarray(tf.cast(tf.cast(scores, dtype), tf.float32))
    found = value_and_gradients(fused, [scores], dtype)
    expected = value_and_gradients(plain, [rounded], tf.float32)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=tolerance)


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_dropout_applies_one_mask_to_value_and_gradient(dtype: Any) -> None:
    x = draw(64, 33)
    value, gradient = value_and_gradients(
        lambda x: kernels.dropout(x, SEED, rate=0.2, scale=1.25), [x], dtype
    )
    mask = np.asarray(mask_of(tf.zeros([64, 33]), RATES[1]))
    assert set(np.unique(mask)) == {0.0, 1.25}
    np.testing.assert_allclose(value, x * mask, atol=0.03)
    np.testing.assert_allclose(gradient, draw(64, 33, seed=9) * mask, atol=0.03)


def test_masks_drop_the_asked_share_independently_of_place_and_seed() -> None:
    def dropped(*seed: int) -> np.ndarray:
        return np.asarray(dropout_mask((512, 512), tf.constant(seed), rate=0.1, scale=1.0)) == 0

    masks = [dropped(*seed) for seed in ((0, 0), (0, 1), (1, 0), (1, 1), (-1, 0), (2**31 - 1, 7))]
    size = masks[0].size
    for mask in masks:
        assert stats.binomtest(int(mask.sum()), size, 0.1).pvalue > 1e-4
        for axis in (0, 1):  # no row and no column is favoured
            counts = mask.sum(axis)
            assert stats.kstest((counts - 51.2) / np.sqrt(512 * 0.09), "norm").statistic < 0.08
        flat = mask.ravel().astype(float)
        for distance in (1, 2, 3, 4, 8, 16, 64, 512, 513):
            correlation = np.corrcoef(flat[:-distance], flat[distance:])[0, 1]
            assert abs(correlation) < 5 / np.sqrt(size), distance
    for i, one in enumerate(masks):
        for other in masks[:i]:
            both = int((one & other).sum())
            assert stats.binomtest(both, size, 0.01).pvalue > 1e-4


@pytest.mark.parametrize("num_classes", [9, 256, 1003])
def test_cross_entropy_and_first_argmax(num_classes: int) -> None:
    logits = np.round(draw(4, 6, num_classes) * 2)  # rounded: with equal ones
    logits[0, 0] = 1.0  # all of them
    labels = np.random.default_rng(1).integers(0, num_classes, (4, 6))
    labels[1] = np.argmax(logits[1], axis=-1)
    labels[2] = num_classes - 1 - np.argmax(logits[2, :, ::-1], axis=-1)  # the last of equal ones
    labels = tf.constant(labels, tf.int32)
    weights = tf.constant(draw(4, 6, seed=2))
    results = []
    for function in (
        cross_entropy,
        lambda x, y: (
            tf.nn.sparse_softmax_cross_entropy_with_logits(y, x),
            tf.cast(tf.argmax(x, -1, tf.int32) == y, tf.float32),
        ),
    ):
        x = tf.constant(logits)
        with tf.GradientTape() as tape:
            tape.watch(x)
            losses, correct = function(x, labels)
            total = tf.reduce_sum(losses * weights)
        results.append((losses, correct, tape.gradient(total, x)))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert 0 < np.sum(results[0][1]) < 24
    far = cross_entropy(tf.constant([[1e4, -1e4]]), tf.constant([1]))[0]
    np.testing.assert_allclose(far, [2e4])


@pytest.mark.parametrize("label_smoothing", [0.1, 0.5])
def test_smoothed_cross_entropy_is_that_of_keras_with_the_target_laid_out(
    label_smoothing: float,
) -> None:
    labels = tf.constant(np.random.default_rng(1).integers(0, 9, (4, 6)), tf.int32)
    weights = tf.constant(draw(4, 6, seed=2))
    results = []
    for function in (
        lambda x: cross_entropy(x, labels, label_smoothing=label_smoothing)[0],
        lambda x: keras.losses.categorical_crossentropy(
            tf.one_hot(labels, 9), x, from_logits=True, label_smoothing=label_smoothing
        ),
    ):
        x = tf.constant(draw(4, 6, 9) * 4)
        with tf.GradientTape() as tape:
            tape.watch(x)
            losses = function(x)
            total = tf.reduce_sum(losses * weights)
        results.append((losses, tape.gradient(total, x)))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    x = tf.constant(draw(4, 6, 9))
    correct = cross_entropy(x, labels, label_smoothing=label_smoothing)[1]
    np.testing.assert_array_equal(correct, cross_entropy(x, labels)[1])


def test_smoothed_cross_entropy_lays_no_target_out() -> None:
    """Of the logits' size there are the logits, their gradient, and nothing between kernels."""
    logits, labels = tf.zeros([8, 1000]), tf.zeros([8], tf.int32)

    @tf.function
    def gradient(logits: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            total = tf.reduce_sum(cross_entropy(logits, labels, label_smoothing=0.1)[0])
        return tape.gradient(total, logits)

    operations = gradient.get_concrete_function(logits).graph.get_operations()
    large = {
        op.type for op in operations for output in op.outputs if output.shape.num_elements() == 8000
    }
    # Zeros are filled in for a gradient that nothing reads; the rest is in the compiled kernels.
    assert large <= {"Placeholder", "Identity", "IdentityN", "Fill", "PartitionedCall"}
    assert sum(op.type == "PartitionedCall" for op in operations) == 2


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_bias_is_added_in_float32(dtype: Any) -> None:
    x, bias = tf.cast(draw(5, 3, 4), dtype), tf.constant(draw(4, seed=1))
    with tf.GradientTape() as tape:
        tape.watch([x, bias])
        y = kernels.add_bias_in_float32(x, bias)
    np.testing.assert_array_equal(y, tf.cast(x, tf.float32) + bias)
    upstream = tf.constant(draw(5, 3, 4, seed=2))
    of_x, of_bias = tape.gradient(y, [x, bias], output_gradients=upstream)
    assert (of_x.dtype, of_bias.dtype) == (dtype, tf.float32)
    np.testing.assert_array_equal(of_x, tf.cast(upstream, dtype))
    np.testing.assert_allclose(of_bias, tf.reduce_sum(upstream, (0, 1)), rtol=1e-5)


def test_every_layer_has_its_own_weights_under_a_mirrored_strategy() -> None:
    """A compiled graph must not keep the variables of the layer that it was made for."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        layers = [keras.layers.LayerNormalization(epsilon=EPSILON) for _ in range(2)]
        dropout = Dropout(0.0)
        for number, layer in enumerate(layers, start=1):
            layer.build((None, None, 4))
            layer.gamma.assign([float(number)] * 4)
    x, bias = tf.constant(draw(2, 3, 4)), tf.zeros([4])

    @tf.function
    def both() -> Any:
        return strategy.run(
            lambda: [drop_add_norm((x, bias), x, dropout, layer, True) for layer in layers]
        )

    with dropout_seed(SEED):
        dropout.build((None, None, 4))
        once, twice = both()
    np.testing.assert_allclose(2 * once, twice, rtol=1e-6)


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_no_kernel_gives_back_what_it_was_given(dtype: Any) -> None:
    """The compiler copies an input that is an output, too: a pass and a tensor for nothing."""
    hidden, vector = tf.ones([2, 3, 8], dtype), tf.ones([8])
    scores, logits = tf.ones([2, 1, 3, 3], dtype), tf.ones([5, 7])
    rates, factors = RATES[1], {"factor": 0.5, "masked_score": -1e9}

    @tf.function
    def gradients() -> Any:
        with tf.GradientTape() as tape:
            tape.watch([hidden, vector, scores, logits])
            outputs = [
                kernels.gelu(hidden, vector),
                kernels.dropout(hidden, SEED, **rates),
                kernels.layer_norm(hidden, vector, vector, epsilon=EPSILON),
                kernels.drop_add_norm(
                    hidden, vector, hidden, vector, vector, SEED, epsilon=EPSILON, **rates
                ),
                kernels.attention_weights(scores, scores > 0, SEED, **factors, **rates),
                kernels.add_bias(hidden, vector),
                kernels.add_bias_in_float32(hidden, vector),
                cross_entropy(logits, tf.range(5))[0],
                cross_entropy(logits, tf.range(5), label_smoothing=0.1)[0],
            ]
        return tape.gradient(outputs, [hidden, vector, scores, logits])

    functions = gradients.get_concrete_function().graph.as_graph_def().library.function
    compiled = [function for function in functions if function.attr["_XlaMustCompile"].b]
    assert len(compiled) >= 13
    for function in compiled:
        given = {argument.name for argument in function.signature.input_arg}
        passed_on = {
            node.name: node.input[0] for node in function.node_def if node.op == "Identity"
        }
        for output in function.ret.values():
            while output.split(":")[0] in passed_on:
                output = passed_on[output.split(":")[0]]
            assert output not in given, f"{function.signature.name} gives back {output}"
