"""Products and lookups whose weights are 8-bit integers, for serving on x86 processors.

    x, float32 --quantized--> 0 ... 255 --product of integers--> scaled, + bias, activation, float32

Activations have one range a layer, which is known beforehand: what a row answers does not depend on
the rows beside it. Weights have a scale a column. The product is oneDNN's (`_QuantizedMatMul`, an
operation of every TensorFlow for x86), exact in whole numbers.

Weights use 7 of the 8 bits. Without instructions for it (VNNI), a processor adds two products of 8
bits in 16, which 255 x 127 twice overflows; 255 x 63 twice does not. So a model gives the same
numbers on all of them.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_def_library

LARGEST_WEIGHT = 63
LARGEST_ACTIVATION = 255
_RANGE_OF_SCALE = 127.0
"""The operation is given a column's scale times this."""
_ACTIVATIONS = {
    None: [],
    "gelu": ["GeluApproximate"],
    "gelu_exact": ["GeluExact"],
    "relu": ["Relu"],
}


class Range(NamedTuple):
    """What a layer's input may be; what is outside of it is taken for its ends."""

    low: float
    high: float

    @property
    def scale(self) -> float:
        return (self.high - self.low) / LARGEST_ACTIVATION


def quantized_columns(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) float32 -> the same as int8, and a float32 scale of each column."""
    largest = np.abs(weights).max(axis=0)
    scales = np.where(largest > 0, largest, 1.0) / LARGEST_WEIGHT
    return np.rint(weights / scales).astype(np.int8), scales.astype(np.float32)


def quantized(values: np.ndarray, limits: Range) -> np.ndarray:
    """What the numbers are taken for, float32: as the graph rounds them, up to ties."""
    steps = np.rint((values - limits.low) / limits.scale)
    return (np.clip(steps, 0, LARGEST_ACTIVATION) * limits.scale + limits.low).astype(np.float32)


class Int8Weights(tf.Module):
    """A matrix as int8, stored as it came, and a float32 scale of each of its columns.

    Args:
        matrix: float32, (rows, columns).
        is_transposed: it is stored as (columns, rows), such as an embedding table.
    """

    def __init__(self, matrix: np.ndarray, *, is_transposed: bool = False):
        super().__init__(name="int8_weights")
        self.columns, self.scales = quantized_columns(matrix)
        self.is_transposed = is_transposed
        stored = self.columns.T if is_transposed else self.columns
        self.stored = tf.Variable(tf.constant(stored), trainable=False)


class Int8Product(tf.Module):
    """activation(x W + b) of a dense layer.

    Input: (…, rows of W), float32, or steps of `limits`, quint8. Output: (…, columns of W),
    float32, or steps of `output_limits`, quint8: then the product after it rounds nothing anew.

    Args:
        bias: float32, (columns).
        limits: of its input, or of that by `smoothing`.
        smoothing: what the input is divided by, a number a column; W is multiplied with it already.
        output_limits: of the input of the next product; None: the output is float32.
    """

    def __init__(
        self,
        weights: Int8Weights,
        bias: np.ndarray,
        *,
        limits: Range,
        smoothing: np.ndarray | None = None,
        output_limits: Range | None = None,
    ):
        super().__init__(name="int8_product")
        self.weights = weights
        self.limits = limits
        self.output_limits = output_limits
        self.factors = None
        if smoothing is not None:
            self.factors = tf.Variable((1.0 / smoothing).astype(np.float32), trainable=False)
        # Steps are counted from the lower end, which so adds the same to every row.
        sums = weights.columns.sum(axis=0, dtype=np.int64)
        of_low_end = limits.low * weights.scales.astype(np.float64) * sums
        self.bias = tf.Variable((bias + of_low_end).astype(np.float32), trainable=False)
        # A variable, not computed in the graph: the operation's cache knows it by its address.
        ranges = weights.scales.astype(np.float64) * limits.scale * _RANGE_OF_SCALE
        self.ranges = tf.Variable(ranges.astype(np.float32), trainable=False)

    def __call__(self, x: tf.Tensor, *, activation: str | None = None) -> tf.Tensor:
        """In a graph only. Raises KeyError for an activation that has no kernel."""
        product = _quantized_matmul(
            self._steps(tf.reshape(x, [-1, x.shape[-1]])),
            tf.bitcast(self.weights.stored.read_value(), tf.qint8),
            self.bias.read_value(),
            self.ranges.read_value(),
            fused=["BiasAdd", *_ACTIVATIONS[activation]],
            is_transposed=self.weights.is_transposed,
            output_limits=self.output_limits,
        )
        product = tf.ensure_shape(product, [None, self.bias.shape[0]])
        return product if x.shape.rank == 2 else _with_leading(product, x)

    def _steps(self, rows: tf.Tensor) -> tf.Tensor:
        if rows.dtype == tf.quint8:
            return rows
        return tf.raw_ops.QuantizeV2(
            input=rows if self.factors is None else rows * self.factors,
            min_range=self.limits.low,
            max_range=self.limits.high,
            T=tf.quint8,
            mode="MIN_FIRST",
        ).output


def _with_leading(product: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    shape = tf.concat([tf.shape(x)[:-1], tf.shape(product)[-1:]], 0)
    return tf.ensure_shape(tf.reshape(product, shape), [*x.shape[:-1], product.shape[-1]])


def _quantized_matmul(
    steps: tf.Tensor,
    weights: tf.Tensor,
    bias: tf.Tensor,
    ranges: tf.Tensor,
    *,
    fused: list[str],
    is_transposed: bool,
    output_limits: Range | None,
) -> tf.Tensor:
    whole = tf.constant(float(LARGEST_ACTIVATION))
    host_inputs = [tf.zeros_like(whole), whole, ranges, ranges]
    if output_limits is None:
        output, host_outputs, last = tf.float32, [], "Dequantize"
    else:  # the operation tells the range of its output, too
        output, host_outputs, last = tf.quint8, [tf.float32, tf.float32], "Requantize"
        host_inputs += [tf.constant(limit, tf.float32) for limit in output_limits]
    # It has no public wrapper; made as the wrappers of others are.
    *_, outputs = op_def_library._apply_op_helper(
        "_QuantizedMatMul",
        name="quantized_matmul",
        device_inputs=[steps, weights, bias],
        host_inputs=host_inputs,
        Tdevice_outputs=[output],
        Thost_outputs=host_outputs,
        T1=tf.quint8,
        T2=tf.qint8,
        Tbias=tf.float32,
        Tout=output,
        U=tf.float32,
        transpose_a=False,
        transpose_b=is_transposed,
        is_weight_const=True,
        is_bias_const=True,
        fused_ops=[*fused, last],
        input_quant_mode="SCALED",
        output_quant_mode="MIN_FIRST",
        leakyrelu_alpha=0.2,
    )
    return outputs[0]


class Int8Table(tf.Module):
    """An embedding table, a scale for each of its rows.

    Input: ids, int32. Output: (…, width), float32.
    """

    def __init__(self, table: np.ndarray):
        super().__init__(name="int8_table")
        self.weights = Int8Weights(table.T, is_transposed=True)
        self.scales = tf.Variable(self.weights.scales, trainable=False)

    def __call__(self, ids: tf.Tensor) -> tf.Tensor:
        rows = tf.cast(tf.gather(self.weights.stored, ids), tf.float32)
        return rows * tf.gather(self.scales, ids)[..., tf.newaxis]
