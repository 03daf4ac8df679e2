"""The schema of static records of Google and Model Garden, and the checks of files against it.

A record is a `tf.train.Example`; T and P are the same in all records of a run:

| feature | type | content |
|---|---|---|
| `input_ids` (Model Garden's second names: `input_word_ids`) | int64 (T) | masked, padded with 0 |
| `segment_ids` (`input_type_ids`) | int64 (T) | 0 or 1 |
| `input_mask` | int64 (T) | 1 for tokens, 0 for padding |
| `masked_lm_positions`, `masked_lm_ids` | int64 (P) | what to predict; unused slots are 0 |
| `masked_lm_weights` | float (P) | 1, and 0 for unused slots |
| `next_sentence_labels` | int64, one | 1 = random, 0 = follows; may be absent |
"""

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import tensorflow as tf

from bert_tf.data.batches import epochs
from bert_tf.data.records import MANIFEST_FILE
from bert_tf.system.listing import listed

SECOND_NAMES = {"input_ids": "input_word_ids", "segment_ids": "input_type_ids"}
FLOATS = ("masked_lm_weights",)


@dataclass(frozen=True, kw_only=True)
class StaticRecords:
    """Files of static records, and what all their records have in common."""

    files: tuple[epochs.RecordFile, ...]
    compression: str
    """TensorFlow's name of it."""
    has_second_names: bool
    max_seq_length: int
    max_predictions_per_seq: int
    next_sentence: bool
    vocab_size: int
    """Of the vocabulary that the ids must belong to."""

    @property
    def num_examples(self) -> int:
        """Records of all files."""
        return sum(file.num_examples for file in self.files)


def feature_names(static: StaticRecords) -> dict[str, str]:
    """Our names of the features, and those in the files."""
    ours = ["input_ids", "input_mask", "segment_ids"]
    ours += ["masked_lm_positions", "masked_lm_ids", "masked_lm_weights"]
    ours += ["next_sentence_labels"] if static.next_sentence else []
    return {
        name: SECOND_NAMES.get(name, name) if static.has_second_names else name for name in ours
    }


def feature_sizes(static: StaticRecords) -> dict[str, int]:
    """How many values each feature of the files must have."""
    sizes = {"next_sentence_labels": 1}
    return {
        theirs: sizes.get(
            ours,
            static.max_predictions_per_seq if ours.startswith("masked") else static.max_seq_length,
        )
        for ours, theirs in feature_names(static).items()
    }


def feature_limits(static: StaticRecords) -> dict[str, int]:
    """Our names of the whole-numbered features, and what their values must be below."""
    limits = {"input_ids": static.vocab_size, "masked_lm_ids": static.vocab_size}
    limits["masked_lm_positions"] = static.max_seq_length
    return {name: limits.get(name, 2) for name in feature_names(static) if name not in FLOATS}


def describe(path: Path, record: bytes, compression: str, *, vocab_size: int) -> StaticRecords:
    """What a first record says of all; missing features are left to `fault_of`."""
    try:
        values = _read_values(record)
    except ValueError as error:
        refuse(path, 1, str(error))
    has_second_names = SECOND_NAMES["input_ids"] in values
    return StaticRecords(
        files=(),
        compression=compression,
        has_second_names=has_second_names,
        max_seq_length=len(
            values.get(SECOND_NAMES["input_ids"] if has_second_names else "input_ids", [])
        ),
        max_predictions_per_seq=len(values.get("masked_lm_positions", [])),
        next_sentence="next_sentence_labels" in values,
        vocab_size=vocab_size,
    )


def fault_of(record: bytes, static: StaticRecords, *, cls_id: int | None = None) -> str | None:
    """What a record must have and has not; with `cls_id` also that it begins with it."""
    try:
        values = _read_values(record)
    except ValueError as error:
        return str(error)
    for name, size in feature_sizes(static).items():
        if name not in values:
            others = listed(map(repr, sorted(values)))
            return f"a record must have the feature {name}, but has only [{others}]"
        if len(values[name]) != size or not size:
            return f"{name} must have {size or 'at least 1'} value(s), but has {len(values[name])}"
    for name, limit in feature_limits(static).items():
        for value in values[feature_names(static)[name]]:
            if not 0 <= value < limit:
                return f"{name} must be from 0 to {limit - 1}, but holds {value}"
    if cls_id is not None and values[feature_names(static)["input_ids"]][0] != cls_id:
        return f"a record must begin with [CLS], id {cls_id} of tokenizer.vocabulary"
    return None


def check_file(path: Path, static: StaticRecords) -> None:
    """Raise ValueError for the first record of a file that cannot be used."""
    with whole_file(path):
        records = tf.data.TFRecordDataset(str(path), static.compression).as_numpy_iterator()
        for number in itertools.count(1):
            record = next(records, None)
            if record is None:
                return
            fault = fault_of(record, static)
            if fault:
                refuse(path, number, fault)


def refuse(path: Path, number: int, fault: str) -> NoReturn:
    """Raise ValueError with the file, the number of the record (from 1) and its fault."""
    raise ValueError(
        f"{path}: record {number}: {fault}. Make the file again with the vocabulary of "
        "tokenizer.vocabulary, or leave it out; a folder of `bert-tf prepare` needs its "
        f"{MANIFEST_FILE}."
    )


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[None]:
    """While one file is read: an error of TensorFlow becomes a ValueError with its name."""
    try:
        yield
    except tf.errors.OpError as error:
        raise ValueError(
            f"{path}: a file of records must be a whole TFRecord file. Received: {error.message} "
            "Copy it again."
        ) from error


def _read_values(record: bytes) -> dict[str, list[Any]]:
    try:
        features = tf.train.Example.FromString(record).features.feature
    except Exception as error:  # protobuf's DecodeError, which has no public name
        raise ValueError(f"a record must be a tf.train.Example, but is not: {error}") from error
    return {
        name: list(feature.float_list.value if name in FLOATS else feature.int64_list.value)
        for name, feature in features.items()
    }
