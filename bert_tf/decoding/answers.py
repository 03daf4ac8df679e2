"""What a search gives: the answers of each text, best first."""

from typing import NamedTuple

import tensorflow as tf

from bert_tf.decoding.length_penalty import normalized

IMPOSSIBLE = float("-inf")
"""The log-probability of what cannot be."""


class DecodedAnswers(NamedTuple):
    """Answers (B, N): of a beam by their order, of samples as they were drawn.

    A beam's answers with an end token come first, each kind by its scores. Where a text has fewer
    answers than N, `is_found` is false, the length 0 and the score -inf.
    """

    ids: tf.Tensor
    """int32 (B, N, longest): without start and end token, filled up with pad_id."""
    lengths: tf.Tensor
    """int32 (B, N): tokens in `ids`."""
    log_probs: tf.Tensor
    """float32 (B, N): the sum of the log-probabilities of the tokens, the end token's with them,
    as the model gives them: neither temperature nor rules change it."""
    scores: tf.Tensor
    """float32 (B, N): `log_probs` normalised by the length penalty."""
    has_ended: tf.Tensor
    """bool (B, N): by an end token. False: cut at the longest length."""
    is_found: tf.Tensor
    """bool (B, N): there is an answer."""
    has_failed: tf.Tensor
    """bool (B): the model's logits were no numbers. The text has no answers."""


def make_answers(
    *,
    ids: tf.Tensor,
    num_tokens: tf.Tensor,
    log_probs: tf.Tensor,
    has_ended: tf.Tensor,
    has_failed: tf.Tensor,
    penalties: tf.Tensor,
    pad_id: int,
) -> DecodedAnswers:
    """Answers of hypotheses (B, N), cut to the longest one and blanked where there is none.

    Args:
        ids: int32 (B, N, T).
        num_tokens: int32 (B, N), with the end token.
        log_probs: float32 (B, N); -inf: no answer.
        has_ended: bool (B, N).
        has_failed: bool (B).
        penalties: as `length_penalties` makes them.
        pad_id: what stands after an answer.
    """
    is_found = (log_probs > IMPOSSIBLE) & ~has_failed[:, tf.newaxis]
    log_probs = tf.where(is_found, log_probs, IMPOSSIBLE)
    num_tokens = tf.where(is_found, num_tokens, 0)
    has_ended &= is_found
    lengths = num_tokens - tf.cast(has_ended, tf.int32)
    longest = tf.maximum(tf.reduce_max(lengths), 0)  # of no text at all it is the least int32
    ids = ids[:, :, :longest]
    is_token = tf.sequence_mask(lengths, longest)
    return DecodedAnswers(
        ids=tf.where(is_token, ids, pad_id),
        lengths=lengths,
        log_probs=log_probs,
        scores=normalized(log_probs, num_tokens, penalties),
        has_ended=has_ended,
        is_found=is_found,
        has_failed=has_failed,
    )
