"""The schema of pretraining records, written once.

A record is a `tf.train.Example`:

| feature | type | content |
|---|---|---|
| `input_ids` | int64, any length | [CLS] A [SEP] B [SEP], or [CLS] A [SEP]; no padding |
| `segment_ids` | int64, same length | 0 up to the first [SEP], 1 after it |
| `next_sentence_labels` | int64, one | **1 = B does not follow**, 0 = it does; absent without B |

A second part that does not follow is random or, by `examples.negative_pairs`, exchanged with A.

Masks are no part of it: they are made while training.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import tensorflow as tf

SCHEMA_VERSION = 1
NO_LABEL = -1
MAX_KEPT_TAILS = 1 << 13
"""Of the ends of records, which a pair's two lengths and its label tell; about 300 bytes each."""

Array = npt.NDArray[np.int64]


class Examples(NamedTuple):
    """Records before they are written, as arrays."""

    input_ids: npt.NDArray[np.int32]
    """(tokens), all records' one after the other."""
    row_splits: Array
    """(records + 1): record r is `input_ids[row_splits[r] : row_splits[r + 1]]`."""
    first_lengths: Array
    """(records): [CLS] A [SEP], the tokens of segment 0."""
    labels: Array
    """(records): 1 = the second part does not follow, 0 = it does, `NO_LABEL` = there is none."""

    @classmethod
    def from_rows(cls, rows: Sequence[tuple[Sequence[int], int, int]]) -> Self:
        """Records of `(input_ids, first length, label)`."""
        ids, first_lengths, labels = zip(*rows, strict=True)
        return cls(
            np.array([id for row in ids for id in row], np.int32),
            np.cumsum([0, *map(len, ids)]),
            np.array(first_lengths),
            np.array(labels),
        )


def serialize(examples: Examples) -> Iterator[bytes]:
    """The bytes of each record, a `tf.train.Example`.

    Written field by field: building the message objects took a third of all preparation.
    """
    packed, bounds = _pack(examples.input_ids, examples.row_splits)
    second_lengths = np.diff(examples.row_splits) - examples.first_lengths
    columns = (bounds[:-1], bounds[1:], examples.first_lengths, second_lengths, examples.labels)
    for start, end, first, second, label in zip(*(c.tolist() for c in columns), strict=True):
        tail = _tail(first, second, label)
        yield b"".join((_head(end - start, len(tail)), packed[start:end], tail))


def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Records, string (batch), in the graph.

    Result: `input_ids`, `segment_ids`, ragged int32, (batch, (tokens)); `next_sentence_labels`,
    int32, (batch), -1 where a record has none.
    """
    sequence = tf.io.RaggedFeature(tf.int64)
    features = tf.io.parse_example(
        serialized,
        {
            "input_ids": sequence,
            "segment_ids": sequence,
            "next_sentence_labels": tf.io.FixedLenFeature([1], tf.int64, default_value=[NO_LABEL]),
        },
    )
    return {
        # What is too large for the type must not come out as a small number.
        "input_ids": tf.saturate_cast(features["input_ids"], tf.int32),
        "segment_ids": tf.saturate_cast(features["segment_ids"], tf.int32),
        "next_sentence_labels": tf.saturate_cast(features["next_sentence_labels"][:, 0], tf.int32),
    }


def _pack(ids: npt.NDArray[np.int32], row_splits: Array) -> tuple[bytes, Array]:
    """All ids as varints, and where in them each row begins and the last one ends."""
    num_bytes = np.ones(len(ids), np.int8)
    rest = ids >> 7
    while rest.any():
        num_bytes += rest > 0
        rest = rest >> 7
    bounds = np.concatenate([[0], np.cumsum(num_bytes, dtype=np.int64)])
    packed = np.empty(bounds[-1], np.uint8)
    at, rest = bounds[:-1], ids
    while len(at):
        goes_on = rest > 0x7F
        packed[at] = rest & 0x7F | goes_on.astype(np.int32) << 7
        at, rest = at[goes_on] + 1, rest[goes_on] >> 7
    return packed.tobytes(), bounds[row_splits]


@functools.lru_cache(maxsize=MAX_KEPT_TAILS)
def _head(ids_size: int, tail_size: int) -> bytes:
    """All before the packed `input_ids`: the record's header, and theirs."""
    of_ids = _feature_header(b"input_ids", ids_size)
    return b"\x0a" + _varint(len(of_ids) + ids_size + tail_size) + of_ids


@functools.lru_cache(maxsize=MAX_KEPT_TAILS)
def _tail(first_length: int, second_length: int, label: int) -> bytes:
    """All after the packed `input_ids`: the label, if any, and the segments."""
    parts = []
    if label != NO_LABEL:
        parts = [_feature_header(b"next_sentence_labels", 1), bytes([label])]
    segment_ids = bytes(first_length) + b"\x01" * second_length
    return b"".join([*parts, _feature_header(b"segment_ids", len(segment_ids)), segment_ids])


def _feature_header(name: bytes, size: int) -> bytes:
    """An entry of `Features.feature` up to its `size` bytes of packed varints.

    1 = name, 2 = Feature{3 = Int64List{1 = varints}}; a header is its field's number and the
    length of what follows, so they are made from the inside out.
    """
    header = b"\x0a" + _varint(size)
    for field in (b"\x1a", b"\x12"):
        header = field + _varint(len(header) + size) + header
    header = b"\x0a" + _varint(len(name)) + name + header
    return b"\x0a" + _varint(len(header) + size) + header


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; a set high bit means that more follow."""
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    content.append(value)
    return bytes(content)
