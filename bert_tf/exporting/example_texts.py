"""Serialised `tf.Example`s in, the texts in their features out, row by row, in the graph.

`tf.io.parse_example` fails the whole batch when a row lacks a feature, has it twice over or as
numbers. Here such a row has no text, and says so. Bytes that are no `tf.Example` fail the batch all
the same: no operation reads a message that may be broken. Classify and Regress cannot send such,
since the server writes these bytes itself.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf
from google.protobuf import descriptor_pb2

from bert_tf.exporting.row_status import first_fault

_BYTES_TOGETHER = 1 << 16
"""Rows are decoded together, padded to as many features as the row with the most has, where none
is longer; a longer one must not take memory for all."""
_PACKAGE = "bert_tf.example"
_MESSAGES = {
    "Example": {"features": 1},
    "Features": {"feature": 1},
    "Entry": {"key": 1, "value": 2},
    "Feature": {"bytes_list": 1, "float_list": 2, "int64_list": 3},
    "BytesList": {"value": 1},
}
"""Of `tensorflow/core/example`: messages, their fields and these fields' numbers."""


class ExampleTexts(NamedTuple):
    """The texts of a batch of examples, empty strings in the rows that are refused."""

    texts: list[tf.Tensor]
    """string (batch), for each name."""
    status: tf.Tensor
    """string (batch): `OK`, or what is wrong with the row."""


def texts_of_examples(serialized: tf.Tensor, names: Sequence[str]) -> ExampleTexts:
    """The one string of each feature in `names`; `serialized`: string (batch)."""
    is_large = tf.reduce_any(tf.strings.length(serialized) > _BYTES_TOGETHER)
    firsts, counts = tf.cond(
        is_large,
        lambda: _decode_one_by_one(serialized, names),
        lambda: _decode(serialized, names),
    )
    status = first_fault(
        *(
            (
                counts[:, column] != 1,
                tf.strings.join(
                    [
                        f"the feature {name} must be one string. Received: ",
                        tf.strings.as_string(counts[:, column]),
                        " strings.",
                    ]
                ),
            )
            for column, name in enumerate(names)
        )
    )
    is_one = tf.reduce_all(counts == 1, axis=1)
    texts = [
        tf.where(is_one, firsts[:, column], tf.zeros_like(serialized))
        for column in range(len(names))
    ]
    return ExampleTexts(texts, status)


def _decode_one_by_one(serialized: tf.Tensor, names: Sequence[str]) -> tuple[tf.Tensor, tf.Tensor]:
    firsts, counts = tf.map_fn(
        lambda row: _decode(row[tf.newaxis], names),
        serialized,
        fn_output_signature=(
            tf.TensorSpec([1, len(names)], tf.string),
            tf.TensorSpec([1, len(names)], tf.int32),
        ),
    )
    return firsts[:, 0], counts[:, 0]


def _decode(serialized: tf.Tensor, names: Sequence[str]) -> tuple[tf.Tensor, tf.Tensor]:
    """The first string of each feature, and how many it has: (batch, names)."""
    num_rows = tf.shape(serialized)[0]
    (features,) = _firsts(serialized, "Example")
    (entries,), (num_entries,) = _fields(features, "Features")
    is_entry = tf.sequence_mask(num_entries, tf.shape(entries)[1])
    rows = tf.cast(tf.where(is_entry)[:, 0], tf.int32)
    keys, values = _firsts(tf.boolean_mask(entries, is_entry), "Entry")
    values = tf.concat([values, [""]], axis=0)
    firsts, counts = [], []
    for name in names:
        # Of several with a name the last counts, as in a map; of none the empty one at the end.
        places = tf.where(tf.equal(keys, name), tf.range(tf.size(keys)), -1)
        place = tf.math.unsorted_segment_max(places, rows, num_rows)
        feature = tf.gather(values, tf.where(place < 0, tf.size(keys), place))
        (strings,), (count,) = _fields(_firsts(feature, "Feature")[0], "BytesList")
        firsts.append(_first(strings))
        counts.append(count)
    return tf.stack(firsts, axis=1), tf.stack(counts, axis=1)


def _firsts(messages: tf.Tensor, kind: str) -> list[tf.Tensor]:
    """Of each field the first value, or nothing: strings (messages)."""
    return [_first(values) for values in _fields(messages, kind)[0]]


def _first(values: tf.Tensor) -> tf.Tensor:
    return tf.pad(values, [[0, 0], [0, 1]])[:, 0]


def _fields(messages: tf.Tensor, kind: str) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Of each field the values, string (messages, most), and their numbers, int32 (messages)."""
    names = [*_MESSAGES[kind]]
    sizes, values = tf.io.decode_proto(
        tf.concat([messages, [""]], axis=0),  # it refuses to decode nothing
        f"{_PACKAGE}.{kind}",
        names,
        [tf.string] * len(names),
        descriptor_source=b"bytes://" + _descriptors(),
    )
    counts = tf.unstack(sizes[:-1], num=len(names), axis=1)
    return [of_field[:-1] for of_field in values], counts


def _descriptors() -> bytes:
    """The messages with every field as repeated bytes, which is how nested ones are written."""
    file = descriptor_pb2.FileDescriptorProto(
        name="bert_tf_example.proto", package=_PACKAGE, syntax="proto3"
    )
    for kind, fields in _MESSAGES.items():
        message = file.message_type.add(name=kind)
        for name, number in fields.items():
            message.field.add(
                name=name,
                number=number,
                type=descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
                label=descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED,
            )
    return descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString(deterministic=True)
