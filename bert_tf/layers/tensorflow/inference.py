"""Fast paths outside of training on TensorFlow: forms that its graph optimizer knows.

A SavedModel must not ask TF Serving to compile anything, but every TensorFlow rewrites its graph
when it loads it, and has one kernel for some chains of operations if they are written like this.
Where it does not know them, as on other hardware, they are computed as they stand.
"""

from typing import Any

import tensorflow as tf


def add_bias(x: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """`x + bias`: one operation with the product before and the activation after it."""
    return tf.nn.bias_add(x, bias)


def layer_norm(x: tf.Tensor, gamma: Any, beta: Any, *, epsilon: float) -> tf.Tensor:
    """LayerNorm over the last axis, in float32, in six operations where Keras has nine.

    The result has the type of `x`.

    Not as batch normalisation with a channel a token, which the optimizer would replace by one
    kernel: where it does not, TensorFlow 2.20 ends with damaged memory (decision 11).
    """
    wide = tf.cast(x, tf.float32)
    centred = wide - tf.reduce_mean(wide, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
    gamma, beta = tf.cast(gamma, tf.float32), tf.cast(beta, tf.float32)
    return tf.cast(centred * tf.math.rsqrt(variance + epsilon) * gamma + beta, x.dtype)


def attention_weights(
    query: tf.Tensor, key: tf.Tensor, mask: tf.Tensor | None, *, factor: float, masked_score: float
) -> tf.Tensor:
    """softmax(Q K^T * factor, where masked `masked_score`), (batch, heads, from, to).

    The softmax runs in float32; scores and weights have the type of `query`.
    """
    scores = tf.matmul(query, key, transpose_b=True) * factor
    if mask is not None:
        # A score beside -1e9 is lost in rounding: all masked places of a row are equal.
        scores = scores + tf.cast(tf.where(mask, 0.0, masked_score), scores.dtype)
    return tf.cast(tf.nn.softmax(tf.cast(scores, tf.float32)), query.dtype)
