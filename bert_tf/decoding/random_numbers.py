"""Random numbers of samples: a function of a text's seed, the position and the sample alone."""

import tensorflow as tf

from bert_tf.layers.tensorflow.mixing import GOLDEN, mix, to_unit_interval, uint32


def halves(seeds: tf.Tensor) -> tf.Tensor:
    """The bits of int64 (B) as uint32 (B, 2)."""
    return tf.bitcast(seeds, tf.uint32)


def uniform(seeds: tf.Tensor, position: tf.Tensor, *, num_samples: int) -> tf.Tensor:
    """float32 (B, `num_samples`), from 0 to below 1 in steps of 2^-24.

    One round of `mix` each for the halves of the seed, the position and the sample.

    Args:
        seeds: uint32 (B, 2).
        position: int32 scalar.
        num_samples: for each text.
    """
    bits = mix(mix(seeds[:, 0] ^ uint32(GOLDEN)) ^ seeds[:, 1])
    bits = mix(bits ^ tf.cast(position, tf.uint32))
    samples = tf.cast(tf.range(num_samples), tf.uint32)
    bits = mix(bits[:, tf.newaxis] ^ samples)
    return to_unit_interval(bits)
