"""Ragged token ids in, the encoder's dense inputs out, in the graph.

    first [[7, 8, 9]], second [[4]]  ->  input_ids   [[CLS, 7, 8, 9, SEP, 4, SEP]]
                                         input_mask  [[  1, 1, 1, 1,   1, 1,   1]]
                                         segment_ids [[  0, 0, 0, 0,   0, 1,   1]]

Padding is 0 in all three but for `pad_id`.
"""

from typing import TypedDict

import tensorflow as tf


class Frame(TypedDict):
    """The ids that text stands between, and what fills a row up."""

    cls_id: int
    sep_id: int
    pad_id: int


def trim_pair(
    first: tf.RaggedTensor, second: tf.RaggedTensor, *, max_tokens: int
) -> tuple[tf.RaggedTensor, tf.RaggedTensor]:
    """Cut tokens off the end of the longer side until both together fit.

    Lengths 9 and 3 for 8 tokens become 5 and 3; 9 and 9 become 4 and 4; for 7, 4 and 3. These are
    the lengths of `tensorflow_text.RoundRobinTrimmer`, and of Google's fine-tuning scripts.

    `first`, `second`: int32, (batch, (tokens)).
    """
    first_lengths, second_lengths = first.row_lengths(), second.row_lengths()
    room = tf.constant(max_tokens, first_lengths.dtype)
    second_kept = tf.minimum(second_lengths, tf.maximum(room - first_lengths, room // 2))
    first_kept = tf.minimum(first_lengths, room - second_kept)
    return keep_first(first, lengths=first_kept), keep_first(second, lengths=second_kept)


def pack(
    first: tf.RaggedTensor,
    second: tf.RaggedTensor | None = None,
    *,
    max_seq_length: int,
    cls_id: int,
    sep_id: int,
    pad_id: int = 0,
) -> dict[str, tf.Tensor]:
    """[CLS] first [SEP], or [CLS] first [SEP] second [SEP], trimmed to fit.

    Result: `input_ids`, `input_mask`, `segment_ids`, int32, (batch, longest in the batch).
    """
    if second is None:
        room = tf.constant(max_seq_length - 2, first.row_splits.dtype)
        first = keep_first(first, lengths=tf.minimum(first.row_lengths(), room))
    else:
        first, second = trim_pair(first, second, max_tokens=max_seq_length - 3)
    num_rows = first.nrows()
    cls = _column(cls_id, num_rows=num_rows, like=first)
    sep = _column(sep_id, num_rows=num_rows, like=first)
    parts = [cls, first, sep] if second is None else [cls, first, sep, second, sep]
    input_ids = tf.concat(parts, axis=1)
    num_first = (first.row_lengths() + 2)[:, tf.newaxis]
    dense_ids = input_ids.to_tensor(pad_id)
    positions = tf.range(tf.shape(dense_ids, num_first.dtype)[1])
    input_mask = positions < input_ids.row_lengths()[:, tf.newaxis]
    return {
        "input_ids": dense_ids,
        "input_mask": tf.cast(input_mask, tf.int32),
        "segment_ids": tf.cast(input_mask & (positions >= num_first), tf.int32),
    }


def pack_beside(
    first: tf.RaggedTensor, second: tf.RaggedTensor | None = None, *, max_seq_length: int
) -> tf.Tensor:
    """Values of tokens, int32, beside the columns of their `pack`: 0 at [CLS], [SEP], padding.

    Result: int32, (batch, longest in the batch).
    """
    packed = pack(first, second, max_seq_length=max_seq_length, cls_id=0, sep_id=0)
    return packed["input_ids"]


def pad_to(
    features: dict[str, tf.Tensor], length: int | tf.Tensor, *, pad_id: int = 0
) -> dict[str, tf.Tensor]:
    """`features` of `pack` with `length` columns, which must be at least what they have."""
    missing = length - tf.shape(features["input_ids"])[1]
    padded = {}
    for name, values in features.items():
        value = pad_id if name == "input_ids" else 0
        padded[name] = tf.pad(values, [[0, 0], [0, missing]], constant_values=value)
        if isinstance(length, int):
            padded[name] = tf.ensure_shape(padded[name], [None, length])
    return padded


def bucket_length(longest: tf.Tensor, *, max_seq_length: int, multiple: int) -> tf.Tensor:
    """`longest` rounded up to a multiple, at most `max_seq_length`: few lengths, few graphs."""
    rounded = (longest + multiple - 1) // multiple * multiple
    return tf.minimum(rounded, tf.constant(max_seq_length, rounded.dtype))


def keep_first(tokens: tf.RaggedTensor, *, lengths: tf.Tensor) -> tf.RaggedTensor:
    """The first `lengths[b]` tokens of each row, which must have as many."""
    positions = tf.ragged.range(tokens.row_lengths(), row_splits_dtype=tokens.row_splits.dtype)
    is_kept = positions.values < tf.repeat(lengths, tokens.row_lengths())
    return tf.RaggedTensor.from_row_lengths(
        tf.boolean_mask(tokens.values, is_kept), lengths, validate=False
    )


def _column(value: int, *, num_rows: tf.Tensor, like: tf.RaggedTensor) -> tf.RaggedTensor:
    splits = tf.range(num_rows + 1)
    values = tf.fill([num_rows], tf.constant(value, like.dtype))
    return tf.RaggedTensor.from_row_splits(values, splits, validate=False)
