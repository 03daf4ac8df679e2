"""Token ids in, masked token ids and what to predict out, in the graph.

input_ids [[CLS, 7, 8, 9, SEP, 0]], one prediction, position 2 drawn, replaced by [MASK]:
input_ids [[CLS, 7, MASK, 9, SEP, 0]]
masked_lm_positions [[2, 0]], masked_lm_ids [[8, 0]], masked_lm_weights [[1., 0.]]

The budget of a sequence of n tokens, [CLS] and [SEP] counted, is min(P, max(1, round(n *
masked_lm_prob))) tokens. `unit: token` chooses as many with equal chances. The other units choose
whole words in random order, pass over what no longer fits, and end when nothing does: they may
stay below the budget, even at 0 where every word is too long.

- `word`: every word with equal chances.
- `ngram`: runs of exactly n neighbouring words, n drawn with weight 1/n, none overlapping.
- `span`: a run from a random word on, of a geometric number of words; cut at a special token and
  to the words that fit; one that meets an earlier run goes on behind it.

A word is a piece and those after it that go on with it. A Korean eojeol is one word, but, as in
Google's code, punctuation in it or after it is not part of it.

Source: Devlin et al. 2019, section 3.1; google-research/bert, create_pretraining_data.py; n-grams:
Lan et al. 2020 as in tf-models-official, create_pretraining_data.py; spans: Joshi et al. 2020.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from bert_tf.config import MaskingConfig
from bert_tf.data.batches.draws import Draws


def mask_tokens(
    input_ids: tf.Tensor,
    input_mask: tf.Tensor,
    *,
    config: MaskingConfig,
    seed: tf.Tensor,
    vocab_size: int,
    special_ids: Sequence[int],
    mask_id: int,
    is_continuation: Sequence[bool] | None = None,
    first_row: int = 0,
) -> dict[str, tf.Tensor]:
    """Choose tokens to predict, none of `special_ids`, and replace them: a pure function.

    `input_ids`, `input_mask`: int32, (B, T). `seed`: int32 or int64, (2). `is_continuation`: for
    each id of the vocabulary whether it goes on with a word. `first_row`: where the rows
    stand in their batch; each gets what the whole batch would give it.
    Result: `input_ids` int32 (B, T); `masked_lm_positions`, ascending, and `masked_lm_ids`, int32
    (B, P); `masked_lm_weights` float32 (B, P). Unused slots are 0 with weight 0.

    Raises:
        ValueError: a unit of words without `is_continuation`, or one of another size.
    """
    choice_draws, coin_draws, token_draws = Draws(seed, first_row).split(3)
    is_candidate = tf.cast(input_mask, tf.bool)
    for special_id in special_ids:
        is_candidate &= tf.not_equal(input_ids, special_id)
    budget = _num_predictions(input_mask, config=config)
    run = tf.zeros_like(input_ids)
    if config.unit == "token":
        positions = _choose_tokens(is_candidate, budget=budget, config=config, draws=choice_draws)
    else:
        continues = _continues(input_ids, is_continuation, config=config, vocab_size=vocab_size)
        positions, run = _choose_words(
            is_candidate, continues, budget=budget, config=config, draws=choice_draws
        )
    positions, is_used = _fill_slots(positions, tf.shape(input_ids)[1], config=config)
    coin = coin_draws.uniform(tf.shape(positions))
    if config.unit == "span":
        coin = tf.gather(coin, tf.gather(run, positions, batch_dims=1), batch_dims=1)
    random_ids = token_draws.integers(tf.shape(positions), limit=vocab_size)
    original = tf.gather(input_ids, positions, batch_dims=1)
    replaced = _replace(original, random_ids, coin, config=config, mask_id=mask_id)
    used = tf.cast(is_used, tf.int32)
    return {
        "input_ids": _add_at(input_ids, positions, (replaced - original) * used),
        "masked_lm_positions": positions,
        "masked_lm_ids": original * used,
        "masked_lm_weights": tf.cast(is_used, tf.float32),
    }


def _replace(
    original: tf.Tensor,
    random_ids: tf.Tensor,
    coin: tf.Tensor,
    *,
    config: MaskingConfig,
    mask_id: int,
) -> tf.Tensor:
    """[MASK], a token of the whole vocabulary or the original; a span's tokens share a coin."""
    replaced = tf.where(coin < config.mask_share + config.random_share, random_ids, original)
    return tf.where(coin < config.mask_share, mask_id, replaced)


def _add_at(input_ids: tf.Tensor, positions: tf.Tensor, differences: tf.Tensor) -> tf.Tensor:
    """Adding, not setting: unused slots all point at position 0 and must leave it alone."""
    shape = tf.shape(positions)
    rows = tf.broadcast_to(tf.range(shape[0])[:, tf.newaxis], shape)
    return tf.tensor_scatter_nd_add(input_ids, tf.stack([rows, positions], axis=-1), differences)


def _num_predictions(input_mask: tf.Tensor, *, config: MaskingConfig) -> tf.Tensor:
    # float64 and half to even: what Google's script gives under Python 3.
    lengths = tf.cast(tf.reduce_sum(input_mask, axis=1), tf.float64)
    wanted = tf.cast(tf.round(lengths * config.masked_lm_prob), tf.int32)
    return tf.minimum(config.max_predictions_per_seq, tf.maximum(1, wanted))


def _choose_tokens(
    is_candidate: tf.Tensor, *, budget: tf.Tensor, config: MaskingConfig, draws: Draws
) -> tf.Tensor:
    """Positions int32, (B, min(P, T)), ascending, T where there is none."""
    length = tf.shape(is_candidate)[1]
    scores = draws.uniform(tf.shape(is_candidate))
    scores = tf.where(is_candidate, scores, -1.0)  # [B, T]
    num_slots = tf.minimum(config.max_predictions_per_seq, length)
    scores, positions = tf.math.top_k(scores, k=num_slots)  # [B, min(P, T)]
    is_chosen = (tf.range(num_slots) < budget[:, tf.newaxis]) & (scores >= 0.0)
    return tf.sort(tf.where(is_chosen, positions, length), axis=1)


def _fill_slots(
    positions: tf.Tensor, length: tf.Tensor, *, config: MaskingConfig
) -> tuple[tf.Tensor, tf.Tensor]:
    """Positions (B, P) with 0 where there is none, and whether there is one, bool (B, P)."""
    num_slots = config.max_predictions_per_seq
    missing = num_slots - tf.shape(positions)[1]
    positions = tf.pad(positions, [[0, 0], [0, missing]], constant_values=length)
    positions = tf.ensure_shape(positions, [None, num_slots])
    is_used = positions < length
    return tf.where(is_used, positions, 0), is_used


def _continues(
    input_ids: tf.Tensor,
    is_continuation: Sequence[bool] | None,
    *,
    config: MaskingConfig,
    vocab_size: int,
) -> tf.Tensor:
    if is_continuation is None or len(is_continuation) != vocab_size:
        received = "none" if is_continuation is None else f"{len(is_continuation)}"
        raise ValueError(
            f"masking.unit={config.unit} needs to know of each of the {vocab_size} tokens whether "
            f"it continues a word. Received: {received}. Give is_continuation, or set "
            "masking.unit=token."
        )
    return tf.gather(tf.constant(is_continuation, tf.bool), input_ids)


class _Runs(NamedTuple):
    """Runs of words that may be chosen, K a sequence: tokens `starts` up to before `ends`.

    A run is open to choice while all tokens before `needed_ends` are free and fit; the earliest
    `times` is chosen first.
    """

    times: tf.Tensor
    starts: tf.Tensor
    ends: tf.Tensor
    needed_ends: tf.Tensor
    is_open: tf.Tensor


def _choose_words(
    is_candidate: tf.Tensor,
    continues: tf.Tensor,
    *,
    budget: tf.Tensor,
    config: MaskingConfig,
    draws: Draws,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Positions as `_choose_tokens`, and int32 (B, T), the number of a chosen token's run, or 0."""
    length = tf.shape(is_candidate)[1]
    before = tf.pad(is_candidate[:, :-1], [[0, 0], [1, 0]])
    is_start = is_candidate & ~(continues & before)
    word_ends = _word_ends(is_candidate, is_start)  # [B, T + 1]
    if config.unit == "span":
        runs = _spans(is_start, word_ends, config=config, draws=draws)
        last_of_word = tf.maximum(word_ends[:, :-1] - 1, 0)
    else:
        max_words = 1 if config.unit == "word" else config.max_ngram_words
        runs = _ngrams(is_start, word_ends, max_words=max_words, draws=draws)
        last_of_word = None
    run = _choose_runs(runs, last_of_word, budget=budget[:, tf.newaxis], length=length)
    run = tf.ensure_shape(run, is_candidate.shape)
    positions = tf.sort(tf.where(run < 0, length, tf.range(length)), axis=1)
    return positions[:, : config.max_predictions_per_seq], tf.maximum(run, 0)


def _choose_runs(
    runs: _Runs, last_of_word: tf.Tensor | None, *, budget: tf.Tensor, length: tf.Tensor
) -> tf.Tensor:
    """The number of each token's run, int32 (B, T), -1 where none is chosen.

    One run a round, over all rows at once. What is closed to choice stays closed, so taking the
    earliest open run is the same as going through all of them in order. With `last_of_word`, the
    last position of each token's word, runs pass over chosen words and are cut to what fits.
    """
    indices = tf.range(length)
    num_needed = runs.needed_ends - runs.starts

    def choose(
        number: tf.Tensor, run: tf.Tensor, left: tf.Tensor, is_open: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        pick = tf.argmin(tf.where(is_open, runs.times, tf.float32.max), axis=1)[:, tf.newaxis]
        start = tf.gather(runs.starts, pick, batch_dims=1)  # [B, 1]
        end = tf.gather(runs.ends, pick, batch_dims=1)
        end = tf.where(tf.gather(is_open, pick, batch_dims=1), end, start)
        is_new = (indices >= start) & (indices < end)  # [B, T]
        if last_of_word is None:
            left -= end - start
        else:
            is_new &= run < 0
            num_new = tf.cumsum(tf.cast(is_new, tf.int32), axis=1)
            is_new &= tf.gather(num_new, last_of_word, batch_dims=1) <= left
            end = tf.reduce_max(tf.where(is_new, indices + 1, start), axis=1, keepdims=True)
            left -= tf.reduce_sum(tf.cast(is_new, tf.int32), axis=1, keepdims=True)
        is_open &= (runs.needed_ends <= start) | (runs.starts >= end)
        return number + 1, tf.where(is_new, number, run), left, is_open & (num_needed <= left)

    run = tf.fill([tf.shape(budget)[0], length], -1)
    is_open = runs.is_open & (num_needed <= budget)
    _, run, _, _ = tf.while_loop(
        lambda number, run, left, is_open: tf.reduce_any(is_open),
        choose,
        (tf.constant(0), run, budget, is_open),
        shape_invariants=tuple(map(tf.TensorShape, ([], [None, None], [None, 1], [None, None]))),
    )
    return run


def _word_ends(is_candidate: tf.Tensor, is_start: tf.Tensor) -> tf.Tensor:
    """Of each position the one after its word, int32 (B, T + 1); its own outside of words."""
    length = tf.shape(is_start)[1]
    indices = tf.range(length)
    is_bound = is_start | ~is_candidate
    bounds = tf.sort(tf.where(is_bound, indices, length), axis=1)
    bounds = tf.pad(bounds, [[0, 0], [0, 1]], constant_values=length)
    next_bounds = tf.gather(bounds, tf.cumsum(tf.cast(is_bound, tf.int32), axis=1), batch_dims=1)
    ends = tf.where(is_candidate, next_bounds, indices)
    return tf.pad(ends, [[0, 0], [0, 1]], constant_values=length)


def _run_ends(word_ends: tf.Tensor, *, max_words: int) -> tf.Tensor:
    """Ends of the runs of 1 to L words from each position, int32 (B, L, T), specials end them."""
    ends = [word_ends[:, :-1]]
    for _ in range(max_words - 1):
        ends.append(tf.gather(word_ends, ends[-1], batch_dims=1))
    return tf.stack(ends, axis=1)


def _ngrams(is_start: tf.Tensor, word_ends: tf.Tensor, *, max_words: int, draws: Draws) -> _Runs:
    """All runs of 1 … L words, those of n words in random order at the rate of 1/n.

    Drawing n with weight 1/n among the lengths that are left, then the next run of n words, gives
    the order in which Poisson processes of these rates reach theirs.
    """
    order_draws, time_draws = draws.split(2)
    ends = _run_ends(word_ends, max_words=max_words)  # [B, L, T]
    has_more = ends[:, 1:] > ends[:, :-1]  # Not cut at a special token.
    is_open = is_start[:, tf.newaxis] & tf.pad(
        has_more, [[0, 0], [1, 0], [0, 0]], constant_values=True
    )
    scores = order_draws.uniform(tf.shape(ends))
    starts = tf.argsort(tf.where(is_open, scores, 2.0), axis=-1)  # [B, L, T]
    waits = -tf.math.log1p(-time_draws.uniform(tf.shape(ends)))
    waits *= tf.range(1.0, max_words + 1)[:, tf.newaxis]
    shape = [tf.shape(is_start)[0], max_words * tf.shape(is_start)[1]]
    ends = tf.reshape(tf.gather(ends, starts, batch_dims=2), shape)
    return _Runs(
        times=tf.reshape(tf.cumsum(waits, axis=-1), shape),
        starts=tf.reshape(starts, shape),
        ends=ends,
        needed_ends=ends,
        is_open=tf.reshape(tf.gather(is_open, starts, batch_dims=2), shape),
    )


def _spans(
    is_start: tf.Tensor, word_ends: tf.Tensor, *, config: MaskingConfig, draws: Draws
) -> _Runs:
    """A run from each word on in random order, of n words with weight (1 - p)^(n - 1)."""
    time_draws, length_draws = draws.split(2)
    keep, max_words = 1.0 - config.span_stop_prob, config.max_span_words
    shares = [(1.0 - keep**n) / (1.0 - keep**max_words) for n in range(1, max_words)]
    choices = length_draws.uniform(tf.shape(is_start))
    longer = tf.cast(choices[..., tf.newaxis] >= tf.constant(shares), tf.int32)
    num_words = tf.reduce_sum(longer, axis=-1, keepdims=True) + 1  # [B, T, 1]
    ends = tf.transpose(_run_ends(word_ends, max_words=max_words), [0, 2, 1])
    return _Runs(
        times=time_draws.uniform(tf.shape(is_start)),
        starts=tf.broadcast_to(tf.range(tf.shape(is_start)[1]), tf.shape(is_start)),
        ends=tf.gather(ends, num_words - 1, batch_dims=2)[..., 0],
        needed_ends=word_ends[:, :-1],
        is_open=is_start,
    )
