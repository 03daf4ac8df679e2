"""Draws random numbers for some rows of a batch, equal to those that the whole batch would draw.

Philox numbers its values: those of a row follow from the seed and the row's place, and nobody has
to draw the rows of others. `tf.random.stateless_uniform` offers the same values from the first on.
"""

from typing import NamedTuple, Self

import tensorflow as tf

from bert_tf.layers.tensorflow.mixing import GOLDEN, mix, to_unit_interval, uint32

PHILOX = 1
VALUES_PER_COUNT = 4


class Draws(NamedTuple):
    """What the rows from `first_row` on draw under `seed`, int32 or int64 (2)."""

    seed: tf.Tensor
    first_row: int = 0

    def split(self, num: int) -> list[Self]:
        """As many independent ones for the same rows."""
        seeds = tf.unstack(tf.random.split(self.seed, num=num))
        return [self._replace(seed=seed) for seed in seeds]

    def uniform(self, shape: tf.Tensor) -> tf.Tensor:
        """Float32 from 0 to below 1. `shape`: rows first."""
        key, counter, num_over = self._position(shape)
        values = tf.raw_ops.StatelessRandomUniformV2(
            shape=[tf.reduce_prod(shape) + num_over], key=key, counter=counter, alg=PHILOX
        )
        return tf.reshape(values[num_over:], shape)

    def integers(self, shape: tf.Tensor, *, limit: int) -> tf.Tensor:
        """Int32 from 0 to below `limit`. `shape`: rows first."""
        key, counter, num_over = self._position(shape)
        values = tf.raw_ops.StatelessRandomUniformIntV2(
            shape=[tf.reduce_prod(shape) + num_over],
            key=key,
            counter=counter,
            alg=PHILOX,
            minval=0,
            maxval=limit,
        )
        return tf.reshape(values[num_over:], shape)

    def _position(self, shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Key, counter, and how many values of that count belong to the rows before."""
        key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=self.seed)
        num_before = self.first_row * tf.reduce_prod(shape[1:])
        counts = tf.cast(num_before // VALUES_PER_COUNT, tf.uint64)
        return key, counter + tf.stack([counts, 0]), num_before % VALUES_PER_COUNT


def example_draws(seed: tf.Tensor, examples: tf.Tensor, *, num: tf.Tensor) -> tf.Tensor:
    """Float32 from 0 to below 1, (examples, num): the first `num` values of each example.

    A function of (seed, example, place) alone, whatever else is in `examples` and however many are
    asked for. Philox would take a call for each example.

    `seed`: int32 or int64 (2); `examples`: int32 (examples), from 0.
    """
    keys = tf.cast(examples, tf.uint32)
    for word in tf.unstack(tf.reshape(tf.bitcast(tf.cast(seed, tf.int64), tf.uint32), [4])):
        keys = mix(keys ^ word)
    places = mix(tf.cast(tf.range(num), tf.uint32))
    others = mix(keys ^ uint32(GOLDEN))  # or place 0, which is mixed to 0, would tell
    bits = mix(mix(places ^ keys[:, tf.newaxis]) ^ others[:, tf.newaxis])
    return to_unit_interval(bits)
