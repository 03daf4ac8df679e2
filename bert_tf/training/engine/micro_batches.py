"""A replica's rows of a batch in parts, one after another, so that memory is that of one part."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf


class MicroBatches:
    """The parts of some rows, and the dropout seed of each.

    Args:
        batch: tensors (rows, ...), which `num_parts` divides.
        seed: int32 (2,), of the replica and the step.
    """

    def __init__(self, batch: Mapping[str, tf.Tensor], *, num_parts: int, seed: tf.Tensor) -> None:
        self.num_parts = num_parts
        self.whole = batch
        self._seed = seed
        self._parts = batch
        if num_parts > 1:
            self._parts = tf.nest.map_structure(
                lambda x: tf.reshape(x, tf.concat([[num_parts, -1], tf.shape(x)[1:]], 0)), batch
            )

    def rows(self, index: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """Those of a part."""
        if self.num_parts == 1:
            return self.whole
        return {
            name: tf.ensure_shape(value[index], [None, *self.whole[name].shape[1:]])
            for name, value in self._parts.items()
        }

    def seed(self, index: tf.Tensor) -> tf.Tensor:
        """Of a part's dropout; of one alone the replica's."""
        if self.num_parts == 1:
            return self._seed
        return tf.random.experimental.stateless_fold_in(self._seed, index)

    def sum(self, compute: Callable[[tf.Tensor], Any]) -> Any:
        """Of what `compute` gives for each part, by its index: any structure of tensors."""
        totals = compute(tf.constant(0))
        if self.num_parts == 1:
            return totals
        _, totals = tf.while_loop(
            lambda index, _: index < self.num_parts,
            lambda index, totals: (
                index + 1,
                tf.nest.map_structure(tf.add, totals, compute(index)),
            ),
            (tf.constant(1), totals),
            parallel_iterations=1,
        )
        return totals

    def stack(self, compute: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """What `compute` gives for each part, of one shape: (parts, ...)."""
        first = compute(tf.constant(0))
        found = tf.TensorArray(first.dtype, size=self.num_parts, element_shape=first.shape)
        _, found = tf.while_loop(
            lambda index, _: index < self.num_parts,
            lambda index, found: (index + 1, found.write(index, compute(index))),
            (tf.constant(1), found.write(0, first)),
            parallel_iterations=1,
        )
        return found.stack()
