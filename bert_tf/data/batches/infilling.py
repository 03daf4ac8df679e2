"""Token ids in, the same with spans of them replaced by one mask each out, in the graph.

    [1 2 3 4 5 6 7 8 9 10], spans of 2, 0 and 1 tokens  ->  [1 MASK 4 5 6 MASK 7 MASK 9 10]

A text of n tokens loses m = `share` * n of them, rounded up or down at random so that the mean is
exact. Lengths of spans are drawn from a Poisson distribution until their sum reaches m, and the
last is cut to fit. They go into different gaps between the tokens that are kept, all choices of
gaps alike, so no two masks are neighbours and tokens stay in order. A span of no tokens is a mask
between two tokens. Of these as many are left out as would make the text longer than it was: with
spans of 3 tokens on average that happens in texts of a few tokens alone. So the result has n tokens
at most.

Source: Lewis et al. 2020 (BART), section 2.2, text infilling: lambda 3, share 0.3 (section 5.1).
What is neighbouring, rounded and cut the paper does not say.
"""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from bert_tf.data.batches.draws import example_draws

MAX_SHARE = 0.5
"""Beyond, spans would no longer fit between the tokens that are kept."""
LONGEST_SPAN = 64
LEAST_MEAN = 1.5
"""Tokens of a span: with less, so many spans would have none that some had to be left out."""


class Infilling(NamedTuple):
    """What is masked of a text."""

    mask_id: int
    share: float = 0.3
    mean_span_tokens: float = 3.0

    def check(self) -> None:
        """Raise ValueError if the numbers are out of range."""
        if not 0.0 < self.share <= MAX_SHARE:
            raise ValueError(
                f"share of infilling must be above 0 and at most {MAX_SHARE}. Received: "
                f"{self.share}. Set it to such a share, as 0.3."
            )
        if not LEAST_MEAN <= self.mean_span_tokens <= LONGEST_SPAN / 4:
            raise ValueError(
                f"mean_span_tokens of infilling must be from {LEAST_MEAN} to "
                f"{LONGEST_SPAN // 4}. Received: "
                f"{self.mean_span_tokens}. Set it to such a number, as 3."
            )


def infill(
    tokens: tf.RaggedTensor, *, examples: tf.Tensor, seed: tf.Tensor, infilling: Infilling
) -> tf.RaggedTensor:
    """Texts with spans masked: a function of each text, its number in `examples`, and `seed`.

    `tokens`: int32 (batch, (tokens)); `examples`: int32 (batch); `seed`: int32 or int64 (2).
    Result: int32 (batch, (tokens)), of each text as many tokens as before at most.
    """
    num_tokens = tf.cast(tokens.row_lengths(), tf.int32)  # [B]
    longest = tf.reduce_max(tf.concat([num_tokens, [0]], axis=0))
    count_seed, length_seed, gap_seed = tf.unstack(tf.random.split(seed, num=3))
    coin = example_draws(count_seed, examples, num=tf.constant(1))[:, 0]
    num_masked = tf.cast(
        tf.floor(infilling.share * tf.cast(num_tokens, tf.float32) + coin), tf.int32
    )
    num_draws = _num_draws(num_masked, mean=infilling.mean_span_tokens)
    uniform = example_draws(length_seed, examples, num=num_draws)
    lengths, is_span = _span_lengths(uniform, num_masked, mean=infilling.mean_span_tokens)
    num_kept = num_tokens - num_masked  # [B]
    scores = example_draws(gap_seed, examples, num=longest + 1)
    spans = _in_gaps(lengths, is_span, scores, num_kept)  # [B, gaps]
    return _replaced(tokens, spans, mask_id=infilling.mask_id)


def _num_draws(num_masked: tf.Tensor, *, mean: float) -> tf.Tensor:
    """Lengths to draw, so that the sum of all is enough: but for a text in 10^12, by Poisson's law.

    Such a text would have fewer masked. What a text draws does not depend on how many there are.
    """
    most = tf.cast(tf.reduce_max(tf.concat([num_masked, [0]], axis=0)), tf.float32)
    return tf.cast(tf.math.ceil((most + 8.0 * tf.sqrt(most) + 28.0) / mean), tf.int32)


def _span_lengths(
    uniform: tf.Tensor, num_masked: tf.Tensor, *, mean: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Tokens of each span, int32 (B, draws), and which draws are one: their sum is `num_masked`."""
    cumulative = tf.constant(_poisson_cumulative(mean), tf.float32)
    drawn = tf.searchsorted(cumulative, tf.reshape(uniform, [-1]), side="right")
    drawn = tf.reshape(drawn, tf.shape(uniform))
    before = tf.cumsum(drawn, axis=1, exclusive=True)
    left = num_masked[:, tf.newaxis] - before
    is_span = left > 0
    lengths = tf.where(is_span, tf.minimum(drawn, left), 0)
    is_filled = lengths > 0
    room = num_masked - _count(is_filled)  # for masks of no tokens
    is_empty = is_span & ~is_filled
    rank = tf.cumsum(tf.cast(is_empty, tf.int32), axis=1)
    return lengths, is_filled | (is_empty & (rank <= room[:, tf.newaxis]))


def _in_gaps(
    lengths: tf.Tensor, is_span: tf.Tensor, scores: tf.Tensor, num_kept: tf.Tensor
) -> tf.Tensor:
    """Tokens of the span in each gap, int32 (B, gaps), -1 where there is none.

    A text of r kept tokens has r + 1 gaps; those with the least scores get the spans in turn.
    """
    num_gaps = tf.shape(scores)[1]
    is_gap = tf.range(num_gaps) <= num_kept[:, tf.newaxis]
    order = tf.argsort(tf.where(is_gap, scores, 2.0), axis=1, stable=True)
    # A span that is none goes behind the last gap, and is cut off.
    rank = tf.cumsum(tf.cast(is_span, tf.int32), axis=1, exclusive=True)
    gap = tf.gather(order, tf.minimum(rank, num_gaps - 1), batch_dims=1)
    gap = tf.where(is_span, gap, num_gaps)
    rows = tf.broadcast_to(tf.range(tf.shape(gap)[0])[:, tf.newaxis], tf.shape(gap))
    spans = tf.fill([tf.shape(gap)[0], num_gaps + 1], -1)
    # A gap has one span, but many draws that are none meet behind the last.
    spans = tf.tensor_scatter_nd_max(
        spans, tf.stack([rows, gap], axis=-1), tf.where(is_span, lengths, -1)
    )
    return spans[:, :-1]


def _replaced(tokens: tf.RaggedTensor, spans: tf.Tensor, *, mask_id: int) -> tf.RaggedTensor:
    """Kept tokens with a mask for each span.

    Of tokens 7 8 9 10 and spans [-1, 2, -1]: kept token i was i + the masked before it, and stands
    at i + the masks before it.
    """
    has_mask = tf.cast(spans >= 0, tf.int32)
    num_before = tf.cumsum(tf.maximum(spans, 0), axis=1)  # [B, gaps], up to and with a gap
    masks_before = tf.cumsum(has_mask, axis=1)
    num_tokens = tf.cast(tokens.row_lengths(), tf.int32)
    num_masked, num_masks = num_before[:, -1], masks_before[:, -1]
    num_kept = num_tokens - num_masked
    # The kept token behind each gap; behind the last there is none.
    is_kept = tf.range(tf.shape(spans)[1]) < num_kept[:, tf.newaxis]
    kept = tf.range(tf.shape(spans)[1])
    sources = tf.boolean_mask(kept + num_before, is_kept)
    rows = tf.cast(tf.where(is_kept)[:, 0], tf.int32)
    values = tf.gather(
        tokens.values, tf.gather(tf.cast(tokens.row_starts(), tf.int32), rows) + sources
    )
    lengths = num_kept + num_masks
    starts = tf.cumsum(lengths, exclusive=True)
    places = tf.gather(starts, rows) + tf.boolean_mask(kept + masks_before, is_kept)
    replaced = tf.tensor_scatter_nd_update(
        tf.fill([tf.reduce_sum(lengths)], tf.constant(mask_id, tokens.dtype)),
        places[:, tf.newaxis],
        values,
    )
    return tf.RaggedTensor.from_row_lengths(
        replaced, tf.cast(lengths, tokens.row_splits.dtype), validate=False
    )


def _poisson_cumulative(mean: float) -> np.ndarray:
    """Of each number of tokens up to `LONGEST_SPAN`, the probability of as many at most."""
    numbers = np.arange(LONGEST_SPAN)
    logs = numbers * math.log(mean) - mean - np.array([math.lgamma(n + 1) for n in numbers])
    return np.cumsum(np.exp(logs))


def _count(flags: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(flags, tf.int32), axis=1)
