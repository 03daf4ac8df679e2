"""Recomputation on TensorFlow, safe from the graph optimiser and under tf.distribute.

`tf.recompute_grad`, which `keras.remat` is here, guards the float arguments of a function only:
what depends on the dropout seed or on the weights alone is the same expression in both passes, so
that the graph optimiser merges the two and keeps the value of the first, dropout's random numbers
above all.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf


def recompute(
    compute: Callable[..., tf.Tensor],
    weights: Sequence[keras.Variable],
    hidden: tf.Tensor,
    *others: tf.Tensor | None,
) -> tf.Tensor:
    """`compute(hidden, *others)`, whose backward pass computes it again.

    Args:
        weights: every variable that `compute` reads; they receive gradients.
        others: what needs no gradient, such as a mask or a seed.
    """

    def compute_with(values: Sequence[tf.Tensor], hidden: tf.Tensor, *others: Any) -> tf.Tensor:
        with keras.StatelessScope(list(zip(weights, values, strict=True))):
            return compute(hidden, *others)

    @tf.custom_gradient
    def twice(hidden: tf.Tensor, *values: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> Any:
            # Not before the upstream gradient is there, and not the same expression as before.
            with tf.control_dependencies([upstream]):
                inputs = tf.nest.map_structure(tf.identity, [hidden, *values])
                kept = [None if other is None else tf.identity(other) for other in others]
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                output = compute_with(inputs[1:], inputs[0], *kept)
            return tape.gradient(output, inputs, output_gradients=upstream)

        return compute_with(values, hidden, *others), gradient

    return twice(hidden, *(tf.convert_to_tensor(weight.value) for weight in weights))
