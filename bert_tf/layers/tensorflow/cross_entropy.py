"""Cross-entropy as one kernel, and its derivative as another (see `fused`).

No target distribution is ever laid out: of a large vocabulary it would be as large as the logits.
"""

import functools
from collections.abc import Callable
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
    num_classes = logits.shape[-1] or tf.shape(logits)[-1]
    highest = _over_classes(logits, lambda x, _: x, tf.maximum, tf.reduce_max)[..., tf.newaxis]
    total = _over_classes(logits, lambda x, _: tf.exp(x - highest), tf.add, tf.reduce_sum)
    # Of equal scores the first counts.
    first = _over_classes(
        logits,
        lambda x, classes: tf.where(tf.equal(x, highest), classes, num_classes),
        tf.minimum,
        tf.reduce_min,
    )
    logarithm = highest + tf.math.log(total)[..., tf.newaxis]
    of_label = tf.gather(logits, labels, batch_dims=labels.shape.rank)
    if label_smoothing:
        mean = _over_classes(logits, lambda x, _: x, tf.add, tf.reduce_sum)
        mean /= tf.cast(num_classes, tf.float32)
        of_label = (1.0 - label_smoothing) * of_label + label_smoothing * mean
    is_correct = tf.equal(first, labels)
    return (logarithm[..., 0] - of_label, tf.cast(is_correct, tf.float32)), (logarithm,)


_NUM_PARTS = 16
_LEAST_A_PART = 16


def _over_classes(
    logits: tf.Tensor,
    compute: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    join: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    reduce: Callable[..., tf.Tensor],
) -> tf.Tensor:
    """What `compute` makes of each logit and its class, reduced over classes: (…).

    Of parts side by side first, number by number, which is vectorised; a reduction of a row is not.
    Four of them over 10,000 classes take a quarter of the time so.
    """
    num_classes = logits.shape[-1]
    if num_classes is None or num_classes < _NUM_PARTS * _LEAST_A_PART:
        return reduce(compute(logits, tf.range(tf.shape(logits)[-1])), axis=-1)
    width = num_classes // _NUM_PARTS
    starts = range(0, _NUM_PARTS * width, width)
    parts = [compute(logits[..., it : it + width], tf.range(it, it + width)) for it in starts]
    found = reduce(functools.reduce(join, parts), axis=-1)
    if (rest := _NUM_PARTS * width) < num_classes:
        of_rest = compute(logits[..., rest:], tf.range(rest, num_classes))
        found = join(found, reduce(of_rest, axis=-1))
    return found
