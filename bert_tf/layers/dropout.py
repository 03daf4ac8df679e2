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
import ml_dtypes  # noqa: F401  (teaches NumPy bfloat16)
import numpy as np

from bert_tf.layers.dropout_mask import dropout_mask

_scope = threading.local()  # a replica of tf.distribute.MirroredStrategy traces in a thread


@contextlib.contextmanager
def dropout_seed(seed: Any) -> Iterator[None]:
    """Make every `Dropout` called inside draw its mask from `seed`.

    Args:
        seed: int32 tensor, (2,). Must differ between steps and between replicas.
    """
    previous = current_dropout_seed()
    _scope.seed = seed
    try:
        yield
    finally:
        _scope.seed = previous


def current_dropout_seed() -> Any:
    """The seed of the innermost `dropout_seed` of this thread, or None."""
    return getattr(_scope, "seed", None)


class Dropout(keras.layers.Layer):
    """Zeroes a share `rate` of its input in training and scales the rest by 1 / (1 - rate).

    Input and output: any shape, compute dtype. The scale must be a number of the compute dtype
    (1.109375 in bfloat16 for 1 / 0.9), and the share dropped is what makes the mean exact with it
    (0.0986); the product is made in float32, whatever the compute dtype.

    A fused kernel that drops by itself takes `settings` and `next_seed`, and gets the same mask.
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
        seed, settings = self.next_seed(), self.settings
        if keras.backend.backend() == "tensorflow":
            from bert_tf.layers.tensorflow import fused

            return fused.dropout(inputs, seed, **settings)
        mask = dropout_mask(keras.ops.shape(inputs), seed, **settings)
        return keras.ops.cast(keras.ops.cast(inputs, "float32") * mask, inputs.dtype)

    @property
    def settings(self) -> dict[str, float]:
        """`rate` and `scale` of `dropout_mask`."""
        if self.rate == 0.0:
            return {"rate": 0.0, "scale": 1.0}
        scale = float(np.asarray(1.0 / (1.0 - self.rate)).astype(self.compute_dtype))
        return {"rate": 1.0 - 1.0 / scale, "scale": scale}

    def next_seed(self) -> Any:
        """The seed of the next mask, int32 (2,)."""
        return keras.ops.cast(self.seed_generator.next(), "int32")

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


class _ScopedSeedGenerator(keras.random.SeedGenerator):
    """A seed generator that prefers the seed of `dropout_seed`, salted per layer."""

    salt: int | None = None

    def next(self, ordered=True):
        seed = current_dropout_seed()
        if seed is None:
            return super().next(ordered=ordered)
        if self.salt is None:
            raise ValueError(
                "A Dropout must be built before it draws: its path tells its masks from others'. "
                "Received: one that was not. Build it with the layer that holds it."
            )
        return keras.ops.bitwise_xor(seed, keras.ops.convert_to_tensor([0, self.salt], "int32"))
