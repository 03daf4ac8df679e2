"""Products of 8-bit integers: exact in whole numbers, on every processor."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.layers.activations import ACTIVATIONS
from bert_tf.layers.tensorflow.int8 import (
    Int8Product,
    Int8Table,
    Int8Weights,
    Range,
    quantized,
    quantized_columns,
)

RANDOM = np.random.default_rng(0)
KERNEL = RANDOM.normal(size=(48, 32)).astype(np.float32) * RANDOM.uniform(0.1, 3, 32)
BIAS = RANDOM.normal(size=32).astype(np.float32)
LIMITS = Range(-1.5, 4.0)


def expected(x, *, kernel=KERNEL, activation=None):
    """In float64, of the steps that the graph takes."""
    columns, scales = quantized_columns(kernel)
    product = quantized(x, LIMITS).astype(np.float64) @ (columns * scales.astype(np.float64))
    product = (product + BIAS).astype(np.float32)
    return product if activation is None else np.asarray(ACTIVATIONS[activation](product))


@pytest.mark.parametrize("activation", [None, "gelu", "gelu_exact", "relu"])
@pytest.mark.parametrize("shape", [(1, 48), (16, 48), (2, 5, 48), (0, 48)])
def test_a_product_is_that_of_the_rounded_numbers(shape, activation):
    x = RANDOM.normal(size=shape).astype(np.float32) * 3  # some outside of the range
    product = Int8Product(Int8Weights(KERNEL), BIAS, limits=LIMITS)
    found = tf.function(lambda x: product(x, activation=activation))(x)
    assert found.shape == (*shape[:-1], 32)
    np.testing.assert_allclose(found, expected(x, activation=activation), atol=2e-4)


def test_a_smoothed_input_gives_the_same_product_of_other_steps():
    smoothing = RANDOM.uniform(0.5, 2, 48).astype(np.float32)
    x = RANDOM.normal(size=(8, 48)).astype(np.float32)
    weights = Int8Weights(KERNEL * smoothing[:, np.newaxis])
    product = Int8Product(weights, BIAS, limits=Range(-8.0, 8.0), smoothing=smoothing)
    exact = x @ KERNEL + BIAS
    found = tf.function(product)(x).numpy()
    assert 0 < np.abs(found - exact).max() < 0.1 * np.abs(exact).max()


@pytest.mark.parametrize("shape", [(16, 48), (2, 5, 48), (0, 48)])
def test_a_product_may_hand_its_steps_to_the_next(shape):
    x = RANDOM.normal(size=shape).astype(np.float32)
    between = Range(-0.2, 3.0)
    first = Int8Product(Int8Weights(KERNEL), BIAS, limits=LIMITS, output_limits=between)
    plain = Int8Product(Int8Weights(KERNEL), BIAS, limits=LIMITS)
    second = Int8Product(Int8Weights(KERNEL.T), np.zeros(48, np.float32), limits=between)

    @tf.function
    def both(x):
        steps = first(x, activation="gelu")
        return steps, second(steps), second(plain(x, activation="gelu"))

    steps, found, wanted = both(x)
    assert steps.dtype == tf.quint8
    assert found.shape == wanted.shape == shape
    # A number in the middle of two steps may go to either.
    largest_step = between.scale * np.abs(KERNEL).max()
    np.testing.assert_allclose(found, wanted, atol=1.01 * largest_step)


def test_the_largest_numbers_do_not_overflow():
    weights = Int8Weights(np.ones([512, 16], np.float32))
    product = Int8Product(weights, np.zeros(16, np.float32), limits=Range(0.0, 1.0))
    found = tf.function(product)(np.ones([4, 512], np.float32))
    np.testing.assert_allclose(found, 512.0, rtol=1e-6)


def test_a_table_gives_rows_and_scores_of_one_set_of_weights():
    table = Int8Table(KERNEL)  # 48 rows of 32
    rows = table(tf.constant([[0, 47], [3, 3]])).numpy()
    largest = np.abs(KERNEL).max(axis=1)
    assert (
        np.abs(rows - KERNEL[[[0, 47], [3, 3]]]).max(axis=-1) <= largest[[[0, 47], [3, 3]]] / 120
    ).all()
    bias = np.linspace(-1, 1, 48).astype(np.float32)
    product = Int8Product(table.weights, bias, limits=Range(-4.0, 4.0))
    assert product.weights.stored is table.weights.stored
    x = RANDOM.normal(size=(3, 32)).astype(np.float32)
    np.testing.assert_allclose(
        tf.function(product)(x),
        quantized(x, Range(-4.0, 4.0)) @ table(tf.range(48)).numpy().T + bias,
        atol=1e-4,
    )


def test_columns_of_zeros_stay_zeros():
    columns, scales = quantized_columns(np.zeros([4, 2], np.float32))
    assert not columns.any()
    assert (scales > 0).all()


@pytest.mark.flows
@pytest.mark.parametrize("instructions", ["SSE41", "AVX2", "AVX512_CORE", "DEFAULT"])
def test_products_are_exact_on_every_instruction_set(instructions):
    """Those without VNNI add two products of 8 bits in 16, and would saturate."""
    names = "product or overflow or table"
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", names],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": instructions},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout[-2000:]
