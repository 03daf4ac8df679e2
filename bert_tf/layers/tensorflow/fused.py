"""Fast paths of training on TensorFlow: chains of element-wise operations as one kernel each.

Each chain is float32 inside, whatever the type of its input, and has its derivative written out:
dropout's mask is drawn again instead of kept, and what autodiff would store is computed anew.
Sums over rows, the gradients of biases, are products with ones of what a chain has written.

Serving does not come here: a SavedModel must not ask TF Serving to compile anything.
"""

import math
from typing import Any

import tensorflow as tf

from bert_tf.layers.dropout_mask import dropout_mask
from bert_tf.layers.projection import matmul
from bert_tf.layers.tensorflow.compiled import Kept, compiled, with_gradient

_ROOT = math.sqrt(2.0 / math.pi)
_CUBIC = 0.044715


def _gelu_parts(x: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    wide = _wide(x) + _wide(bias)
    square = wide * wide
    return wide, square, tf.tanh(_ROOT * wide * (1.0 + _CUBIC * square))


@compiled
def _gelu_gradient_of_x(x: tf.Tensor, bias: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    wide, square, tanh = _gelu_parts(x, bias)
    slope = _ROOT * (1.0 + 3.0 * _CUBIC * square)
    derivative = 0.5 * (1.0 + tanh) + 0.5 * wide * (1.0 - tanh * tanh) * slope
    return tf.cast(_wide(upstream) * derivative, x.dtype)


def _gelu_gradient(x: tf.Tensor, bias: tf.Tensor, upstream: tf.Tensor) -> Any:
    of_x = _gelu_gradient_of_x(x, bias, upstream)
    return of_x, _sum_of_rows(of_x, dtype=bias.dtype)


@with_gradient(_gelu_gradient, reads=(0, 1))
def gelu(x: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Kept]:
    """The tanh approximation of GELU of `x + bias`; output in the type of `x`.

    `x`, output: (…, width); `bias`: (width). The derivative uses the tanh for all of it: in
    bfloat16 on a CPU it takes about a third of the time of the one that autodiff makes.
    """
    wide, _, tanh = _gelu_parts(x, bias)
    return tf.cast(0.5 * wide * (1.0 + tanh), x.dtype), ()


def _drop(values: tf.Tensor, seed: tf.Tensor, *, rate: float, scale: float) -> tf.Tensor:
    if rate == 0.0:
        return values
    return values * dropout_mask(tf.shape(values), seed, rate=rate, scale=scale)


@compiled
def _dropout_gradient(seed: tf.Tensor, upstream: tf.Tensor, **rates: float) -> Any:
    return tf.cast(_drop(_wide(upstream), seed, **rates), upstream.dtype), None


@with_gradient(_dropout_gradient, reads=(1,))
def dropout(x: tf.Tensor, seed: tf.Tensor, *, rate: float, scale: float) -> tuple[tf.Tensor, Kept]:
    """`x` with `dropout_mask` applied. Any shape; output in the type of `x`."""
    return tf.cast(_drop(_wide(x), seed, rate=rate, scale=scale), x.dtype), ()


@compiled
def _layer_norm_gradients(
    gamma: tf.Tensor, normal: tf.Tensor, inverse: tf.Tensor, upstream: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Of the input, and of gamma before it is summed."""
    of_x, of_gamma = _normalize_gradients(gamma, normal, inverse, upstream)
    return tf.cast(of_x, upstream.dtype), of_gamma


def _layer_norm_gradient(
    gamma: tf.Tensor, normal: tf.Tensor, inverse: tf.Tensor, upstream: tf.Tensor, *, epsilon: float
) -> Any:
    of_x, of_gamma = _layer_norm_gradients(gamma, normal, inverse, upstream)
    return (
        of_x,
        _sum_of_rows(of_gamma, dtype=gamma.dtype),
        _sum_of_rows(upstream, dtype=gamma.dtype),
    )


@with_gradient(_layer_norm_gradient, reads=(1,))
def layer_norm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, *, epsilon: float) -> Any:
    """LayerNorm over the last axis. `x`, output: (…, width), one type; `gamma`, `beta`: (width)."""
    return _normalize(_wide(x), gamma, beta, x.dtype, epsilon)


@compiled
def _drop_add_norm_gradients(
    gamma: tf.Tensor,
    seed: tf.Tensor,
    normal: tf.Tensor,
    inverse: tf.Tensor,
    upstream: tf.Tensor,
    **rates: float,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Of the update and the residual, and of gamma before it is summed."""
    of_total, of_gamma = _normalize_gradients(gamma, normal, inverse, upstream)
    of_update = _drop(of_total, seed, **rates)
    return tf.cast(of_update, upstream.dtype), tf.cast(of_total, upstream.dtype), of_gamma


def _drop_add_norm_gradient(
    bias: tf.Tensor,
    gamma: tf.Tensor,
    seed: tf.Tensor,
    normal: tf.Tensor,
    inverse: tf.Tensor,
    upstream: tf.Tensor,
    *,
    epsilon: float,
    **rates: float,
) -> Any:
    of_update, of_residual, of_gamma = _drop_add_norm_gradients(
        gamma, seed, normal, inverse, upstream, **rates
    )
    return (
        of_update,
        _sum_of_rows(of_update, dtype=bias.dtype),
        of_residual,
        _sum_of_rows(of_gamma, dtype=gamma.dtype),
        _sum_of_rows(upstream, dtype=gamma.dtype),
        None,
    )


@with_gradient(_drop_add_norm_gradient, reads=(1, 3, 5))
def drop_add_norm(
    update: tf.Tensor,
    bias: tf.Tensor,
    residual: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    seed: tf.Tensor,
    *,
    rate: float,
    scale: float,
    epsilon: float,
) -> tuple[tf.Tensor, Kept]:
    """LayerNorm(residual + dropout(update + bias)) over the last axis.

    `update`, `residual`, output: (…, width), one type. `bias`, `gamma`, `beta`: (width).
    """
    dropped = _drop(_wide(update) + _wide(bias), seed, rate=rate, scale=scale)
    return _normalize(_wide(residual) + dropped, gamma, beta, update.dtype, epsilon)


def _masked_scores(
    scores: tf.Tensor, mask: tf.Tensor | None, *, factor: float, masked_score: float
) -> tf.Tensor:
    wide = _wide(scores) * factor
    return wide if mask is None else tf.where(mask, wide, masked_score)


@compiled
def _attention_weights_gradient(
    scores: tf.Tensor,
    mask: tf.Tensor | None,
    seed: tf.Tensor,
    highest: tf.Tensor,
    inverse: tf.Tensor,
    upstream: tf.Tensor,
    *,
    factor: float,
    masked_score: float,
    **rates: float,
) -> Any:
    again = _masked_scores(scores, mask, factor=factor, masked_score=masked_score)
    weights = tf.exp(again - highest) * inverse
    of_weights = _drop(_wide(upstream), seed, **rates)
    mean = tf.reduce_sum(of_weights * weights, axis=-1, keepdims=True)
    of_scores = weights * (of_weights - mean) * factor
    if mask is not None:
        of_scores = tf.where(mask, of_scores, 0.0)
    return tf.cast(of_scores, scores.dtype), None, None


@with_gradient(_attention_weights_gradient, reads=(0, 1, 2))
def attention_weights(
    scores: tf.Tensor,
    mask: tf.Tensor | None,
    seed: tf.Tensor,
    *,
    factor: float,
    masked_score: float,
    rate: float,
    scale: float,
) -> tuple[tf.Tensor, Kept]:
    """dropout(softmax(scores * factor)) over the last axis, `masked_score` where `mask` is False.

    `scores`, output: (B, N, F, T), one type. `mask`: bool, broadcastable to it. No gradient reaches
    a masked score.
    """
    wide = _masked_scores(scores, mask, factor=factor, masked_score=masked_score)
    highest = tf.reduce_max(wide, axis=-1, keepdims=True)
    powers = tf.exp(wide - highest)
    inverse = 1.0 / tf.reduce_sum(powers, axis=-1, keepdims=True)
    dropped = _drop(powers * inverse, seed, rate=rate, scale=scale)
    return tf.cast(dropped, scores.dtype), (highest, inverse)


def add_bias(x: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """`x + bias`, in the type of `x`. `x`: (…, width); `bias`: (width)."""
    return _add_bias(x, bias, dtype=x.dtype)


def add_bias_in_float32(x: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """`x + bias`, float32. `x`: (…, width); `bias`: (width)."""
    return _add_bias(x, bias, dtype=tf.float32)


def _add_bias(x: tf.Tensor, bias: tf.Tensor, *, dtype: tf.DType) -> tf.Tensor:
    @tf.custom_gradient
    def compute(x: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Any]:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.cast(upstream, x.dtype), _sum_of_rows(upstream, dtype=bias.dtype)

        return _biased(x, bias, dtype=dtype), gradient

    return compute(tf.convert_to_tensor(x), tf.convert_to_tensor(bias))


@compiled
def _biased(x: tf.Tensor, bias: tf.Tensor, *, dtype: tf.DType) -> tf.Tensor:
    return tf.cast(_wide(x) + _wide(bias), dtype)


def _normalize(
    total: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, dtype: tf.DType, epsilon: float
) -> tuple[tf.Tensor, Kept]:
    """LayerNorm of float32, in `dtype`; what is kept is the normalised input, in `dtype`."""
    centred = total - tf.reduce_mean(total, axis=-1, keepdims=True)
    variance = tf.reduce_mean(centred * centred, axis=-1, keepdims=True)
    inverse = tf.math.rsqrt(variance + epsilon)
    normal = centred * inverse
    output = tf.cast(normal * _wide(gamma) + _wide(beta), dtype)
    return output, (tf.cast(normal, dtype), inverse)


def _normalize_gradients(
    gamma: tf.Tensor, normal: tf.Tensor, inverse: tf.Tensor, upstream: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Of the total, float32, and of gamma before it is summed over rows."""
    wide, normal = _wide(upstream), _wide(normal)
    scaled = wide * _wide(gamma)
    mean = tf.reduce_mean(scaled, axis=-1, keepdims=True)
    along = tf.reduce_mean(scaled * normal, axis=-1, keepdims=True)
    # In float16 a product of two may overflow where none of them does.
    is_half = upstream.dtype == tf.float16
    of_gamma = tf.cast(wide * normal, tf.float32 if is_half else upstream.dtype)
    return inverse * (scaled - mean - normal * along), of_gamma


def _wide(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(x, tf.float32)


def _sum_of_rows(x: tf.Tensor, *, dtype: tf.DType) -> tf.Tensor:
    """(…, width) -> (width), added in float32. Outside of compiled functions.

    As a product with ones, of a tensor that lies in memory: inside of a compiled chain the compiler
    puts the chain into the sum's loop, and computes it again there, one number at a time.
    """
    rows = tf.reshape(x, [-1, x.shape[-1]])
    if rows.dtype == tf.float16:
        rows = _wide(rows)
    ones = tf.ones([1, tf.shape(rows)[0]], rows.dtype)
    return tf.cast(matmul(ones, rows)[0], dtype)
