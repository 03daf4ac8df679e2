"""Shards written whole, and read with checks."""

import concurrent.futures
import contextlib
import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import tensorflow as tf

from bert_tf.data.records.example import Examples, serialize
from bert_tf.data.records.manifest import Shard, Split, read_manifest
from bert_tf.system.files import appearing, file_sha256


def shard_name(split: str, index: int, *, num_shards: int) -> str:
    """`train-00000-of-00008.tfrecord`."""
    return f"{split}-{index:05d}-of-{num_shards:05d}.tfrecord"


def write_shard(
    path: str | Path, blocks: Iterable[Examples], *, split: Split, compression: str = "none"
) -> Shard:
    """Write a shard whole or not at all; an existing one is replaced."""
    path = Path(path)
    num_examples = num_tokens = 0
    options = tf.io.TFRecordOptions(compression_type=tf_compression(compression))
    with appearing(path) as temporary:
        with tf.io.TFRecordWriter(str(temporary), options) as writer:
            for examples in blocks:
                for record in serialize(examples):
                    writer.write(record)
                num_examples += len(examples.labels)
                num_tokens += len(examples.input_ids)
        sha256 = file_sha256(temporary)
        num_bytes = temporary.stat().st_size
    return Shard(
        name=path.name,
        split=split,
        num_examples=num_examples,
        num_tokens=num_tokens,
        num_bytes=num_bytes,
        sha256=sha256,
    )


def shard_paths(directory: str | Path, split: str) -> list[Path]:
    """The files of a split, in order, each checked to be as it was written.

    Checksums are computed once a process and again after a file was touched; it takes about a
    second a gigabyte and core.

    Raises:
        FileNotFoundError: a shard, or the manifest, is missing.
        ValueError: a shard was cut or overwritten; it is named.
    """
    shards = read_manifest(directory).shards
    return checked_paths(directory, [shard for shard in shards if shard.split == split])


def checked_paths(directory: str | Path, shards: Sequence[Shard]) -> list[Path]:
    """The files of shards, each checked to be as it was written; errors as of `shard_paths`."""
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
    found = file_sha256(path)
    if found != sha256:
        raise ValueError(
            f"{path}: a shard must have the content it was written with, SHA-256 {sha256}. "
            f"Received: {found}. Copy it again, or remove it and manifest.json and run "
            "`bert-tf prepare` again."
        )


def tf_compression(compression: str) -> str:
    """TensorFlow's name of a `records.compression`."""
    return "GZIP" if compression == "gzip" else ""
