"""Beam search: of all hypotheses that are a token longer, the best go on.

A step of a text with K hypotheses looks at the 2K best of the longer ones, of which at least K do
not end. An end token counts if it is among the first K, as in fairseq and in Hugging Face's
transformers, so that a beam of 1 is greedy. Of the answers that ended the best N are kept. A text
is done when its best hypothesis could not reach the last of them even if it lost nothing more on
its way to the longest length. What is left at the longest length comes after what ended.

Source: Wu et al. 2016, section 7; the order of hypotheses that end is decision 28.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf

from bert_tf.decoding.answers import IMPOSSIBLE, DecodedAnswers, make_answers
from bert_tf.decoding.cache import reordered, repeated, shapes
from bert_tf.decoding.decoder import CachedDecoder
from bert_tf.decoding.length_penalty import normalized
from bert_tf.decoding.row_settings import Rows
from bert_tf.decoding.rules import Rules


class _Ended(NamedTuple):
    """The best answers with an end token, by falling scores: (B, N)."""

    ids: tf.Tensor
    """int32 (B, N, T), without the end token."""
    log_probs: tf.Tensor
    scores: tf.Tensor
    """-inf: none yet."""
    num_tokens: tf.Tensor
    """int32, with the end token."""


class _State(NamedTuple):
    position: tf.Tensor
    newest: tf.Tensor
    """int32 (B, K)."""
    ids: tf.Tensor
    """int32 (B, K, T)."""
    log_probs: tf.Tensor
    """float32 (B, K), falling; -inf: no hypothesis."""
    ended: _Ended
    is_open: tf.Tensor
    """bool (B)."""
    has_failed: tf.Tensor
    """bool (B)."""
    cache: Any


class _Longer(NamedTuple):
    """Hypotheses a token longer, by falling log-probabilities: (B, K) or (B, 2K)."""

    parents: tf.Tensor
    """int32: the hypothesis that each goes on."""
    tokens: tf.Tensor
    """int32: its newest."""
    log_probs: tf.Tensor


@dataclass(frozen=True)
class BeamSearch:
    """The best `num_answers` answers of each text, from a beam of `beam_size`."""

    decoder: CachedDecoder
    memory: Any
    rows: Rows
    rules: Rules
    penalties: tf.Tensor
    max_length: int
    num_answers: int
    beam_size: int
    ends_early: bool

    def run(self, cache: Any) -> DecodedAnswers:
        """From the decoder's empty cache."""
        cache = repeated(cache, times=self.beam_size)
        tokens = self.rules.tokens
        start = _start(self.rows, cache, tokens.start_id, self.beam_size, self.num_answers)
        (end,) = tf.while_loop(
            lambda state: tf.reduce_any(state.is_open),
            lambda state: (self._step(state),),
            (start,),
            shape_invariants=(_shapes(start, self.beam_size, self.num_answers),),
            maximum_iterations=self.max_length,
        )
        return _answers(end, self.rows, self.penalties, tokens.pad_id)

    def _step(self, state: _State) -> _State:
        tokens = self.rules.tokens
        logits, cache = self.decoder.step(state.newest, state.position, self.memory, state.cache)
        is_alive = state.is_open[:, tf.newaxis] & (state.log_probs > IMPOSSIBLE)
        gains, has_failed = self.rules.log_probs(logits, state.ids, is_alive)
        longer = _best_longer(state.log_probs, gains)
        ended = _with_new(state, longer, self.penalties, tokens.end_id)
        alive = _alive(state, longer, tokens.end_id, tokens.pad_id)
        position = state.position + 1
        has_failed = state.has_failed | tf.reduce_any(has_failed, axis=1)
        bound = normalized(alive.log_probs[:, 0], self.rows.max_lengths, self.penalties)
        is_decided = bound <= (ended.scores[:, -1] if self.ends_early else IMPOSSIBLE)
        is_done = is_decided | has_failed | (position >= self.rows.max_lengths)
        ids = tf.gather(state.ids, alive.parents, axis=1, batch_dims=1)
        return _State(
            position=position,
            newest=alive.tokens,
            ids=tf.concat([ids, alive.tokens[..., tf.newaxis]], axis=2),
            log_probs=alive.log_probs,
            ended=ended,
            is_open=state.is_open & ~is_done,
            has_failed=has_failed,
            cache=reordered(cache, alive.parents),
        )


def _best_longer(log_probs: tf.Tensor, gains: tf.Tensor) -> _Longer:
    """The 2K best of all (B, K * W): each of K can have lost one place to its end token."""
    beam_size, width = gains.shape[1:]
    totals = tf.reshape(log_probs[..., tf.newaxis] + gains, [-1, beam_size * width])
    found = tf.math.top_k(totals, k=2 * beam_size)
    return _Longer(found.indices // width, found.indices % width, found.values)


def _with_new(state: _State, longer: _Longer, penalties: tf.Tensor, end_id: int) -> _Ended:
    """The best of those that had ended and of those that end now."""
    beam_size, num_answers = state.newest.shape[1], state.ended.scores.shape[1]
    parents, tokens, log_probs = (value[:, :beam_size] for value in longer)
    log_probs = tf.where(tokens == end_id, log_probs, IMPOSSIBLE)
    num_tokens = tf.fill(tf.shape(tokens), state.position + 1)
    ids = tf.gather(state.ids, parents, axis=1, batch_dims=1)
    new = _Ended(ids, log_probs, normalized(log_probs, num_tokens, penalties), num_tokens)
    both = tf.nest.map_structure(lambda *pair: tf.concat(pair, axis=1), state.ended, new)
    best = tf.math.top_k(both.scores, k=num_answers).indices  # of equal ones the earlier
    both = tf.nest.map_structure(lambda value: tf.gather(value, best, axis=1, batch_dims=1), both)
    return both._replace(ids=tf.pad(both.ids, [[0, 0], [0, 0], [0, 1]]))


def _alive(state: _State, longer: _Longer, end_id: int, pad_id: int) -> _Longer:
    """The K best that go on; of texts that are done those that they had, a pad_id longer."""
    beam_size = state.newest.shape[1]
    going_on = tf.where(longer.tokens == end_id, IMPOSSIBLE, longer.log_probs)
    found = tf.math.top_k(going_on, k=beam_size)
    parents, tokens = (
        tf.gather(value, found.indices, axis=1, batch_dims=1)
        for value in (longer.parents, longer.tokens)
    )
    is_open = state.is_open[:, tf.newaxis]
    return _Longer(
        parents=tf.where(is_open, parents, tf.range(beam_size)),
        # What is impossible may be a token beyond the vocabulary.
        tokens=tf.where(is_open & (found.values > IMPOSSIBLE), tokens, pad_id),
        log_probs=tf.where(is_open, found.values, state.log_probs),
    )


def _start(rows: Rows, cache: Any, start_id: int, beam_size: int, num_answers: int) -> _State:
    num_texts = tf.shape(rows.is_open)[0]
    impossible = tf.fill([num_texts, num_answers], IMPOSSIBLE)
    is_first = tf.range(beam_size) == 0  # the others would be the same hypothesis again
    return _State(
        position=tf.constant(0),
        newest=tf.fill([num_texts, beam_size], start_id),
        ids=tf.zeros([num_texts, beam_size, 0], tf.int32),
        log_probs=tf.where(rows.is_open[:, tf.newaxis] & is_first, 0.0, IMPOSSIBLE),
        ended=_Ended(
            ids=tf.zeros([num_texts, num_answers, 0], tf.int32),
            log_probs=impossible,
            scores=impossible,
            num_tokens=tf.zeros([num_texts, num_answers], tf.int32),
        ),
        is_open=rows.is_open,
        has_failed=tf.zeros([num_texts], tf.bool),
        cache=cache,
    )


def _shapes(start: _State, beam_size: int, num_answers: int) -> _State:
    of_texts = tf.TensorShape([None])
    of_beam, of_answers = (tf.TensorShape([None, size]) for size in (beam_size, num_answers))
    return _State(
        position=tf.TensorShape([]),
        newest=of_beam,
        ids=tf.TensorShape([None, beam_size, None]),
        log_probs=of_beam,
        ended=_Ended(
            ids=tf.TensorShape([None, num_answers, None]),
            log_probs=of_answers,
            scores=of_answers,
            num_tokens=of_answers,
        ),
        is_open=of_texts,
        has_failed=of_texts,
        cache=shapes(start.cache, num_hypotheses=beam_size),
    )


def _answers(end: _State, rows: Rows, penalties: tf.Tensor, pad_id: int) -> DecodedAnswers:
    """Those that ended, then those that were cut, as many as are asked for.

    A text that is done before its longest length has either all answers that are asked for or no
    hypothesis left, so that what is left was cut there.
    """
    num_answers, beam_size = end.ended.scores.shape[1], end.newest.shape[1]
    cut_tokens = tf.repeat(rows.max_lengths[:, tf.newaxis], beam_size, axis=1)
    log_probs = tf.concat([end.ended.log_probs, end.log_probs], axis=1)
    order = tf.range(num_answers + beam_size)
    is_there = tf.where(log_probs > IMPOSSIBLE, -order, tf.int32.min)
    first = tf.math.top_k(is_there, k=num_answers).indices
    has_ended = first < num_answers
    ids, num_tokens, log_probs = (
        tf.gather(value, first, axis=1, batch_dims=1)
        for value in (
            tf.concat([end.ended.ids, end.ids], axis=1),
            tf.concat([end.ended.num_tokens, cut_tokens], axis=1),
            log_probs,
        )
    )
    return make_answers(
        ids=ids,
        num_tokens=num_tokens,
        log_probs=log_probs,
        has_ended=has_ended,
        has_failed=end.has_failed,
        penalties=penalties,
        pad_id=pad_id,
    )
