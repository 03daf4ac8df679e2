"""Fast paths of training on TensorFlow: chains of element-wise operations as one kernel each.

Each chain is float32 inside, whatever the type of its input, and has its derivative written out:
dropout's mask is drawn again instead of kept, and what autodiff would store is computed anew.

Serving does not come here: a SavedModel must not ask TF Serving to compile anything.
"""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from bert_tf.layers.dropout_mask import dropout_mask
from bert_tf.layers.tensorflow.compiled import Kept, compiled, with_gradient

_ROOT = math.sqrt(2.0 / math.pi)
_CUBIC = 0.044715


def _gelu_parts(x: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    wide = _wide(x) + _wide(bias)
    square = wide * wide
    return wide, square, tf.tanh(_ROOT * wide * (1.0 + _CUBIC * square))


def _gelu_gradient(kept: Kept, upstream: tf.Tensor) -> Any:
    x, bias = kept
    wide, square, tanh = _gelu_parts(x, bias)
    slope = _ROOT * (1.0 + 3.0 * _CUBIC * square)
    derivative = 0.5 * (1.0 + tanh) + 0.5 * wide * (1.0 - tanh * tanh) * slope
    of_x = _wide(upstream) * derivative
    return tf.cast(of_x, x.dtype), tf.cast(_sum_of_rows(of_x), bias.dtype)


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


def _dropout_gradient(kept: Kept, upstream: tf.Tensor, **rates: float) -> Any:
    (seed,) = kept
    return tf.cast(_drop(_wide(upstream), seed, **rates), upstream.dtype), None


@with_gradient(_dropout_gradient, reads=(1,))
def dropout(x: tf.Tensor, seed: tf.Tensor, *, rate: float, scale: float) -> tuple[tf.Tensor, Kept]:
    """`x` with `dropout_mask` applied. Any shape; output in the type of `x`."""
    return tf.cast(_drop(_wide(x), seed, rate=rate, scale=scale), x.dtype), ()


def _layer_norm_gradient(kept: Kept, upstream: tf.Tensor, *, epsilon: float) -> Any:
    of_x, of_gamma, of_beta = _normalize_gradient(kept, upstream)
    return tf.cast(of_x, upstream.dtype), of_gamma, of_beta


@with_gradient(_layer_norm_gradient, reads=(1,))
def layer_norm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, *, epsilon: float) -> Any:
    """LayerNorm over the last axis. `x`, output: (…, width), one type; `gamma`, `beta`: (width)."""
    return _normalize(_wide(x), gamma, beta, x.dtype, epsilon)


def _drop_add_norm_gradient(
    kept: Kept, upstream: tf.Tensor, *, epsilon: float, **rates: float
) -> Any:
    bias, gamma, seed, normal, inverse = kept
    of_total, of_gamma, of_beta = _normalize_gradient((gamma, normal, inverse), upstream)
    of_update = _drop(of_total, seed, **rates)
    return (
        tf.cast(of_update, upstream.dtype),
        tf.cast(_sum_of_rows(of_update), bias.dtype),
        tf.cast(of_total, upstream.dtype),
        of_gamma,
        of_beta,
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


def _attention_weights_gradient(
    kept: Any,
    upstream: tf.Tensor,
    *,
    factor: float,
    masked_score: float,
    **rates: float,
) -> Any:
    scores, mask, seed, highest, inverse = kept
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


def _cross_entropy_gradient(kept: Kept, upstream: tf.Tensor, of_correct: tf.Tensor) -> Any:
    logits, labels, logarithm = kept
    is_label = tf.equal(tf.range(tf.shape(logits)[-1]), labels[..., tf.newaxis])
    difference = tf.exp(logits - logarithm) - tf.cast(is_label, tf.float32)
    return difference * upstream[..., tf.newaxis], None


@with_gradient(_cross_entropy_gradient, reads=(0, 1))
def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tuple[tuple[tf.Tensor, tf.Tensor], Kept]:
    """-log softmax(logits)[label], and whether the label is where argmax points; both float32.

    `logits`: (…, classes), float32; `labels`: (…), int32.
    """
    highest = tf.reduce_max(logits, axis=-1, keepdims=True)
    classes = tf.range(tf.shape(logits)[-1])
    is_label = tf.equal(classes, labels[..., tf.newaxis])
    # Of equal scores the first counts.
    is_better = tf.equal(logits, highest) & (classes < labels[..., tf.newaxis])
    logarithm = highest + tf.math.log(
        tf.reduce_sum(tf.exp(logits - highest), axis=-1, keepdims=True)
    )
    of_label = tf.reduce_sum(tf.where(is_label, logits, 0.0), axis=-1)
    is_highest = tf.reduce_any(is_label & tf.equal(logits, highest), axis=-1)
    is_correct = is_highest & ~tf.reduce_any(is_better, axis=-1)
    return (logarithm[..., 0] - of_label, tf.cast(is_correct, tf.float32)), (logarithm,)


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
            if x.dtype == dtype:
                return upstream, _bias_gradient(upstream, dtype=bias.dtype)
            return _wide_bias_gradients(upstream, dtypes=(x.dtype, bias.dtype))

        return _biased(x, bias, dtype=dtype), gradient

    return compute(tf.convert_to_tensor(x), tf.convert_to_tensor(bias))


@compiled
def _biased(x: tf.Tensor, bias: tf.Tensor, *, dtype: tf.DType) -> tf.Tensor:
    return tf.cast(_wide(x) + _wide(bias), dtype)


@compiled
def _bias_gradient(upstream: tf.Tensor, *, dtype: tf.DType) -> tf.Tensor:
    return tf.cast(_sum_of_rows(_wide(upstream)), dtype)


@compiled
def _wide_bias_gradients(
    upstream: tf.Tensor, *, dtypes: tuple[tf.DType, tf.DType]
) -> tuple[tf.Tensor, tf.Tensor]:
    of_x, of_bias = dtypes
    return tf.cast(upstream, of_x), tf.cast(_sum_of_rows(upstream), of_bias)


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


def _normalize_gradient(
    kept: Sequence[tf.Tensor], upstream: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Of the total (float32), gamma and beta."""
    gamma, normal, inverse = kept
    wide, normal = _wide(upstream), _wide(normal)
    scaled = wide * _wide(gamma)
    mean = tf.reduce_mean(scaled, axis=-1, keepdims=True)
    along = tf.reduce_mean(scaled * normal, axis=-1, keepdims=True)
    return (
        inverse * (scaled - mean - normal * along),
        tf.cast(_sum_of_rows(wide * normal), gamma.dtype),
        tf.cast(_sum_of_rows(wide), gamma.dtype),
    )


def _wide(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(x, tf.float32)


def _sum_of_rows(x: tf.Tensor) -> tf.Tensor:
    """(…, width) -> (width).

    As a product with ones: on a CPU the compiler's own sum over rows takes as long as all else.
    """
    rows = tf.reshape(x, [-1, x.shape[-1]])
    return tf.linalg.matvec(rows, tf.ones([tf.shape(rows)[0]]), transpose_a=True)
