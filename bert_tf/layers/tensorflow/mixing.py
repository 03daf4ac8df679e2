"""Random bits by hashing, of TensorFlow alone: for what is no layer, in data and in searches."""

import tensorflow as tf

GOLDEN = 0x9E3779B9
"""2^32 over the golden ratio: what keeps 0 from being hashed to 0."""


def mix(bits: tf.Tensor) -> tf.Tensor:
    """uint32 to uint32, one to one.

    Source: C. Wellons, "Prospecting for Hash Functions" (2018), lowbias32, as in
    `layers.dropout_mask`, which is written for any backend.
    """
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        bits = (bits ^ tf.bitwise.right_shift(bits, uint32(shift))) * uint32(factor)
    return bits ^ tf.bitwise.right_shift(bits, uint32(16))


def to_unit_interval(bits: tf.Tensor) -> tf.Tensor:
    """uint32 to float32 from 0 to below 1, in steps of 2^-24."""
    return tf.cast(tf.bitwise.right_shift(bits, uint32(8)), tf.float32) * 2.0**-24


def uint32(value: int) -> tf.Tensor:
    """A constant."""
    return tf.constant(value, tf.uint32)
