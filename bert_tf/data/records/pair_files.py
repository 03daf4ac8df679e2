"""Pairs of token ids in, a file of them out; the file as arrays that stay on disk.

A file is in the safetensors format. Its arrays, of pairs of a source and a target:

| array | type | content |
|---|---|---|
| `source_ids`, `target_ids` | int32 (tokens) | of all texts in turn, no control tokens |
| `source_splits`, `target_splits` | int64 (pairs + 1) | text t is `ids[splits[t]:splits[t + 1]]` |
| `origins` | int64 (pairs) | which of the manifest's `origins` a pair is of |
| `numbers` | int64 (pairs) | its line or row there, from 1 |
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import safetensors.numpy

from bert_tf.data.records.manifest import Shard, Split
from bert_tf.system.files import appearing, file_sha256

HEADER_BYTES = 8
"""Of the number that says how long the header is, little-endian."""
TYPES: dict[str, np.dtype[Any]] = {"I32": np.dtype("<i4"), "I64": np.dtype("<i8")}


class PairArrays(NamedTuple):
    """Pairs as in the table above."""

    source_ids: np.ndarray
    source_splits: np.ndarray
    target_ids: np.ndarray
    target_splits: np.ndarray
    origins: np.ndarray
    numbers: np.ndarray

    @property
    def num_pairs(self) -> int:
        """Of the file, or of the part."""
        return len(self.numbers)

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """All pairs of all parts, of which there may be none."""
        columns = list(zip(*parts, strict=True)) or [()] * len(cls._fields)
        found = {}
        for name, arrays in zip(cls._fields, columns, strict=True):
            if name.endswith("_splits"):
                lengths = np.concatenate([np.zeros(1, np.int64), *map(np.diff, arrays)])
                found[name] = np.cumsum(lengths)
            else:
                kind = np.int32 if name.endswith("_ids") else np.int64
                found[name] = np.concatenate([np.zeros(0, kind), *arrays])
        return cls(**found)


def pair_file_name(split: str, index: int, *, num_shards: int) -> str:
    """`train-00000-of-00008.safetensors`."""
    return f"{split}-{index:05d}-of-{num_shards:05d}.safetensors"


def write_pair_file(path: str | Path, arrays: PairArrays, *, split: Split) -> Shard:
    """Write a file whole or not at all; an existing one is replaced."""
    path = Path(path)
    with appearing(path) as temporary:
        safetensors.numpy.save_file(arrays._asdict(), temporary)
        sha256 = file_sha256(temporary)
        num_bytes = temporary.stat().st_size
    return Shard(
        name=path.name,
        split=split,
        num_examples=arrays.num_pairs,
        num_tokens=len(arrays.source_ids) + len(arrays.target_ids),
        num_bytes=num_bytes,
        sha256=sha256,
    )


def map_pair_file(path: str | Path) -> PairArrays:
    """The arrays of a file, which are read where they are looked at."""
    path = Path(path)
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(HEADER_BYTES), "little")
        header = json.loads(stream.read(size))
    start = HEADER_BYTES + size
    found: dict[str, np.ndarray] = {}
    for name in PairArrays._fields:
        kind, (begin, end) = TYPES[header[name]["dtype"]], header[name]["data_offsets"]
        if end > begin:
            shape = ((end - begin) // kind.itemsize,)
            found[name] = np.memmap(path, kind, "r", offset=start + begin, shape=shape)
        else:  # what is empty cannot be mapped
            found[name] = np.zeros(0, kind)
    return PairArrays(**found)
