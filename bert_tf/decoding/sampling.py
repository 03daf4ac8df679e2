"""One token drawn from the next token's distribution, at a temperature and of the likeliest.

Top-k is Fan et al. 2018, top-p Holtzman et al. 2020: the fewest likeliest tokens that have together
the probability p, of the top-k tokens' distribution where both are set. Of tokens that are equally
likely the lower id comes first.
"""

from dataclasses import dataclass

import tensorflow as tf

from bert_tf.config.decoding import DecodingConfig
from bert_tf.decoding.answers import IMPOSSIBLE
from bert_tf.decoding.random_numbers import uniform
from bert_tf.decoding.row_settings import Rows, RowSettings

NUM_SORTED = 128
"""Likeliest tokens that are sorted first. All are sorted only in a step where these do not hold a
text's top-k or top-p."""


@dataclass(frozen=True)
class Sampler:
    """Draws tokens; what the graph need not compute is left out of it."""

    most: int | None
    """Top-k of all texts, where none has its own; None: it may be anything."""
    is_cut: bool
    """Top-k or top-p may leave tokens out."""

    @classmethod
    def of(cls, config: DecodingConfig, settings: RowSettings) -> "Sampler":
        """For a configuration, and what the texts have for themselves."""
        is_cut = config.top_k is not None or config.top_p < 1.0
        has_own = settings.top_k is not None or settings.top_p is not None
        most = config.top_k if settings.top_k is None else None
        return cls(most=most, is_cut=is_cut or has_own)

    def draw(self, log_probs: tf.Tensor, position: tf.Tensor, rows: Rows) -> tf.Tensor:
        """int32 (B, H) of float32 (B, H, W), each H a sample of its own; 0 where all are -inf."""
        temperature = rows.temperature[:, tf.newaxis, tf.newaxis]
        highest = tf.reduce_max(log_probs, axis=-1, keepdims=True)
        shifted = log_probs - tf.where(highest > IMPOSSIBLE, highest, 0.0)
        weights = tf.exp(shifted / tf.where(temperature > 0.0, temperature, 1.0))
        numbers = uniform(rows.seeds, position, num_samples=log_probs.shape[1])
        numbers = tf.where(temperature[..., 0] > 0.0, numbers, 0.0)  # 0 takes the first in order
        if not self.is_cut:
            return _of_all(rows, weights, numbers, tf.cumsum(weights, axis=-1))
        if self.most is not None:
            return _of_likeliest(rows, weights, numbers, most=self.most)
        return _of_any(rows, weights, numbers)


def _of_all(rows: Rows, weights: tf.Tensor, numbers: tf.Tensor, sums: tf.Tensor) -> tf.Tensor:
    likeliest = tf.argmax(weights, axis=-1, output_type=tf.int32)
    drawn = _place(sums, numbers, sums[..., -1])
    return tf.where(rows.temperature[:, tf.newaxis] > 0.0, drawn, likeliest)


def _of_likeliest(rows: Rows, weights: tf.Tensor, numbers: tf.Tensor, *, most: int) -> tf.Tensor:
    """Top-k is one number for all texts."""
    found = tf.math.top_k(weights, k=min(most, weights.shape[-1]))
    sums = tf.cumsum(found.values, axis=-1)
    return _of_sorted(rows, found.indices, sums, numbers, sums[..., -1])


def _of_any(rows: Rows, weights: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Top-k and top-p are each text's own; some may have neither."""
    vocab_size = weights.shape[-1]
    all_sums = tf.cumsum(weights, axis=-1)
    total = all_sums[..., -1]
    top_k = tf.broadcast_to(rows.top_k[:, tf.newaxis], tf.shape(numbers))
    top_p = rows.top_p[:, tf.newaxis]
    is_whole = (top_k >= vocab_size) & (top_p >= 1.0)

    def of_first(num_sorted: int) -> tuple[tf.Tensor, tf.Tensor]:
        found = tf.math.top_k(weights, k=num_sorted)
        sums = tf.cumsum(found.values, axis=-1)
        places = tf.minimum(top_k, num_sorted) - 1
        of_top_k = tf.gather(sums, places, axis=2, batch_dims=2)
        limit = tf.where(top_k >= vocab_size, total, of_top_k)
        drawn = _of_sorted(rows, found.indices, sums, numbers, limit)
        is_held = (top_k >= vocab_size) & (sums[..., -1] >= top_p * total)
        return drawn, is_whole | is_held | (top_k <= num_sorted) | (total == 0.0)

    drawn, is_held = of_first(min(NUM_SORTED, vocab_size))
    if vocab_size > NUM_SORTED:
        # The same tokens where the first sufficed: sums of sorted numbers begin alike.
        drawn = tf.cond(tf.reduce_all(is_held), lambda: drawn, lambda: of_first(vocab_size)[0])
    return tf.where(is_whole, _of_all(rows, weights, numbers, all_sums), drawn)


def _of_sorted(
    rows: Rows, ids: tf.Tensor, sums: tf.Tensor, numbers: tf.Tensor, limit: tf.Tensor
) -> tf.Tensor:
    """Of tokens by falling weight, with the sums of their weights: `limit` is that of top-k."""
    before = tf.pad(sums[..., :-1], [[0, 0], [0, 0], [1, 0]])
    top_p = rows.top_p[:, tf.newaxis]
    is_kept = before < (top_p * limit)[..., tf.newaxis]
    is_kept &= tf.range(sums.shape[-1]) < rows.top_k[:, tf.newaxis, tf.newaxis]
    last = tf.maximum(_count(is_kept) - 1, 0)
    place = _place(sums, numbers, tf.gather(sums, last, axis=2, batch_dims=2))
    return tf.gather(ids, place, axis=2, batch_dims=2)


def _place(sums: tf.Tensor, numbers: tf.Tensor, total: tf.Tensor) -> tf.Tensor:
    """Where `numbers`, shares of `total`, (B, H), fall in the rising sums (B, H, W)."""
    drawn = _count(sums <= (numbers * total)[..., tf.newaxis])
    # A share just below 1 may be rounded to the total.
    return tf.minimum(drawn, _count(sums < total[..., tf.newaxis]))


def _count(is_true: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(is_true, tf.int32), axis=-1)
