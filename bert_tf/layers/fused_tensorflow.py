"""Fast paths of training on TensorFlow: chains of element-wise operations as one kernel each.

Each chain is float32 inside, whatever the type of its input, and has its derivative written out:
dropout's mask is drawn again instead of kept, and what autodiff would store is computed anew.

Serving does not come here: a SavedModel must not ask TF Serving to compile anything.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from bert_tf.layers.dropout_mask import dropout_mask

_ROOT = math.sqrt(2.0 / math.pi)
_CUBIC = 0.044715

Gradient = Callable[[tf.Tensor], Any]


def _compiled(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """`kernel` of tensors (or None) and keyword settings, compiled as one."""
    compiled = tf.function(kernel, jit_compile=True, autograph=False)

    @functools.wraps(kernel)
    def call(*tensors: Any, **settings: float) -> Any:
        # A graph keeps a variable that it is given: all layers would use the first one's.
        return compiled(*(x if x is None else tf.convert_to_tensor(x) for x in tensors), **settings)

    return call


@_compiled
@tf.custom_gradient
def gelu(x: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
    """The tanh approximation of GELU of `x + bias`; output in the type of `x`.

    `x`, output: (…, width); `bias`: (width). The derivative uses the tanh for all of it: in
    bfloat16 on a CPU it takes about a third of the time of the one that autodiff makes.
    """

    def parts(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        wide = tf.cast(x, tf.float32) + tf.cast(bias, tf.float32)
        square = wide * wide
        return wide, square, tf.tanh(_ROOT * wide * (1.0 + _CUBIC * square))

    wide, _, tanh = parts(x)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        wide, square, tanh = parts(x)
        slope = _ROOT * (1.0 + 3.0 * _CUBIC * square)
        derivative = 0.5 * (1.0 + tanh) + 0.5 * wide * (1.0 - tanh * tanh) * slope
        of_x = tf.cast(upstream, tf.float32) * derivative
        return tf.cast(of_x, x.dtype), tf.cast(_sum_of_rows(of_x), bias.dtype)

    return tf.cast(0.5 * wide * (1.0 + tanh), x.dtype), gradient


@_compiled
def dropout(x: tf.Tensor, seed: tf.Tensor, *, rate: float, scale: float) -> tf.Tensor:
    """`x` with `dropout_mask` applied. Any shape; output in the type of `x`."""

    def drop(values: tf.Tensor) -> tf.Tensor:
        mask = dropout_mask(tf.shape(values), seed, rate=rate, scale=scale)
        return tf.cast(tf.cast(values, tf.float32) * mask, values.dtype)

    return tf.custom_gradient(lambda values: (drop(values), drop))(x)


@_compiled
def layer_norm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, *, epsilon: float) -> tf.Tensor:
    """LayerNorm over the last axis. `x`, output: (…, width), one type; `gamma`, `beta`: (width)."""

    @tf.custom_gradient
    def compute(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        output, backward = _normalize(tf.cast(x, tf.float32), gamma, beta, x.dtype, epsilon)

        def gradient(upstream: tf.Tensor) -> Any:
            of_x, of_gamma, of_beta = backward(upstream)
            return tf.cast(of_x, x.dtype), of_gamma, of_beta

        return output, gradient

    return compute(x, gamma, beta)


@_compiled
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
) -> tf.Tensor:
    """LayerNorm(residual + dropout(update + bias)) over the last axis.

    `update`, `residual`, output: (…, width), one type. `bias`, `gamma`, `beta`: (width).
    """
    dtype = update.dtype

    def drop(values: tf.Tensor) -> tf.Tensor:
        if rate == 0.0:
            return values
        return values * dropout_mask(tf.shape(values), seed, rate=rate, scale=scale)

    @tf.custom_gradient
    def compute(
        update: tf.Tensor, bias: tf.Tensor, residual: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor
    ) -> tuple[tf.Tensor, Gradient]:
        biased = tf.cast(update, tf.float32) + tf.cast(bias, tf.float32)
        total = tf.cast(residual, tf.float32) + drop(biased)
        output, backward = _normalize(total, gamma, beta, dtype, epsilon)

        def gradient(upstream: tf.Tensor) -> Any:
            of_total, of_gamma, of_beta = backward(upstream)
            of_update = drop(of_total)
            return (
                tf.cast(of_update, dtype),
                tf.cast(_sum_of_rows(of_update), bias.dtype),
                tf.cast(of_total, dtype),
                of_gamma,
                of_beta,
            )

        return output, gradient

    return compute(update, bias, residual, gamma, beta)


@_compiled
def attention_weights(
    scores: tf.Tensor,
    mask: tf.Tensor | None,
    seed: tf.Tensor,
    *,
    factor: float,
    masked_score: float,
    rate: float,
    scale: float,
) -> tf.Tensor:
    """dropout(softmax(scores * factor)) over the last axis, `masked_score` where `mask` is False.

    `scores`, output: (B, N, F, T), one type. `mask`: bool, broadcastable to it. No gradient reaches
    a masked score.
    """

    def masked(scores: tf.Tensor, otherwise: float) -> tf.Tensor:
        return scores if mask is None else tf.where(mask, scores, otherwise)

    def drop(weights: tf.Tensor) -> tf.Tensor:
        if rate == 0.0:
            return weights
        return weights * dropout_mask(tf.shape(scores), seed, rate=rate, scale=scale)

    @tf.custom_gradient
    def compute(scores: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        wide = masked(tf.cast(scores, tf.float32) * factor, masked_score)
        highest = tf.reduce_max(wide, axis=-1, keepdims=True)
        powers = tf.exp(wide - highest)
        inverse = 1.0 / tf.reduce_sum(powers, axis=-1, keepdims=True)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            again = masked(tf.cast(scores, tf.float32) * factor, masked_score)
            weights = tf.exp(again - highest) * inverse
            of_weights = drop(tf.cast(upstream, tf.float32))
            mean = tf.reduce_sum(of_weights * weights, axis=-1, keepdims=True)
            of_scores = masked(weights * (of_weights - mean) * factor, 0.0)
            return tf.cast(of_scores, scores.dtype)

        return tf.cast(drop(powers * inverse), scores.dtype), gradient

    return compute(scores)


@_compiled
def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """-log softmax(logits)[label], and whether the label is where argmax points; both float32.

    `logits`: (…, classes), float32; `labels`: (…), int32.
    """
    highest = tf.reduce_max(logits, axis=-1, keepdims=True)
    classes = tf.range(tf.shape(logits)[-1])
    is_label = tf.equal(classes, labels[..., tf.newaxis])
    # Of equal scores the first counts.
    is_better = tf.equal(logits, highest) & (classes < labels[..., tf.newaxis])

    @tf.custom_gradient
    def compute(logits: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        total = tf.reduce_sum(tf.exp(logits - highest), axis=-1, keepdims=True)
        logarithm = highest + tf.math.log(total)
        of_label = tf.reduce_sum(tf.where(is_label, logits, 0.0), axis=-1)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            difference = tf.exp(logits - logarithm) - tf.cast(is_label, tf.float32)
            return difference * upstream[..., tf.newaxis]

        return logarithm[..., 0] - of_label, gradient

    losses = compute(logits)
    is_highest = tf.reduce_any(is_label & tf.equal(logits, highest), axis=-1)
    is_correct = is_highest & ~tf.reduce_any(is_better, axis=-1)
    return losses, tf.cast(is_correct, tf.float32)


@_compiled
@tf.custom_gradient
def add_bias(x: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
    """`x + bias`, in the type of `x`. `x`: (…, width); `bias`: (width)."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return upstream, tf.cast(_sum_of_rows(tf.cast(upstream, tf.float32)), bias.dtype)

    total = tf.cast(x, tf.float32) + tf.cast(bias, tf.float32)
    return tf.cast(total, x.dtype), gradient


@_compiled
@tf.custom_gradient
def add_bias_in_float32(x: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
    """`x + bias`, float32. `x`: (…, width); `bias`: (width)."""

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.cast(upstream, x.dtype), tf.cast(_sum_of_rows(upstream), bias.dtype)

    return tf.cast(x, tf.float32) + tf.cast(bias, tf.float32), gradient


def _normalize(
    total: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, dtype: tf.DType, epsilon: float
) -> tuple[tf.Tensor, Gradient]:
    """LayerNorm of float32, in `dtype`, and its derivative: of `total` (float32), gamma and beta.

    What the derivative keeps is the normalised input, in `dtype`.
    """
    centred = total - tf.reduce_mean(total, axis=-1, keepdims=True)
    variance = tf.reduce_mean(centred * centred, axis=-1, keepdims=True)
    inverse = tf.math.rsqrt(variance + epsilon)
    wide_gamma = tf.cast(gamma, tf.float32)
    normal = centred * inverse
    kept = tf.cast(normal, dtype)

    def backward(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        wide, normal = tf.cast(upstream, tf.float32), tf.cast(kept, tf.float32)
        scaled = wide * wide_gamma
        mean = tf.reduce_mean(scaled, axis=-1, keepdims=True)
        along = tf.reduce_mean(scaled * normal, axis=-1, keepdims=True)
        return (
            inverse * (scaled - mean - normal * along),
            tf.cast(_sum_of_rows(wide * normal), gamma.dtype),
            tf.cast(_sum_of_rows(wide), beta.dtype),
        )

    return tf.cast(normal * wide_gamma + tf.cast(beta, tf.float32), dtype), backward


def _sum_of_rows(x: tf.Tensor) -> tf.Tensor:
    """(…, width) -> (width).

    As a product with ones: on a CPU the compiler's own sum over rows takes as long as all else.
    """
    rows = tf.reshape(x, [-1, x.shape[-1]])
    return tf.linalg.matvec(rows, tf.ones([tf.shape(rows)[0]]), transpose_a=True)
