"""The schema of pretraining records, written once; shards written whole, and read with checks.

A record is a `tf.train.Example`:

| feature | type | content |
|---|---|---|
| `input_ids` | int64, any length | [CLS] A [SEP] B [SEP], or [CLS] A [SEP]; no padding |
| `segment_ids` | int64, same length | 0 up to the first [SEP], 1 after it |
| `next_sentence_labels` | int64, one | **1 = B is random**, 0 = B follows A; absent without B |

Masks are no part of it: they are made while training. `manifest.json` beside the shards says what
they hold and how they were made.
"""

import functools
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pydantic
import tensorflow as tf

from bert_tf.config import Section
from bert_tf.files import write_whole

SCHEMA_VERSION = 1
MANIFEST_FILE = "manifest.json"
NO_LABEL = -1
Split = Literal["train", "eval"]


class Example(NamedTuple):
    """One record before it is written."""

    input_ids: list[int]
    segment_ids: list[int]
    next_sentence_label: int | None
    """1 = the second part is random, 0 = it follows, None = there is no second part."""


class Shard(Section):
    """One finished file."""

    name: str
    split: Split
    num_examples: int
    num_tokens: int
    num_bytes: int
    sha256: str


class Manifest(Section):
    """What a records folder holds. `plan` is all that the records are a function of."""

    schema_version: int
    plan: dict[str, Any]
    num_documents: dict[Split, int]
    shards: tuple[Shard, ...]

    @property
    def max_seq_length(self) -> int:
        """The length that the records were made for."""
        return int(self.plan["examples"]["max_seq_length"])

    @property
    def next_sentence(self) -> bool:
        """Whether the records carry next-sentence labels."""
        return bool(self.plan["examples"]["next_sentence"])

    @property
    def compression(self) -> str:
        """`none` or `gzip`."""
        return str(self.plan["records"]["compression"])

    @property
    def vocabulary_sha256(self) -> str:
        """Of the `vocab.txt` that the ids belong to."""
        return str(self.plan["tokenizer"]["vocabulary_sha256"])

    def num_examples(self, split: str) -> int:
        """Records of a split."""
        return sum(shard.num_examples for shard in self.shards if shard.split == split)

    def num_tokens(self, split: str) -> int:
        """Tokens of a split, [CLS] and [SEP] included."""
        return sum(shard.num_tokens for shard in self.shards if shard.split == split)


def shard_name(split: str, index: int, *, num_shards: int) -> str:
    """`train-00000-of-00008.tfrecord`."""
    return f"{split}-{index:05d}-of-{num_shards:05d}.tfrecord"


def write_shard(
    path: str | Path, examples: Iterable[Example], *, split: Split, compression: str = "none"
) -> Shard:
    """Write a shard whole or not at all; an existing one is replaced."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    num_examples = num_tokens = 0
    try:
        options = tf.io.TFRecordOptions(compression_type=tf_compression(compression))
        with tf.io.TFRecordWriter(str(temporary), options) as writer:
            for example in examples:
                writer.write(serialize(example))
                num_examples += 1
                num_tokens += len(example.input_ids)
        with temporary.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        num_bytes = temporary.stat().st_size
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return Shard(
        name=path.name,
        split=split,
        num_examples=num_examples,
        num_tokens=num_tokens,
        num_bytes=num_bytes,
        sha256=sha256,
    )


def serialize(example: Example) -> bytes:
    """The bytes of one record, a `tf.train.Example`.

    Written field by field: building the message objects took a third of all preparation.
    """
    features = _feature(b"input_ids", example.input_ids)
    if example.next_sentence_label is not None:
        features += _feature(b"next_sentence_labels", [example.next_sentence_label])
    features += _feature(b"segment_ids", example.segment_ids)
    return _field(1, features)


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
        "input_ids": tf.cast(features["input_ids"], tf.int32),
        "segment_ids": tf.cast(features["segment_ids"], tf.int32),
        "next_sentence_labels": tf.cast(features["next_sentence_labels"][:, 0], tf.int32),
    }


def write_manifest(manifest: Manifest, directory: str | Path) -> Path:
    """Write `manifest.json`, whole or not at all. It is written last: with it, records are done."""
    return write_whole(Path(directory) / MANIFEST_FILE, manifest.model_dump_json(indent=2) + "\n")


def read_manifest(directory: str | Path) -> Manifest:
    """The manifest of a records folder.

    Raises:
        FileNotFoundError: there is none: never prepared, or interrupted.
        ValueError: it is damaged, or of another schema version.
    """
    path = Path(directory) / MANIFEST_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: prepared records must have a manifest. Received: no such file. "
            "Run `bert-tf prepare` with this output folder; after an interruption it goes on."
        )
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        version = tree.get("schema_version")
        if version != SCHEMA_VERSION:
            raise ValueError(
                f"{path}: records must have schema version {SCHEMA_VERSION}. Received: {version}. "
                "Prepare them again with this version of the package."
            )
        return Manifest.model_validate(tree)
    except (json.JSONDecodeError, AttributeError, pydantic.ValidationError) as error:
        raise ValueError(
            f"{path}: a manifest must be as `bert-tf prepare` wrote it. Received: {error}. "
            "Prepare the records again."
        ) from error


def shard_paths(directory: str | Path, split: str) -> list[Path]:
    """The files of a split, in order, each checked to be there with the size it was written with.

    Raises:
        FileNotFoundError: a shard, or the manifest, is missing.
        ValueError: a shard has another size: it was cut or overwritten.
    """
    paths = []
    for shard in read_manifest(directory).shards:
        if shard.split == split:
            path = Path(directory) / shard.name
            check_shard(path, shard)
            paths.append(path)
    return paths


def check_shard(path: Path, shard: Shard) -> None:
    """Raise FileNotFoundError or ValueError unless `path` has the size in `shard`."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: every shard of the manifest must exist. Received: no such file. "
            "Copy it again, or remove manifest.json and run `bert-tf prepare` again."
        )
    num_bytes = path.stat().st_size
    if num_bytes != shard.num_bytes:
        raise ValueError(
            f"{path}: a shard must have the {shard.num_bytes} bytes it was written with. Received: "
            f"{num_bytes}. Copy it again, or remove manifest.json and run `bert-tf prepare` again."
        )


def tf_compression(compression: str) -> str:
    """TensorFlow's name of a `records.compression`."""
    return "GZIP" if compression == "gzip" else ""


def _feature(name: bytes, values: list[int]) -> bytes:
    """An entry of `Features.feature`: 1 = name, 2 = Feature{3 = Int64List{1 = packed varints}}."""
    packed = bytes(values) if max(values) < 0x80 else b"".join(map(_varint, values))
    return _field(1, _field(1, name) + _field(2, _field(3, _field(1, packed))))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field of a protocol buffer."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


@functools.cache
def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; a set high bit means that more follow."""
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    content.append(value)
    return bytes(content)
