"""Pairs in, a spool file for each future shard out; that file in, a finished file of pairs out.

A line of a spool file is a pair as JSON: source, target, number of its origin, its number there.
The pairs of a shard keep their order: nothing in it depends on process, time or attempts.
"""

import functools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from bert_tf.config import TokenizerConfig
from bert_tf.data import records
from bert_tf.data.preparation.growing_file import GrowingFile
from bert_tf.data.preparation.shards import SpooledTask, load_tokenizer
from bert_tf.data.preparation.spool import BUFFER_BYTES, SPOOLED_FILE, spool_path
from bert_tf.data.records.pair_files import PairArrays, write_pair_file

PAIRS_AT_ONCE = 1 << 12


class Pair(NamedTuple):
    """A pair and where it stands."""

    source: str
    target: str
    origin: int
    number: int


class PairPile:
    """Pairs of a split, dealt to its spool files in turn."""

    def __init__(self, directory: Path, split: records.Split, *, num_files: int) -> None:
        self.num_dealt = 0
        self._held: list[bytes] = []
        self._num_bytes = 0
        self._paths = [spool_path(directory, split, index) for index in range(num_files)]
        for path in self._paths:
            path.write_bytes(b"")

    def add(self, pair: Pair) -> None:
        """Deal a pair; it may be held for a while."""
        line = json.dumps(pair, ensure_ascii=False).encode() + b"\n"
        self._held.append(line)
        self._num_bytes += len(line)
        if self._num_bytes >= BUFFER_BYTES * len(self._paths):
            self.flush()

    def flush(self) -> None:
        """Write what is held. Files are closed again: how many may be open is bounded."""
        num_files = len(self._paths)
        for index, path in enumerate(self._paths):
            share = self._held[(index - self.num_dealt) % num_files :: num_files]
            with path.open("ab") as stream:
                stream.writelines(share)
        self.num_dealt += len(self._held)
        self._held.clear()
        self._num_bytes = 0


@dataclass(frozen=True, kw_only=True)
class PairShardTask(SpooledTask):
    """All that one file of pairs depends on."""

    def write(self, *, is_growing: bool = False) -> records.Shard:
        """Make the file, in memory before it is written: 4 bytes a token and 32 a pair."""
        encode = _encoder(
            self.tokenizer_dir,
            settings=self.tokenizer,
            vocabulary_sha256=self.vocabulary_sha256,
        )
        pairs = _read_pairs(self.spool_path, is_growing=is_growing)
        arrays = PairArrays.joined(_encoded(some, encode) for some in pairs)
        return write_pair_file(self.shard_path, arrays, split=self.split)


def _read_pairs(path: Path, *, is_growing: bool) -> Iterator[list[Pair]]:
    """The pairs of a spool file, some at a time; of one that grows when they are there."""
    with (
        GrowingFile(path, end_mark=path.with_name(SPOOLED_FILE)) if is_growing else path.open("rb")
    ) as stream:
        held: list[Pair] = []
        while line := stream.readline():
            held.append(Pair(*json.loads(line)))
            if len(held) == PAIRS_AT_ONCE:
                yield held
                held = []
    if held:
        yield held


def _encoded(pairs: Iterable[Pair], encode: Any) -> PairArrays:
    sources, targets, origins, numbers = zip(*pairs, strict=True)
    (source_ids, source_splits), (target_ids, target_splits) = (
        encode(tf.constant(texts, tf.string)) for texts in (sources, targets)
    )
    return PairArrays(
        source_ids.numpy(),
        source_splits.numpy(),
        target_ids.numpy(),
        target_splits.numpy(),
        np.array(origins, np.int64),
        np.array(numbers, np.int64),
    )


@functools.lru_cache(maxsize=1)
def _encoder(directory: Path, *, settings: TokenizerConfig, vocabulary_sha256: str) -> Any:
    tokenizer = load_tokenizer(directory, settings=settings, vocabulary_sha256=vocabulary_sha256)

    def encode(texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ids = tokenizer.tokenize(texts)
        return ids.values, ids.row_splits

    signature = [tf.TensorSpec([None], tf.string)]
    return tf.function(encode, input_signature=signature, autograph=False)
