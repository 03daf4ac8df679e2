"""Matrix products in bfloat16, with units for them and without."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.layers import bfloat16_tensorflow
from bert_tf.layers.projection import matmul


def draw(*shape: int, seed: int) -> tf.Tensor:
    return tf.cast(np.random.default_rng(seed).normal(size=shape), tf.bfloat16)


@pytest.mark.parametrize("has_units", [False, True])
@pytest.mark.parametrize("shape", [(5, 40), (2, 5, 40), (2, 3, 5, 40)])
def test_a_bfloat16_product_is_exact_but_for_one_rounding(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], has_units: bool
) -> None:
    monkeypatch.setattr(bfloat16_tensorflow, "has_bfloat16_units", lambda: has_units)
    others = (40, 7) if len(shape) < 4 else (*shape[:-2], 40, 7)
    a, b = draw(*shape, seed=0), draw(*others, seed=1)
    with tf.GradientTape() as tape:
        tape.watch([a, b])
        found = matmul(a, b)
    upstream = draw(*found.shape, seed=2)
    of_a, of_b = tape.gradient(found, [a, b], output_gradients=upstream)
    assert {x.dtype for x in (found, of_a, of_b)} == {tf.bfloat16}
    wide_a, wide_b, wide = (np.asarray(x, np.float64) for x in (a, b, upstream))
    rows = [x.reshape(-1, x.shape[-1]) for x in (wide_a, wide)]
    expected_of_b = np.swapaxes(wide_a, -1, -2) @ wide if wide_b.ndim > 2 else rows[0].T @ rows[1]
    for value, expected in (
        (found, wide_a @ wide_b),
        (of_a, wide @ np.swapaxes(wide_b, -1, -2)),
        (of_b, expected_of_b),
    ):
        # Half a unit in the last of 8 bits, and the order of a float32 sum.
        error = np.abs(np.asarray(value, np.float64) - expected)
        assert np.all(error <= 2.0**-8 * np.abs(expected) + 1e-5)


def test_other_types_are_multiplied_as_they_are() -> None:
    a, b = (keras.random.normal((4, 4), seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(matmul(a, b), keras.ops.matmul(a, b))
