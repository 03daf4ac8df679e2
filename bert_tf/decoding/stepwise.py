"""Greedy search and sampling: every answer grows by one token a step, and none is ever taken back.

The answers of a text are independent of each other and of other texts. One that ended is not
touched again; the loop runs until all have.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf

from bert_tf.decoding.answers import IMPOSSIBLE, DecodedAnswers, make_answers
from bert_tf.decoding.cache import repeated, shapes
from bert_tf.decoding.decoder import CachedDecoder
from bert_tf.decoding.row_settings import Rows
from bert_tf.decoding.rules import Rules

Choose = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Of log-probabilities, float32 (B, H, W), and the position: the next tokens, int32 (B, H)."""


def likeliest(log_probs: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
    """Greedy search's choice; of equal tokens the lowest id."""
    del position
    return tf.argmax(log_probs, axis=-1, output_type=tf.int32)


class _State(NamedTuple):
    position: tf.Tensor
    newest: tf.Tensor
    """int32 (B, H)."""
    ids: tf.Tensor
    """int32 (B, H, T): without the end token; pad_id after it."""
    log_probs: tf.Tensor
    """float32 (B, H)."""
    num_tokens: tf.Tensor
    """int32 (B, H), with the end token."""
    is_open: tf.Tensor
    """bool (B, H)."""
    has_ended: tf.Tensor
    """bool (B, H): by the end token."""
    has_failed: tf.Tensor
    """bool (B)."""
    cache: Any


@dataclass(frozen=True)
class StepwiseSearch:
    """`num_answers` answers of each text, each token the one that `choose` takes."""

    decoder: CachedDecoder
    memory: Any
    rows: Rows
    rules: Rules
    penalties: tf.Tensor
    max_length: int
    num_answers: int
    choose: Choose

    def run(self, cache: Any) -> DecodedAnswers:
        """From the decoder's empty cache."""
        cache = repeated(cache, times=self.num_answers)
        start = _start(self.rows, cache, self.rules.tokens.start_id, self.num_answers)
        (end,) = tf.while_loop(
            lambda state: tf.reduce_any(state.is_open),
            lambda state: (self._step(state),),
            (start,),
            shape_invariants=(_shapes(start, self.num_answers),),
            maximum_iterations=self.max_length,
        )
        return make_answers(
            ids=end.ids,
            num_tokens=end.num_tokens,
            log_probs=end.log_probs,
            has_ended=end.has_ended,
            has_failed=end.has_failed,
            penalties=self.penalties,
            pad_id=self.rules.tokens.pad_id,
        )

    def _step(self, state: _State) -> _State:
        tokens = self.rules.tokens
        logits, cache = self.decoder.step(state.newest, state.position, self.memory, state.cache)
        log_probs, has_failed = self.rules.log_probs(logits, state.ids, state.is_open)
        chosen = self.choose(log_probs, state.position)
        gain = tf.gather(log_probs, chosen, axis=2, batch_dims=2)
        is_grown = state.is_open & (gain > IMPOSSIBLE)
        has_ended = is_grown & (chosen == tokens.end_id)
        chosen = tf.where(is_grown & ~has_ended, chosen, tokens.pad_id)
        num_tokens = state.num_tokens + tf.cast(is_grown, tf.int32)
        return _State(
            position=state.position + 1,
            newest=chosen,
            ids=tf.concat([state.ids, chosen[..., tf.newaxis]], axis=2),
            log_probs=tf.where(state.is_open, state.log_probs + gain, state.log_probs),
            num_tokens=num_tokens,
            is_open=is_grown & ~has_ended & (num_tokens < self.rows.max_lengths[:, tf.newaxis]),
            has_ended=state.has_ended | has_ended,
            has_failed=state.has_failed | tf.reduce_any(has_failed, axis=1),
            cache=cache,
        )


def _start(rows: Rows, cache: Any, start_id: int, num_answers: int) -> _State:
    shape = tf.stack([tf.shape(rows.is_open)[0], num_answers])
    is_open = tf.repeat(rows.is_open[:, tf.newaxis], num_answers, axis=1)
    return _State(
        position=tf.constant(0),
        newest=tf.fill(shape, start_id),
        ids=tf.zeros(tf.concat([shape, [0]], axis=0), tf.int32),
        log_probs=tf.where(is_open, 0.0, IMPOSSIBLE),
        num_tokens=tf.zeros(shape, tf.int32),
        is_open=is_open,
        has_ended=tf.zeros(shape, tf.bool),
        has_failed=tf.zeros(shape[:1], tf.bool),
        cache=cache,
    )


def _shapes(start: _State, num_answers: int) -> _State:
    of_answers = tf.TensorShape([None, num_answers])
    return _State(
        position=tf.TensorShape([]),
        newest=of_answers,
        ids=tf.TensorShape([None, num_answers, None]),
        log_probs=of_answers,
        num_tokens=of_answers,
        is_open=of_answers,
        has_ended=of_answers,
        has_failed=tf.TensorShape([None]),
        cache=shapes(start.cache, num_hypotheses=num_answers),
    )
