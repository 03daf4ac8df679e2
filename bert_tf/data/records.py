"""The schema of pretraining records, written once; shards written whole, and read with checks.

A record is a `tf.train.Example`:

| feature | type | content |
|---|---|---|
| `input_ids` | int64, any length | [CLS] A [SEP] B [SEP], or [CLS] A [SEP]; no padding |
| `segment_ids` | int64, same length | 0 up to the first [SEP], 1 after it |
| `next_sentence_labels` | int64, one | **1 = B does not follow**, 0 = it does; absent without B |

A second part that does not follow is random or, by `examples.negative_pairs`, exchanged with A.

Masks are no part of it: they are made while training. `manifest.json` beside the shards says what
they hold and how they were made.
"""

import concurrent.futures
import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pydantic
import tensorflow as tf

from bert_tf.config import Section
from bert_tf.files import appearing, write_whole

SCHEMA_VERSION = 1
MANIFEST_FILE = "manifest.json"
NO_LABEL = -1
Split = Literal["train", "eval"]


class Example(NamedTuple):
    """One record before it is written."""

    input_ids: list[int]
    segment_ids: list[int]
    next_sentence_label: int | None
    """1 = the second part does not follow (random, or exchanged), 0 = it follows, None = there is
    none."""


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
    num_examples = num_tokens = 0
    options = tf.io.TFRecordOptions(compression_type=tf_compression(compression))
    with appearing(path) as temporary:
        with tf.io.TFRecordWriter(str(temporary), options) as writer:
            for example in examples:
                writer.write(serialize(example))
                num_examples += 1
                num_tokens += len(example.input_ids)
        with temporary.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        num_bytes = temporary.stat().st_size
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
        features += _label_feature(example.next_sentence_label)
    features += _feature(b"segment_ids", example.segment_ids)
    return b"".join((b"\x0a", _varint(len(features)), features))


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
    """The files of a split, in order, each checked to be as it was written.

    Checksums are computed once a process and again after a file was touched; it takes about a
    second a gigabyte and core.

    Raises:
        FileNotFoundError: a shard, or the manifest, is missing.
        ValueError: a shard was cut or overwritten; it is named.
    """
    shards = [shard for shard in read_manifest(directory).shards if shard.split == split]
    paths = [Path(directory) / shard.name for shard in shards]
    for path, shard in zip(paths, shards, strict=True):
        check_shard(path, shard)
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as executor:
        list(executor.map(_check_content_once, paths, [shard.sha256 for shard in shards]))
    return paths


@contextlib.contextmanager
def damage_named(directory: str | Path) -> Iterator[None]:
    """While records are read: a TensorFlow error becomes a ValueError naming the damaged shard.

    For damage that comes after `shard_paths` looked, hours into a training. TFRecord's own sums
    stop the reading, but TensorFlow does not say in which file. Other errors pass.
    """
    try:
        yield
    except tf.errors.OpError as error:
        for shard in read_manifest(directory).shards:
            path = Path(directory) / shard.name
            try:
                check_shard(path, shard)
                _check_content(path, shard.sha256)
            except (OSError, ValueError) as damage:
                raise damage from error
        raise


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


def _check_content_once(path: Path, sha256: str) -> None:
    status = path.stat()
    stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    _check_unchanged_content(path, sha256, stamp)


@functools.lru_cache(maxsize=1 << 16)
def _check_unchanged_content(path: Path, sha256: str, stamp: tuple[int, ...]) -> None:
    del stamp  # Only what the finding is remembered by.
    _check_content(path, sha256)


def _check_content(path: Path, sha256: str) -> None:
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:
        raise ValueError(
            f"{path}: a shard must have the content it was written with, SHA-256 {sha256}. "
            f"Received: {found}. Copy it again, or remove it and manifest.json and run "
            "`bert-tf prepare` again."
        )


def tf_compression(compression: str) -> str:
    """TensorFlow's name of a `records.compression`."""
    return "GZIP" if compression == "gzip" else ""


def _feature(name: bytes, values: list[int]) -> bytes:
    """An entry of `Features.feature`: 1 = name, 2 = Feature{3 = Int64List{1 = packed varints}}.

    In one go, from the inside out: a header is its field's number and the length of what follows.
    """
    packed = bytes(values) if max(values) < 0x80 else _pack(values)
    size = len(packed)
    of_values = b"\x0a" + _varint(size)
    size += len(of_values)
    of_list = b"\x1a" + _varint(size)
    size += len(of_list)
    of_feature = b"\x12" + _varint(size)
    key = _field(1, name)
    size += len(of_feature) + len(key)
    return b"".join((b"\x0a", _varint(size), key, of_feature, of_list, of_values, packed))


@functools.cache
def _label_feature(label: int) -> bytes:
    return _feature(b"next_sentence_labels", [label])


def _pack(values: list[int]) -> bytes:
    try:
        return b"".join(map(_first_varints().__getitem__, values))
    except IndexError:
        return b"".join(map(_varint, values))


@functools.cache
def _first_varints() -> list[bytes]:
    """Of every id of a usual vocabulary: a list is asked twice as fast as a cached function."""
    return list(map(_varint, range(1 << 16)))


@functools.cache
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
