"""Random numbers of samples: a function of a text's seed, the position and the sample alone."""

import tensorflow as tf


def halves(seeds: tf.Tensor) -> tf.Tensor:
    """The bits of int64 (B) as uint32 (B, 2)."""
    return tf.bitcast(seeds, tf.uint32)


def uniform(seeds: tf.Tensor, position: tf.Tensor, *, num_samples: int) -> tf.Tensor:
    """float32 (B, `num_samples`), from 0 to below 1 in steps of 2^-24.

    One round of a 32-bit mixing function each for the halves of the seed, the position and the
    sample. Source of the function: C. Wellons, "Prospecting for Hash Functions" (2018), lowbias32,
    as in `layers.dropout_mask`.

    Args:
        seeds: uint32 (B, 2).
        position: int32 scalar.
        num_samples: for each text.
    """
    bits = _mix(_mix(seeds[:, 0] ^ _uint32(0x9E3779B9)) ^ seeds[:, 1])
    bits = _mix(bits ^ tf.cast(position, tf.uint32))
    samples = tf.cast(tf.range(num_samples), tf.uint32)
    bits = _mix(bits[:, tf.newaxis] ^ samples)
    return tf.cast(tf.bitwise.right_shift(bits, _uint32(8)), tf.float32) * 2.0**-24


def _mix(bits: tf.Tensor) -> tf.Tensor:
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        bits = (bits ^ tf.bitwise.right_shift(bits, _uint32(shift))) * _uint32(factor)
    return bits ^ tf.bitwise.right_shift(bits, _uint32(16))


def _uint32(value: int) -> tf.Tensor:
    return tf.constant(value, tf.uint32)
