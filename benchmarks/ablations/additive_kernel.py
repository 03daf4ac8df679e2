"""The scores of additive attention by compiled kernels, whose gradients compute them again.

Plain operations keep H numbers for each pair of positions until the gradient reads them. Here
nothing is kept but query and key; a kernel may hold as much for itself while it runs.
"""

from typing import Any

import tensorflow as tf

from bert_tf.layers.tensorflow.compiled import Kept, compiled, with_gradient


def _hidden(query: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    return tf.tanh(query[:, :, :, tf.newaxis] + key[:, :, tf.newaxis])


def _of_sums(query: Any, key: Any, kernel: Any, upstream: Any) -> tf.Tensor:
    """The gradient of q + k, (B, N, F, T, H)."""
    slope = 1.0 - tf.square(_hidden(query, key))
    return upstream[..., tf.newaxis] * kernel[:, tf.newaxis, tf.newaxis] * slope


# A kernel for each sum: of two over different axes the compiler would keep the summands in memory.
@compiled
def _of_query(query: Any, key: Any, kernel: Any, upstream: Any) -> tf.Tensor:
    return tf.reduce_sum(_of_sums(query, key, kernel, upstream), axis=3)


@compiled
def _of_key(query: Any, key: Any, kernel: Any, upstream: Any) -> tf.Tensor:
    return tf.reduce_sum(_of_sums(query, key, kernel, upstream), axis=2)


@compiled
def _of_kernel(query: Any, key: Any, upstream: Any) -> tf.Tensor:
    return tf.reduce_sum(upstream[..., tf.newaxis] * _hidden(query, key), axis=(0, 2, 3))


def _gradients(query: tf.Tensor, key: tf.Tensor, kernel: tf.Tensor, upstream: tf.Tensor) -> Any:
    both = (query, key, kernel, upstream)
    return _of_query(*both), _of_key(*both), _of_kernel(query, key, upstream)


@with_gradient(_gradients, reads=(0, 1, 2))
def additive_scores(query: tf.Tensor, key: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Kept]:
    """v . tanh(q + k): (B, N, F, H), (B, N, T, H), v (N, H) -> (B, N, F, T)."""
    hidden = _hidden(query, key)
    return tf.reduce_sum(hidden * kernel[:, tf.newaxis, tf.newaxis], axis=-1), ()
