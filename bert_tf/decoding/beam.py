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
from bert_tf.decoding.cache import reordered
from bert_tf.decoding.decoder import CachedDecoder, SpecialTokens
from bert_tf.decoding.length_penalty import normalized
from bert_tf.decoding.log_probabilities import LANES, NextTokens
from bert_tf.decoding.loop import State, begin, run
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


class _Found(NamedTuple):
    """The hypotheses that go on, and the answers that ended."""

    ids: tf.Tensor
    """int32 (B, K, T)."""
    log_probs: tf.Tensor
    """float32 (B, K), falling; -inf: no hypothesis."""
    ended: _Ended
    has_failed: tf.Tensor
    """bool (B)."""


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
    rules: Rules
    penalties: tf.Tensor
    max_length: int
    num_answers: int
    beam_size: int
    ends_early: bool

    def run(self, memory: Any, cache: Any, rows: Rows) -> DecodedAnswers:
        """From what the decoder began with."""
        tokens = self.rules.tokens
        start = begin(
            rows,
            cache,
            _nothing(rows, self.beam_size, self.num_answers),
            start_id=tokens.start_id,
            num_hypotheses=self.beam_size,
        )
        found = run(start, self._step, memory=memory, rows=rows, max_length=self.max_length)
        return _answers(found, rows, self.penalties, tokens.pad_id)

    def _step(self, state: State, memory: Any, rows: Rows) -> State:
        tokens, found = self.rules.tokens, state.found
        logits, cache = self.decoder.step(state.newest, state.position, memory, state.cache)
        is_alive = state.is_open[:, tf.newaxis] & (found.log_probs > IMPOSSIBLE)
        scored = self.rules.next_tokens(logits, found.ids, is_alive)
        longer = _best_longer(found.log_probs, scored)
        position = state.position + 1
        ended = _with_new(found, longer, position, self.penalties, tokens.end_id)
        alive = _alive(found, longer, state.is_open[:, tf.newaxis], tokens)
        has_failed = found.has_failed | tf.reduce_any(scored.has_failed, axis=1)
        bound = normalized(alive.log_probs[:, 0], rows.max_lengths, self.penalties)
        is_decided = bound <= (ended.scores[:, -1] if self.ends_early else IMPOSSIBLE)
        is_done = is_decided | has_failed | (position >= rows.max_lengths)
        ids = tf.gather(found.ids, alive.parents, axis=1, batch_dims=1)
        ids = tf.concat([ids, alive.tokens[..., tf.newaxis]], axis=2)
        return State(
            position=position,
            newest=alive.tokens,
            is_open=state.is_open & ~is_done,
            found=_Found(ids, alive.log_probs, ended, has_failed),
            cache=reordered(cache, alive.parents),
        )


def _best_longer(log_probs: tf.Tensor, scored: NextTokens) -> _Longer:
    """The 2K best of all (B, K * W): each of K can have lost one place to its end token.

    TensorFlow's `top_k` looks at numbers one by one. So `LANES` neighbours at once are judged by
    their highest logit: the 2K best of all are in the 2K best of these blocks, of equal ones the
    first, since a total never falls while its logit rises, rounding included.
    """
    beam_size, width = scored.logits.shape[1:]
    num_blocks, num_best = width // LANES, 2 * beam_size
    blocks = tf.reshape(scored.logits, [-1, beam_size, num_blocks, LANES])
    highest = (
        log_probs[..., tf.newaxis]
        + scored._replace(logits=tf.reduce_max(blocks, axis=-1)).log_probs()
    )
    found = tf.math.top_k(
        tf.reshape(highest, [-1, beam_size * num_blocks]),
        k=min(num_best, beam_size * num_blocks),
    )
    places = tf.sort(found.indices, axis=-1)  # equal totals keep their order
    blocks = tf.reshape(blocks, [-1, beam_size * num_blocks, LANES])

    def of_places(values: tf.Tensor) -> tf.Tensor:
        return tf.gather(values, places // num_blocks, axis=1, batch_dims=1)

    chosen = NextTokens(
        logits=tf.gather(blocks, places, axis=1, batch_dims=1),
        highest=of_places(scored.highest),
        log_sums=of_places(scored.log_sums),
        is_known=of_places(scored.is_known),
        has_failed=of_places(scored.has_failed),
    )
    totals = of_places(log_probs)[..., tf.newaxis] + chosen.log_probs()
    best = tf.math.top_k(tf.reshape(totals, [-1, places.shape[1] * LANES]), k=num_best)
    found_places = tf.gather(places, best.indices // LANES, axis=1, batch_dims=1)
    tokens = found_places % num_blocks * LANES + best.indices % LANES
    return _Longer(found_places // num_blocks, tokens, best.values)


def _with_new(
    found: _Found, longer: _Longer, num_tokens: tf.Tensor, penalties: tf.Tensor, end_id: int
) -> _Ended:
    """The best of those that had ended and of those that end now, with `num_tokens`."""
    num_answers, beam_size = found.ended.scores.shape[1], found.ids.shape[1]
    parents, tokens, log_probs = (value[:, :beam_size] for value in longer)
    log_probs = tf.where(tokens == end_id, log_probs, IMPOSSIBLE)
    num_tokens = tf.fill(tf.shape(tokens), num_tokens)
    ids = tf.gather(found.ids, parents, axis=1, batch_dims=1)
    new = _Ended(ids, log_probs, normalized(log_probs, num_tokens, penalties), num_tokens)
    both = tf.nest.map_structure(lambda *pair: tf.concat(pair, axis=1), found.ended, new)
    best = tf.math.top_k(both.scores, k=num_answers).indices  # of equal ones the earlier
    both = tf.nest.map_structure(lambda value: tf.gather(value, best, axis=1, batch_dims=1), both)
    return both._replace(ids=tf.pad(both.ids, [[0, 0], [0, 0], [0, 1]]))


def _alive(found: _Found, longer: _Longer, is_open: tf.Tensor, tokens: SpecialTokens) -> _Longer:
    """The K best that go on; of texts that are done those that they had, a pad_id longer."""
    beam_size = found.ids.shape[1]
    going_on = tf.where(longer.tokens == tokens.end_id, IMPOSSIBLE, longer.log_probs)
    best = tf.math.top_k(going_on, k=beam_size)
    parents, newest = (
        tf.gather(value, best.indices, axis=1, batch_dims=1)
        for value in (longer.parents, longer.tokens)
    )
    return _Longer(
        parents=tf.where(is_open, parents, tf.range(beam_size)),
        # What is impossible may be a token beyond the vocabulary.
        tokens=tf.where(is_open & (best.values > IMPOSSIBLE), newest, tokens.pad_id),
        log_probs=tf.where(is_open, best.values, found.log_probs),
    )


def _nothing(rows: Rows, beam_size: int, num_answers: int) -> _Found:
    num_texts = tf.shape(rows.is_open)[0]
    impossible = tf.fill([num_texts, num_answers], IMPOSSIBLE)
    is_first = tf.range(beam_size) == 0  # the others would be the same hypothesis again
    return _Found(
        ids=tf.zeros([num_texts, beam_size, 0], tf.int32),
        log_probs=tf.where(rows.is_open[:, tf.newaxis] & is_first, 0.0, IMPOSSIBLE),
        ended=_Ended(
            ids=tf.zeros([num_texts, num_answers, 0], tf.int32),
            log_probs=impossible,
            scores=impossible,
            num_tokens=tf.zeros([num_texts, num_answers], tf.int32),
        ),
        has_failed=tf.zeros([num_texts], tf.bool),
    )


def _answers(found: _Found, rows: Rows, penalties: tf.Tensor, pad_id: int) -> DecodedAnswers:
    """Those that ended, then those that were cut, as many as are asked for.

    A text that is done before its longest length has either all answers that are asked for or no
    hypothesis left, so that what is left was cut there.
    """
    num_answers, beam_size = found.ended.scores.shape[1], found.ids.shape[1]
    cut_tokens = tf.repeat(rows.max_lengths[:, tf.newaxis], beam_size, axis=1)
    log_probs = tf.concat([found.ended.log_probs, found.log_probs], axis=1)
    order = tf.range(num_answers + beam_size)
    is_there = tf.where(log_probs > IMPOSSIBLE, -order, tf.int32.min)
    first = tf.math.top_k(is_there, k=num_answers).indices
    has_ended = first < num_answers
    ids, num_tokens, log_probs = (
        tf.gather(value, first, axis=1, batch_dims=1)
        for value in (
            tf.concat([found.ended.ids, found.ids], axis=1),
            tf.concat([found.ended.num_tokens, cut_tokens], axis=1),
            log_probs,
        )
    )
    return make_answers(
        ids=ids,
        num_tokens=num_tokens,
        log_probs=log_probs,
        has_ended=has_ended,
        has_failed=found.has_failed,
        penalties=penalties,
        pad_id=pad_id,
    )
