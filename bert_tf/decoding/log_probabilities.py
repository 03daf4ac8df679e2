"""Log-probabilities of the next token, the same bits whatever else is in the batch.

A CPU computes exp and log of 8 or 16 numbers at once, and of the rest at the end of a tensor one by
one with another last digit. Where that end lies depends on the batch, so the last dimension is
rounded up to a multiple of `LANES` and no number is at such an end. `tf.nn.log_softmax` differs
from batch to batch even then.
"""

from typing import NamedTuple

import tensorflow as tf

from bert_tf.decoding.answers import IMPOSSIBLE

LANES = 16
"""float32 numbers of the widest vector registers."""


class NextTokens(NamedTuple):
    """What log-probabilities of the next token are made of: of few tokens a search needs them."""

    logits: tf.Tensor
    """float32 (B, H, W), -inf beyond V. A rule may set others to -inf: it changes no sum."""
    highest: tf.Tensor
    """float32 (B, H, 1): of all logits."""
    log_sums: tf.Tensor
    """float32 (B, H, 1): the logarithm of the sum of all exp(logit - highest)."""
    is_known: tf.Tensor
    """bool (B, H, 1): of others nothing is possible."""
    has_failed: tf.Tensor
    """bool (B, H): the logits have NaN or plus infinity, or are all minus infinity."""

    @classmethod
    def of(cls, logits: tf.Tensor, is_open: tf.Tensor) -> "NextTokens":
        """See `log_probabilities`."""
        logits = _rounded_up(logits)
        highest = tf.reduce_max(logits, axis=-1, keepdims=True)
        sums = tf.reduce_sum(tf.exp(logits - highest), axis=-1, keepdims=True)
        # NaN anywhere makes the sum NaN: infinity less infinity is NaN, too.
        has_failed = tf.math.is_nan(sums[..., 0]) & is_open
        return cls(
            logits=logits,
            highest=highest,
            log_sums=tf.math.log(tf.repeat(sums, LANES, axis=-1))[..., :1],
            is_known=(is_open & ~has_failed)[..., tf.newaxis],
            has_failed=has_failed,
        )

    def log_probs(self) -> tf.Tensor:
        """float32, of the shape of `logits`. Never NaN, never above 0."""
        return tf.where(self.is_known, self.logits - self.highest - self.log_sums, IMPOSSIBLE)


def log_probabilities(logits: tf.Tensor, is_open: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Of each token, and of which hypotheses there are none.

    Args:
        logits: (B, H, V), V known.
        is_open: bool (B, H); of other hypotheses nothing is possible, and nothing wrong.

    Returns:
        log_probs: float32 (B, H, W), W is V rounded up, -inf beyond V. Never NaN, never above 0.
        has_failed: bool (B, H): the logits have NaN or plus infinity, or are all minus infinity.
    """
    tokens = NextTokens.of(logits, is_open)
    return tokens.log_probs(), tokens.has_failed


def _rounded_up(logits: tf.Tensor) -> tf.Tensor:
    """float32 (B, H, W)."""
    vocab_size = logits.shape[-1]
    if logits.shape.rank != 3 or vocab_size is None:
        raise ValueError(
            "A decoder's logits must be (batch, hypotheses, vocabulary), the vocabulary known. "
            f"Received: {logits.shape}. Set the last dimension in the decoder's step."
        )
    logits = tf.cast(logits, tf.float32)
    if vocab_size % LANES:
        missing = LANES - vocab_size % LANES
        logits = tf.pad(logits, [[0, 0], [0, 0], [0, missing]], constant_values=IMPOSSIBLE)
    return logits
