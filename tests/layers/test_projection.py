"""Matrix products: in bfloat16, with units for it and without; of a transposed factor."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.layers.projection import matmul
from bert_tf.layers.tensorflow import bfloat16


def draw(*shape: int, seed: int) -> tf.Tensor:
    return tf.cast(np.random.default_rng(seed).normal(size=shape), tf.bfloat16)


@pytest.mark.parametrize("has_units", [False, True])
@pytest.mark.parametrize("shape", [(5, 40), (2, 5, 40), (2, 3, 5, 40)])
def test_a_bfloat16_product_is_exact_but_for_one_rounding(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], has_units: bool
) -> None:
    # Without units TensorFlow's own product rounds sums in between: it is not used there.
    rounds_once = not has_units or bfloat16.has_bfloat16_units()
    monkeypatch.setattr(bfloat16, "has_bfloat16_units", lambda: has_units)
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
    for value, expected, num_summed in (
        (found, wide_a @ wide_b, shape[-1]),
        (of_a, wide @ np.swapaxes(wide_b, -1, -2), others[-1]),
        (of_b, expected_of_b, wide_a.size // shape[-1]),
    ):
        # Half a unit in the last of 8 bits, and the order of a float32 sum.
        error = np.abs(np.asarray(value, np.float64) - expected)
        allowed = 2.0**-8 * np.abs(expected) + 1e-5
        assert np.all(error <= (allowed if rounds_once else allowed + 2.0**-8 * num_summed))


def test_other_types_are_multiplied_as_they_are() -> None:
    a, b = (keras.random.normal((4, 4), seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(matmul(a, b), keras.ops.matmul(a, b))


@pytest.mark.parametrize("has_units", [False, True])
@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
@pytest.mark.parametrize("shapes", [((5, 4), (7, 4)), ((2, 3, 5, 4), (2, 3, 7, 4))])
def test_a_transposed_factor_is_the_same_product(
    monkeypatch: pytest.MonkeyPatch, shapes: Any, dtype: tf.DType, has_units: bool
) -> None:
    monkeypatch.setattr(bfloat16, "has_bfloat16_units", lambda: has_units)
    a, b = (tf.cast(draw(*shape, seed=i), dtype) for i, shape in enumerate(shapes))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([a, b])
        found = matmul(a, b, transpose_b=True)
        expected = matmul(a, tf.linalg.matrix_transpose(b))
    upstream = tf.cast(draw(*found.shape, seed=2), dtype)
    values = [(x, *tape.gradient(x, [a, b], output_gradients=upstream)) for x in (found, expected)]
    for ours, theirs in zip(*values, strict=True):
        assert ours.dtype == dtype
        np.testing.assert_allclose(
            tf.cast(ours, tf.float32), tf.cast(theirs, tf.float32), rtol=1e-2, atol=1e-5
        )


def test_the_gradient_of_a_transposed_factor_is_not_transposed_after() -> None:
    @tf.function
    def gradients(a: tf.Tensor, b: tf.Tensor) -> Any:
        return tf.gradients(matmul(a, b, transpose_b=True), [a, b])

    specs = [tf.TensorSpec(shape, tf.float32) for shape in ((5, 4), (7, 4))]
    operations = gradients.get_concrete_function(*specs).graph.get_operations()
    assert "Transpose" not in {operation.type for operation in operations}
