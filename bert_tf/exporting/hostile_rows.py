"""Requests of a client that means harm, or is mistaken: what a server's batch may hold.

Whatever stands in them, the answers to rows beside them must be those that these have alone.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from bert_tf.tasks.examples import TEXT, TEXT_PAIR
from bert_tf.tasks.row_settings import RowSetting, tried_columns

_LARGEST = np.iinfo(np.int32).max

TEXTS: tuple[bytes, ...] = (
    b"",
    b"\x00",
    b"\xff\xfe\x80 bytes that are no UTF-8 \xf0\x9f",
    b"[CLS] [SEP] [PAD] [UNK] [MASK",
    b"no mask " * 40,
    b"x" * 1_000_000,
    "\u0301\u0316".encode() * 5000,
    b"\n\t \r\n",
)


def hostile_request(
    names: Sequence[str],
    *,
    vocab_size: int,
    num_segments: int,
    example_names: Sequence[str] = (TEXT, TEXT_PAIR),
    settings: Mapping[str, RowSetting] | None = None,
) -> dict[str, np.ndarray]:
    """Arguments of a signature with these inputs, a row for each thing that may be wrong.

    `example_names`: features of the texts in `tf.Example`s, the first text's first; `settings`:
    what signatures may take beside the texts.
    """
    if "lengths" in names:
        return token_rows(vocab_size=vocab_size, num_segments=num_segments)
    if list(names) == ["inputs"]:
        return {"inputs": np.array(examples(example_names), object)}
    numbers = tried_columns(names, settings or {}, num_rows=len(TEXTS), with_wrong=True)
    texts = zip((it for it in names if it not in numbers), (TEXTS, TEXTS[::-1]), strict=False)
    return {name: np.array(column, object) for name, column in texts} | numbers


def token_rows(*, vocab_size: int, num_segments: int) -> dict[str, np.ndarray]:
    """`input_ids`, `segment_ids`, `lengths`; the first row is good, but for what is behind it."""
    input_ids = np.full((8, 5), 1, np.int32)
    segment_ids = np.zeros_like(input_ids)
    lengths = np.array([3, 3, 3, 3, 3, 0, -1, _LARGEST], np.int32)
    input_ids[0, 3:] = _LARGEST, -1
    segment_ids[0, 3:] = -1, _LARGEST
    input_ids[1, 0] = -5
    input_ids[2, 2] = vocab_size
    segment_ids[3, 1] = num_segments
    segment_ids[4, 1] = -1
    return {"input_ids": input_ids, "segment_ids": segment_ids, "lengths": lengths}


def examples(names: Sequence[str] = (TEXT, TEXT_PAIR)) -> list[bytes]:
    """Serialised `tf.Example`s: without a text, with several, with numbers in its place."""
    strings = [tf.train.Feature(bytes_list=tf.train.BytesList(value=texts)) for texts in _LISTS]
    numbers = [
        tf.train.Feature(float_list=tf.train.FloatList(value=[1.0])),
        tf.train.Feature(int64_list=tf.train.Int64List(value=[1, 2])),
        tf.train.Feature(),
    ]
    others = {f"other_{number}": numbers[0] for number in range(1000)}
    good = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"good"]))
    columns = [*((it, good) for it in strings + numbers), (good,), (good, numbers[0])]
    features = [{}, others, *(dict(zip(names, it, strict=False)) for it in columns)]
    return [
        tf.train.Example(features=tf.train.Features(feature=it)).SerializeToString()
        for it in features
    ]


_LISTS: tuple[list[bytes], ...] = ([], [b"one", b"two"], [b""], [b"\xff"], [b"x" * 100_000])
