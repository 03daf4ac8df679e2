"""A client's token ids in, the encoder's inputs out: checked row by row, in the graph.

    input_ids [[2, 7, 3, 3], [2, -5, 3, 9]], lengths [3, 3]

        ->  input_ids [[2, 7, 3], [0, 0, 0]], input_mask [[1, 1, 1], [1, 0, 0]]
            status    ["OK", "input_ids must be from 0 to 30521. Received: -5 at position 1."]

What stands at `lengths` and beyond is padding, whatever it is: a server that puts rows of different
lengths together fills them up with numbers of its own.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from bert_tf.data.text.windows import PackedWindows
from bert_tf.exporting.row_status import OK, first_fault, same_number_of_rows
from bert_tf.exporting.texts import TextWindows
from bert_tf.layers.tensorflow.windows import join_tokens
from bert_tf.models.bert import ENCODER_INPUTS
from bert_tf.models.classifier import OFFSETS

NAMES = ("input_ids", "segment_ids", "lengths")


class TokenRows(NamedTuple):
    """The rows of a batch, those that are refused in it as one token of padding."""

    inputs: dict[str, tf.Tensor]
    """Of the encoder, int32 (batch, longest row that is answered)."""
    status: tf.Tensor
    """string (batch): `OK`, or what is wrong with the row."""

    @property
    def is_answered(self) -> tf.Tensor:
        """bool (batch)."""
        return tf.equal(self.status, OK)


class TokenRowChecker:
    """Checks rows against what a model knows.

    Args:
        vocab_size: ids are from 0 to one less.
        num_segments: so are segments.
        max_length: the positions that the model has.
    """

    def __init__(self, *, vocab_size: int, num_segments: int, max_length: int, pad_id: int):
        self._vocab_size = vocab_size
        self._num_segments = num_segments
        self._max_length = max_length
        self._pad_id = pad_id

    def __call__(
        self, input_ids: tf.Tensor, segment_ids: tf.Tensor, lengths: tf.Tensor
    ) -> TokenRows:
        """`input_ids`, `segment_ids` int32 (batch, length), `lengths` int32 (batch).

        Fails of inputs with different numbers of rows alone: a server puts none such together. No
        row at all may come without a column, too: JSON's `[]` has one dimension.
        """
        input_ids, segment_ids = _with_columns(input_ids), _with_columns(segment_ids)
        with tf.control_dependencies([same_number_of_rows(NAMES, input_ids, segment_ids, lengths)]):
            num_columns = tf.minimum(tf.shape(input_ids)[1], tf.shape(segment_ids)[1])
        # A column at least, of which the first fault is looked for, and none that no row can use.
        width = tf.clip_by_value(num_columns, 1, self._max_length)
        input_ids, segment_ids = (_with_width(x, width) for x in (input_ids, segment_ids))
        is_token = tf.sequence_mask(lengths, width)
        status = first_fault(
            _outside(lengths, 1, self._max_length, name="lengths"),
            (
                lengths > num_columns,
                _sentence("lengths must be at most the ids and the segments of the row.", lengths),
            ),
            _outside_at(input_ids, is_token, self._vocab_size, name="input_ids"),
            _outside_at(segment_ids, is_token, self._num_segments, name="segment_ids"),
        )
        is_answered = tf.equal(status, OK)
        lengths = tf.where(is_answered, lengths, 1)
        # Of no row at all `reduce_max` is the least number there is.
        longest = tf.maximum(tf.reduce_max(lengths), 1)
        mask = tf.sequence_mask(lengths, longest)
        is_kept = mask & is_answered[:, tf.newaxis]
        inputs = {
            "input_ids": tf.where(is_kept, input_ids[:, :longest], self._pad_id),
            "input_mask": tf.cast(mask, tf.int32),
            "segment_ids": tf.where(is_kept, segment_ids[:, :longest], 0),
        }
        return TokenRows(inputs, status)


def with_offsets(
    inputs: dict[str, tf.Tensor], *, special_ids: Sequence[int]
) -> dict[str, tf.Tensor]:
    """Inputs with places of tokens, for ids, which have no text: a token's place is its position,
    and each token is a word."""
    ids = inputs["input_ids"]
    starts = tf.broadcast_to(tf.range(tf.shape(ids)[1]), tf.shape(ids))
    is_special = tf.reduce_any(ids[..., tf.newaxis] == list(special_ids), axis=-1)
    is_text = tf.cast(~is_special, tf.int32) * inputs["input_mask"]
    offsets = {"token_starts": starts, "token_ends": starts + is_text, "begins_word": is_text}
    return {**inputs, **offsets}


def as_windows(inputs: dict[str, tf.Tensor]) -> TextWindows:
    """Rows of pairs, with offsets, as texts of one window each: the tokens of the second segment.

    A row's second text is what is no special token there; of a row without one it has no token.
    """
    is_second = (inputs["segment_ids"] > 0) & (inputs["begins_word"] > 0)
    columns = tf.cast(is_second, tf.int32)
    columns *= tf.cumsum(columns, axis=1)
    num_rows = tf.shape(columns)[0]
    owners = tf.range(num_rows)
    width = 1 + tf.reduce_max(tf.pad(columns, [[0, 1], [0, 1]]))
    offsets = {
        name: join_tokens(inputs[name], columns, owners, num_texts=num_rows, width=width)
        for name in OFFSETS
    }
    rows = {**{name: inputs[name] for name in ENCODER_INPUTS}, "document_columns": columns}
    return TextWindows(PackedWindows(rows, owners), offsets, num_rows)


def _with_columns(x: tf.Tensor) -> tf.Tensor:
    """`x`, or of shape (0) one of (0, 0). Others of one dimension fail here.

    `tf.pad` hides from the graph's optimizer that this changes nothing where the signature is kept.
    """
    shape = tf.pad(tf.shape(x), [[0, 1]])[:2]
    return tf.ensure_shape(tf.reshape(x, shape), [None, None])


def _with_width(x: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    x = x[:, :width]
    return tf.pad(x, [[0, 0], [0, width - tf.shape(x)[1]]])


def _outside(values: tf.Tensor, least: int, most: int, *, name: str) -> tuple[tf.Tensor, tf.Tensor]:
    sentence = _sentence(f"{name} must be from {least} to {most}.", values)
    return (values < least) | (values > most), sentence


def _outside_at(
    values: tf.Tensor, is_token: tf.Tensor, number: int, *, name: str
) -> tuple[tf.Tensor, tf.Tensor]:
    is_outside = is_token & ((values < 0) | (values >= number))
    place = tf.argmax(tf.cast(is_outside, tf.int32), axis=1, output_type=tf.int32)
    value = tf.gather(values, place, axis=1, batch_dims=1)
    sentence = tf.strings.join(
        [
            f"{name} must be from 0 to {number - 1}. Received: ",
            tf.strings.as_string(value),
            " at position ",
            tf.strings.as_string(place),
            ".",
        ]
    )
    return tf.reduce_any(is_outside, axis=1), sentence


def _sentence(what: str, received: tf.Tensor) -> tf.Tensor:
    return tf.strings.join([f"{what} Received: ", tf.strings.as_string(received), "."])
