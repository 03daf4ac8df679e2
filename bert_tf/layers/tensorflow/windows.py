"""Takes the windows of texts apart for the encoder, and joins what it says of them.

    (texts, windows, length) --window_rows--> (rows, length) --model--> (rows, ...)
        --join_rows--> (texts, ...)              mean or maximum of a text's windows
        --join_tokens--> (texts, tokens, ...)    each token's, from one window
        --join_choices--> (texts, choices)       of each of a text's choices

A text with one window gets what its row has, bit for bit.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import tensorflow as tf

_ROUNDING_SHARE = 4
Join = Literal["mean", "max"]


class WindowRows(NamedTuple):
    """The windows that there are, a row each."""

    inputs: dict[str, tf.Tensor]
    """(rows, length)"""
    owners: tf.Tensor
    """int32 (rows): which text; -1 of rows that are computed for nothing."""
    num_texts: tf.Tensor


def window_rows(inputs: Mapping[str, tf.Tensor]) -> WindowRows:
    """Rows of inputs (texts, windows, length), without the windows that are all padding.

    The number of rows is rounded up, by a quarter at most, since kernels are made for each.
    """
    is_window = inputs["input_mask"][:, :, 0] > 0
    places = tf.where(is_window)  # (rows, 2): text, window
    number = tf.shape(places)[0]
    step = tf.bitwise.left_shift(1, tf.maximum(_bits(number) - _ROUNDING_SHARE.bit_length(), 0))
    missing = -number % step
    owners = tf.pad(tf.cast(places[:, 0], tf.int32), [[0, missing]], constant_values=-1)
    places = tf.pad(places, [[0, missing], [0, 0]])
    rows = {name: tf.gather_nd(values, places) for name, values in inputs.items()}
    return WindowRows(rows, owners, tf.shape(is_window)[0])


def join_rows(
    values: tf.Tensor, owners: tf.Tensor, *, num_texts: tf.Tensor, how: Join
) -> tf.Tensor:
    """(rows, ...) -> (texts, ...), float32: the mean or the maximum of a text's windows."""
    join = {"mean": tf.math.unsorted_segment_mean, "max": tf.math.unsorted_segment_max}[how]
    joined = join(values, owners, num_texts)
    return tf.ensure_shape(joined, [None, *values.shape[1:]])


def join_least(values: tf.Tensor, owners: tf.Tensor, *, num_texts: tf.Tensor) -> tf.Tensor:
    """(rows, width) -> (texts, width): of each text the row with the least sum."""
    sums = tf.reduce_sum(values, axis=-1)
    least = -tf.math.unsorted_segment_max(-sums, owners, num_texts)
    number = tf.range(tf.size(owners))
    is_least = tf.equal(sums, tf.gather(least, tf.maximum(owners, 0))) & (owners >= 0)
    first = -tf.math.unsorted_segment_max(
        tf.where(is_least, -number, tf.int32.min + 1), owners, num_texts
    )
    return tf.ensure_shape(tf.gather(values, first), [None, values.shape[1]])


def join_tokens(
    values: tf.Tensor,
    document_columns: tf.Tensor,
    owners: tf.Tensor,
    *,
    num_texts: tf.Tensor,
    width: tf.Tensor,
) -> tf.Tensor:
    """(rows, length, ...) -> (texts, width, ...): zeros where no window has a token.

    Column 0 has what the first token of a text's first window has.
    """
    is_first = tf.not_equal(owners, tf.concat([[-1], owners[:-1]], axis=0))
    is_cls = tf.one_hot(0, tf.shape(document_columns)[1], True, False)
    is_read = (document_columns > 0) | (is_first[:, tf.newaxis] & is_cls)
    is_read &= owners[:, tf.newaxis] >= 0
    places = tf.where(is_read)
    columns = tf.boolean_mask(document_columns, is_read)
    targets = tf.stack([tf.gather(owners, places[:, 0]), columns], axis=1)
    shape = tf.concat([[num_texts, width], tf.shape(values)[2:]], axis=0)
    joined = tf.scatter_nd(targets, tf.gather_nd(values, places), shape)
    return tf.ensure_shape(joined, [None, None, *values.shape[2:]])


def join_choices(
    values: tf.Tensor, choice_windows: tf.Tensor, *, how: Join
) -> tuple[tf.Tensor, tf.Tensor]:
    """(rows) -> scores (texts, choices), float32, and how many choices a text has, int32 (texts).

    Where a text has no such choice there is 0.

    Args:
        values: of the windows, those of a text in a row, and of these those of a choice.
        choice_windows: int32 (texts, choices), how many each choice has; 0 of one that is missing.
    """
    counts = tf.reshape(choice_windows, [-1])
    choices = tf.repeat(tf.range(tf.size(counts)), counts)
    # Rows that are computed for nothing come last.
    choices = tf.pad(choices, [[0, tf.size(values) - tf.size(choices)]], constant_values=-1)
    scores = join_rows(values, choices, num_texts=tf.size(counts), how=how)
    scores = tf.reshape(tf.where(counts > 0, scores, 0.0), tf.shape(choice_windows))
    is_there = tf.cast(choice_windows > 0, tf.int32)
    return tf.ensure_shape(scores, [None, None]), tf.reduce_sum(is_there, axis=1)


def _bits(number: tf.Tensor) -> tf.Tensor:
    """How many binary digits an int32 number has, up to 2^24."""
    powers = tf.constant([1 << bit for bit in range(24)])
    return tf.reduce_sum(tf.cast(number >= powers, tf.int32))
