"""Lengths of texts in, the rows of each batch out: batches grouped by length.

Of an epoch, texts of 3 6 9 4 8 5 2 7 tokens in shuffled order, batches of 2, windows of 2 batches:

    windows                     | 3 6 9 4 | 8 5 2 7 |
    each sorted by length       | 3 4 6 9 | 2 5 7 8 |
    each window's batches mixed | 6 9 3 4 | 2 5 7 8 |

So the texts of a batch are of similar length and otherwise chosen at random; the next batch may be
of any length.
"""

import numpy as np
import tensorflow as tf

from bert_tf.data.seeds import derive_seed

WINDOW_BATCHES = 64
"""Batches whose texts are sorted together: of many, the shortest and longest meet the same others
too often; of few, lengths in a batch differ."""


def batch_lengths(max_seq_length: int) -> list[int]:
    """The lengths that batches are padded to: 8, 16, 24, 32, 48, 64, 96, 128, … and the limit.

    Few, because each is compiled once; from 16 on, each is at most half longer than the one before.
    """
    steps = [8, *(part << power for power in range(3, 32) for part in (2, 3))]
    return [length for length in steps if length < max_seq_length] + [max_seq_length]


def training_rows(
    lengths: np.ndarray, *, batch_size: int, seed: int, start_step: int, group_by_length: bool
) -> tf.data.Dataset:
    """Endless (rows, weights) from `start_step` on, int32 and float32 (batch); weights are 1.

    Every row once an epoch, in an order that is a function of (seed, epoch). The batch that spans
    two epochs has rows of any length. `lengths`: of each text, rounded as its batch will be; within
    one such length the choice is random.

    The longest batch of each window comes at a random place in it: a batch size that does not fit
    in memory fails within the first `WINDOW_BATCHES` steps, not late in the epoch, unless a later
    window has a longer text; `max_seq_length` is the most there can be.
    """
    num_rows = len(lengths)
    first_epoch, first_row = divmod(start_step * batch_size, num_rows)
    order_seed = tf.constant(derive_seed(seed, "order"), tf.int64)
    lengths_of_rows = tf.constant(lengths, tf.int32)

    def epoch_rows(epoch: tf.Tensor) -> tf.data.Dataset:
        rows = tf.random.experimental.stateless_shuffle(
            tf.range(num_rows), seed=tf.stack([order_seed, epoch])
        )
        if group_by_length:
            # Batches begin where the last one of the epoch before ends.
            start = tf.minimum((-epoch * num_rows) % batch_size, num_rows)
            rows = _group(
                rows, lengths_of_rows, start=start, batch_size=batch_size, seed=seed, epoch=epoch
            )
        num_seen = tf.where(epoch == first_epoch, first_row, 0)
        return tf.data.Dataset.from_tensors(rows[num_seen:])

    rows = tf.data.Dataset.counter(first_epoch).flat_map(epoch_rows)
    rows = rows.rebatch(batch_size, drop_remainder=True)
    return rows.map(lambda batch: (batch, tf.ones([batch_size])))


def evaluation_rows(
    lengths: np.ndarray, *, batch_size: int, group_by_length: bool
) -> tf.data.Dataset:
    """One pass: (rows, weights), int32 and float32 (batch); copies of weight 0 fill the last.

    By length: the longest first, so that what does not fit in memory fails at once. Otherwise in
    order.
    """
    order = np.arange(len(lengths), dtype=np.int32)
    if group_by_length:
        order = order[np.argsort(-lengths, kind="stable")]
    num_filled = -len(order) % batch_size
    rows = np.pad(order, (0, num_filled), mode="edge")
    weights = np.pad(np.ones(len(order), np.float32), (0, num_filled))
    batches = rows.reshape(-1, batch_size), weights.reshape(-1, batch_size)
    return tf.data.Dataset.from_tensor_slices(batches)


def _group(
    rows: tf.Tensor,
    lengths: tf.Tensor,
    *,
    start: tf.Tensor,
    batch_size: int,
    seed: int,
    epoch: tf.Tensor,
) -> tf.Tensor:
    """Rows in an order that groups each whole batch from `start` on by length."""
    num_batches = (tf.size(rows, tf.int64) - start) // batch_size
    end = start + num_batches * batch_size
    grouped = rows[start:end]
    window = tf.range(end - start) // (batch_size * WINDOW_BATCHES)
    length = tf.cast(tf.gather(lengths, grouped), tf.int64)
    by_length = tf.argsort(tf.bitwise.left_shift(window, 32) + length, stable=True)
    batches = tf.reshape(tf.gather(grouped, by_length), [num_batches, batch_size])
    mixed = tf.random.experimental.stateless_shuffle(
        tf.range(num_batches),
        seed=tf.stack([tf.constant(derive_seed(seed, "batches"), tf.int64), epoch]),
    )
    by_window = tf.argsort(mixed // WINDOW_BATCHES, stable=True)
    batches = tf.gather(batches, tf.gather(mixed, by_window))
    return tf.concat([rows[:start], tf.reshape(batches, [-1]), rows[end:]], axis=0)
