"""The scores of additive attention as one compiled kernel, whose gradient computes them again.

What plain operations keep for the gradient, H numbers for each pair of positions, is kept by none.
"""

from typing import Any

import tensorflow as tf

from bert_tf.layers.tensorflow.compiled import Kept, compiled, with_gradient


def _hidden(query: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    return tf.tanh(query[:, :, :, tf.newaxis] + key[:, :, tf.newaxis])


@compiled
def _gradients(query: tf.Tensor, key: tf.Tensor, kernel: tf.Tensor, upstream: tf.Tensor) -> Any:
    hidden = _hidden(query, key)
    of_scores = upstream[..., tf.newaxis]
    of_sums = of_scores * kernel[:, tf.newaxis, tf.newaxis] * (1.0 - hidden * hidden)
    of_kernel = tf.reduce_sum(of_scores * hidden, axis=(0, 2, 3))
    return tf.reduce_sum(of_sums, axis=3), tf.reduce_sum(of_sums, axis=2), of_kernel


@with_gradient(_gradients, reads=(0, 1, 2))
def additive_scores(query: tf.Tensor, key: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Kept]:
    """v . tanh(q + k): (B, N, F, H), (B, N, T, H), v (N, H) -> (B, N, F, T)."""
    hidden = _hidden(query, key)
    return tf.reduce_sum(hidden * kernel[:, tf.newaxis, tf.newaxis], axis=-1), ()
