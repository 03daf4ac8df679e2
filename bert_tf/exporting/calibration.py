"""Chooses how the input of a product is rounded: the way, of some, that changes the product least.

texts --> `Watch`, in the place of a layer, keeps rows of its input --> `least_costly` of them
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bert_tf.exporting.closeness import relative_error
from bert_tf.layers.activations import ACTIVATIONS
from bert_tf.layers.tensorflow.int8 import Range, quantized, quantized_columns

_CLIPPED = (1.0, 0.9, 0.8, 0.65, 0.5)
"""Shares of the range of an input that are tried as its range."""
_LARGEST_SAMPLE = 256
_LEAST_WIDTH = 0.01
_WORTH_SMOOTHING = 0.8


@dataclass(frozen=True)
class Product:
    """A matrix product of the model, and the layer whose form stands in for it."""

    name: str
    layer: keras.layers.Layer
    kernel: np.ndarray
    bias: np.ndarray
    may_be_smoothed: bool = True
    """Whether its kernel may be multiplied with what its input is divided by."""

    def compute(self, x: Any, kernel: Any, activation: str | None) -> tf.Tensor:
        outputs = tf.matmul(tf.reshape(x, [-1, self.kernel.shape[0]]), kernel) + self.bias
        outputs = tf.reshape(outputs, [*x.shape[:-1], self.kernel.shape[1]])
        return outputs if activation is None else ACTIVATIONS[activation](outputs)


class Watch:
    """Stands in for a product, computes the same, and keeps some of what comes in."""

    def __init__(self, product: Product):
        self.product = product
        self.low = self.high = 0.0
        self._rows: list[np.ndarray] = []
        self._random = np.random.default_rng(0)

    def __call__(self, x: tf.Tensor, *, activation: str | None = None) -> tf.Tensor:
        rows = x.numpy().reshape(-1, x.shape[-1])
        self.low, self.high = min(self.low, rows.min()), max(self.high, rows.max())
        self._rows.append(self._random.permutation(rows)[:_LARGEST_SAMPLE])
        return self.product.compute(x, self.product.kernel, activation)

    @property
    def sample(self) -> np.ndarray:
        """Some rows, of all batches."""
        rows = np.concatenate(self._rows)
        return self._random.permutation(rows)[:_LARGEST_SAMPLE]


class Simulated:
    """Stands in for a product and computes in float32 what int8 gives.

    Args:
        smoothing: what its input is divided by and its kernel multiplied with, a number a column.
    """

    def __init__(
        self,
        product: Product,
        limits: Range,
        sample: np.ndarray,
        *,
        smoothing: np.ndarray | None = None,
    ):
        self.product = product
        self.limits = limits
        self.smoothing = smoothing
        columns, scales = quantized_columns(self.smooth_kernel)
        self.kernel = columns * scales
        smooth = self._smooth(sample)
        self.clipped = float(np.mean((smooth < limits.low) | (smooth > limits.high)))
        exact = sample @ product.kernel
        errors = quantized(smooth, limits) @ self.kernel - exact
        self.error = relative_error(errors, exact)

    def __call__(self, x: tf.Tensor, *, activation: str | None = None) -> tf.Tensor:
        rounded = quantized(self._smooth(x.numpy()), self.limits)
        return self.product.compute(rounded, self.kernel, activation)

    @property
    def smooth_kernel(self) -> np.ndarray:
        """What is stored as int8."""
        kernel = self.product.kernel
        return kernel if self.smoothing is None else kernel * self.smoothing[:, np.newaxis]

    def _smooth(self, x: np.ndarray) -> np.ndarray:
        return x if self.smoothing is None else x / self.smoothing


def least_costly(watch: Watch) -> Simulated:
    """With the range, of some, that changes the product least."""
    sample, product = watch.sample, watch.product
    plain = _best(product, sample, None, low=watch.low, high=watch.high)
    if not product.may_be_smoothed:
        return plain
    smoothing = _smoothing(sample, product.kernel)
    smooth = sample / smoothing
    low, high = min(0.0, float(smooth.min())), max(0.0, float(smooth.max()))
    smoothed = _best(product, sample, smoothing, low=low, high=high)
    # It costs a pass over the input.
    return smoothed if smoothed.error < _WORTH_SMOOTHING * plain.error else plain


def _best(
    product: Product,
    sample: np.ndarray,
    smoothing: np.ndarray | None,
    *,
    low: float,
    high: float,
) -> Simulated:
    tried = [
        Simulated(product, limits, sample, smoothing=smoothing) for limits in _ranges(low, high)
    ]
    return min(tried, key=lambda form: form.error)


def _smoothing(sample: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """(columns of the input): some of an input's large columns become large rows of the kernel.

    Source: Xiao et al. 2023 (SmoothQuant), equation 4, with alpha 1/2.
    """
    of_input = np.maximum(np.abs(sample).max(axis=0), 1e-5)
    of_kernel = np.maximum(np.abs(kernel).max(axis=1), 1e-5)
    ratios = np.sqrt(of_input / of_kernel)
    return (ratios / np.exp(np.log(ratios).mean())).astype(np.float32)


def _ranges(low: float, high: float) -> Iterator[Range]:
    for share in _CLIPPED:
        # A side that is short, such as that of GELU's negative values, is left whole.
        cut_low = low * share if -low > high / 4 else low
        cut_high = high * share if high > -low / 4 else high
        yield Range(cut_low, max(cut_high, cut_low + _LEAST_WIDTH))
