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
    inputs: Sequence[tf.Tensor],
    *others: Any,
) -> tf.Tensor:
    """`compute(inputs, *others)`, whose backward pass computes it again.

    Args:
        weights: every variable that `compute` reads; they and `inputs` receive gradients.
        others: what needs no gradient, such as a mask or a seed; tensors, None, or nests of them.
    """
    num_inputs = len(inputs)

    def compute_with(tensors: Sequence[tf.Tensor], *others: Any) -> tf.Tensor:
        values = tensors[num_inputs:]
        with keras.StatelessScope(list(zip(weights, values, strict=True))):
            return compute(tensors[:num_inputs], *others)

    @tf.custom_gradient
    def twice(*tensors: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> Any:
            # Not before the upstream gradient is there, and not the same expression as before.
            with tf.control_dependencies([upstream]):
                again = [tf.identity(tensor) for tensor in tensors]
                kept = tf.nest.map_structure(_identity, others)
            with tf.GradientTape() as tape:
                tape.watch(again)
                output = compute_with(again, *kept)
            return tape.gradient(output, again, output_gradients=upstream)

        return compute_with(tensors, *others), gradient

    return twice(*inputs, *(tf.convert_to_tensor(weight.value) for weight in weights))


def _identity(tensor: tf.Tensor | None) -> tf.Tensor | None:
    return None if tensor is None else tf.identity(tensor)
