"""Cross-entropy as one kernel, and its derivative as another (see `fused`).

No target distribution is ever laid out: of a large vocabulary it would be as large as the logits.
"""

from typing import Any

import tensorflow as tf

from bert_tf.layers.tensorflow.compiled import Kept, compiled, with_gradient


@compiled
def _cross_entropy_gradient(
    logits: tf.Tensor,
    labels: tf.Tensor,
    logarithm: tf.Tensor,
    upstream: tf.Tensor,
    of_correct: tf.Tensor,
    *,
    label_smoothing: float = 0.0,
) -> Any:
    is_label = tf.equal(tf.range(tf.shape(logits)[-1]), labels[..., tf.newaxis])
    target = tf.cast(is_label, tf.float32)
    if label_smoothing:
        share = label_smoothing / tf.cast(tf.shape(logits)[-1], tf.float32)
        target = (1.0 - label_smoothing) * target + share
    return (tf.exp(logits - logarithm) - target) * upstream[..., tf.newaxis], None


@with_gradient(_cross_entropy_gradient, reads=(0, 1))
def cross_entropy(
    logits: tf.Tensor, labels: tf.Tensor, *, label_smoothing: float = 0.0
) -> tuple[tuple[tf.Tensor, tf.Tensor], Kept]:
    """-log softmax(logits)[label], and whether the label is where argmax points; both float32.

    With `label_smoothing` the target is no longer the label alone: that share of it is uniform over
    all classes, the label's included.

    `logits`: (…, classes), float32; `labels`: (…), int32.

    Source: Szegedy et al. 2016, section 7.
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
    if label_smoothing:
        mean = tf.reduce_mean(logits, axis=-1)
        of_label = (1.0 - label_smoothing) * of_label + label_smoothing * mean
    return (logarithm[..., 0] - of_label, tf.cast(is_correct, tf.float32)), (logarithm,)
