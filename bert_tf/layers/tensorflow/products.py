"""Matrix products on TensorFlow that Keras' operations do not offer."""

import tensorflow as tf


def matmul_transposed(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """The product of `a` and of `b` with its last two axes exchanged.

    As one operation: the gradient of a transposed `b` would be computed transposed and then copied,
    for the masked-token head a tensor as large as the embedding table.
    """
    return tf.matmul(a, b, transpose_b=True)
