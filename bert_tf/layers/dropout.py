"""Dropout whose masks are a pure function of a seed that the caller gives.

Inside `dropout_seed(seed)` every `Dropout` layer draws from (seed, its own path), so that a
training step repeated with the same seed drops the same units, after a restart too. Outside, the
layer behaves as `keras.layers.Dropout`.
"""

import contextlib
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import keras

_scope = threading.local()  # a replica of tf.distribute.MirroredStrategy traces in a thread


@contextlib.contextmanager
def dropout_seed(seed: Any) -> Iterator[None]:
    """Make every `Dropout` called inside draw its mask from `seed`.

    Args:
        seed: int32 tensor, (2,). Must differ between steps and between replicas.
    """
    previous = getattr(_scope, "seed", None)
    _scope.seed = seed
    try:
        yield
    finally:
        _scope.seed = previous


class Dropout(keras.layers.Layer):
    """Zeroes a share `rate` of its input in training and scales the rest by 1 / (1 - rate).

    Input and output: any shape, compute dtype.
    """

    def __init__(self, rate: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = _ScopedSeedGenerator()

    def build(self, inputs_shape):
        # The path is unique in a model and the same in every process.
        self.seed_generator.salt = zlib.crc32(self.path.encode()) & 0x7FFFFFFF

    def call(self, inputs, training=False):
        if not training or self.rate == 0.0:
            return inputs
        return keras.random.dropout(inputs, self.rate, seed=self.seed_generator)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


class _ScopedSeedGenerator(keras.random.SeedGenerator):
    """A seed generator that prefers the seed of `dropout_seed`, salted per layer."""

    salt = 0

    def next(self, ordered=True):
        seed = getattr(_scope, "seed", None)
        if seed is None:
            return super().next(ordered=ordered)
        return keras.ops.bitwise_xor(seed, keras.ops.convert_to_tensor([0, self.salt], "int32"))
