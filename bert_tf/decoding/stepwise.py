"""Greedy search and sampling: every answer grows by one token a step, and none is ever taken back.

The answers of a text are independent of each other. One that ended is not touched again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf

from bert_tf.decoding.answers import IMPOSSIBLE, DecodedAnswers, make_answers
from bert_tf.decoding.decoder import CachedDecoder
from bert_tf.decoding.loop import State, begin, run
from bert_tf.decoding.row_settings import Rows
from bert_tf.decoding.rules import Rules

Choose = Callable[[tf.Tensor, tf.Tensor, Rows], tf.Tensor]
"""Of log-probabilities, float32 (B, H, W), and the position: the next tokens, int32 (B, H)."""


def likeliest(log_probs: tf.Tensor, position: tf.Tensor, rows: Rows) -> tf.Tensor:
    """Greedy search's choice; of equal tokens the lowest id."""
    del position, rows
    return tf.argmax(log_probs, axis=-1, output_type=tf.int32)


class _Found(NamedTuple):
    """Answers as far as they are known: (B, H)."""

    ids: tf.Tensor
    """int32 (B, H, T): without the end token; pad_id after it."""
    log_probs: tf.Tensor
    num_tokens: tf.Tensor
    """int32, with the end token."""
    is_open: tf.Tensor
    """bool: the answer may grow."""
    has_ended: tf.Tensor
    """bool: by the end token."""
    has_failed: tf.Tensor
    """bool (B)."""


@dataclass(frozen=True)
class StepwiseSearch:
    """`num_answers` answers of each text, each token the one that `choose` takes."""

    decoder: CachedDecoder
    rules: Rules
    penalties: tf.Tensor
    max_length: int
    num_answers: int
    choose: Choose

    def run(self, memory: Any, cache: Any, rows: Rows) -> DecodedAnswers:
        """From what the decoder began with."""
        tokens = self.rules.tokens
        start = begin(
            rows,
            cache,
            _nothing(rows, self.num_answers),
            start_id=tokens.start_id,
            num_hypotheses=self.num_answers,
        )
        found = run(start, self._step, memory=memory, rows=rows, max_length=self.max_length)
        return make_answers(
            ids=found.ids,
            num_tokens=found.num_tokens,
            log_probs=found.log_probs,
            has_ended=found.has_ended,
            has_failed=found.has_failed,
            penalties=self.penalties,
            pad_id=tokens.pad_id,
        )

    def _step(self, state: State, memory: Any, rows: Rows) -> State:
        tokens, found = self.rules.tokens, state.found
        logits, cache = self.decoder.step(state.newest, state.position, memory, state.cache)
        scored = self.rules.next_tokens(logits, found.ids, found.is_open)
        log_probs, has_failed = scored.log_probs(), scored.has_failed
        chosen = self.choose(log_probs, state.position, rows)
        gain = tf.gather(log_probs, chosen, axis=2, batch_dims=2)
        is_grown = found.is_open & (gain > IMPOSSIBLE)
        has_ended = is_grown & (chosen == tokens.end_id)
        chosen = tf.where(is_grown & ~has_ended, chosen, tokens.pad_id)
        num_tokens = found.num_tokens + tf.cast(is_grown, tf.int32)
        is_open = is_grown & ~has_ended & (num_tokens < rows.max_lengths[:, tf.newaxis])
        return State(
            position=state.position + 1,
            newest=chosen,
            is_open=tf.reduce_any(is_open, axis=1),
            found=_Found(
                ids=tf.concat([found.ids, chosen[..., tf.newaxis]], axis=2),
                log_probs=tf.where(found.is_open, found.log_probs + gain, found.log_probs),
                num_tokens=num_tokens,
                is_open=is_open,
                has_ended=found.has_ended | has_ended,
                has_failed=found.has_failed | tf.reduce_any(has_failed, axis=1),
            ),
            cache=cache,
        )


def _nothing(rows: Rows, num_answers: int) -> _Found:
    num_texts = tf.shape(rows.is_open)[0]
    nowhere = tf.zeros([num_texts, num_answers], tf.bool)
    is_open = rows.is_open[:, tf.newaxis] | nowhere
    return _Found(
        ids=tf.zeros([num_texts, num_answers, 0], tf.int32),
        log_probs=tf.where(is_open, 0.0, IMPOSSIBLE),
        num_tokens=tf.zeros([num_texts, num_answers], tf.int32),
        is_open=is_open,
        has_ended=nowhere,
        has_failed=tf.zeros([num_texts], tf.bool),
    )
