"""Gradients in a narrow type: taken as they were computed, their norm, and updates from them."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.training.engine.gradients import before_widening, global_norm
from tests.training.updates import gradients_of, make_updates


def test_a_gradient_is_taken_as_it_was_before_it_was_widened():
    kernel, vector = tf.Variable([[1.5, -2.0]]), tf.Variable([3.0, 4.0])

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            narrow = tf.identity(tf.cast(kernel, tf.bfloat16))
            loss = tf.reduce_sum(tf.cast(narrow * narrow, tf.float32) * vector)
        widened = tape.gradient(loss, [kernel, vector])
        return widened, [before_widening(gradient) for gradient in widened]

    widened, taken = gradients()
    assert [gradient.dtype for gradient in widened] == [tf.float32, tf.float32]
    assert [gradient.dtype for gradient in taken] == [tf.bfloat16, tf.float32]
    for one, other in zip(widened, taken, strict=True):
        np.testing.assert_array_equal(one, tf.cast(other, tf.float32))


@pytest.mark.parametrize("shape", [(3, 5), (16, 8), (40000,)])
def test_the_norm_of_any_types_is_summed_in_float32(shape):
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    gradients = [tf.cast(values, dtype) for dtype in (tf.bfloat16, tf.float32, tf.float16)]
    exact = [gradient.numpy().astype(np.float64) for gradient in gradients]
    expected = np.sqrt(sum((gradient**2).sum() for gradient in exact))
    np.testing.assert_allclose(global_norm(gradients), expected, rtol=1e-6)


def test_a_norm_of_what_is_not_finite_is_not_finite():
    gradient = tf.constant([1.0, np.inf] + 6 * [0.0], tf.bfloat16)
    assert not np.isfinite(global_norm([gradient, tf.ones([2])]))


@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_a_factor_and_a_narrow_gradient_are_those_of_a_widened_product(name):
    narrow = [tf.cast(gradient, tf.bfloat16) for gradient in gradients_of(0)]
    states = []
    for gradients, factor in (
        (narrow, 0.25),
        ([0.25 * tf.cast(gradient, tf.float32) for gradient in narrow], 1.0),
    ):
        updates = make_updates(name=name)
        apply = tf.function(updates.optimizer.apply)
        step = {"step": tf.constant(0, tf.int64), "factor": tf.constant(factor)}
        updates.strategy.run(apply, (gradients,), step)
        states.append(updates.state())
    for key, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][key], err_msg=key)
