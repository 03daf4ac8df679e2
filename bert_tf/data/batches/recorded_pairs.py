"""A folder of records of pairs in, their tokens for batches out; they stay on disk.

Held in memory: 32 bytes a pair, and what the plan of the batches takes. Rows of a batch are read
where they lie, by memory mapping.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from bert_tf.data import records
from bert_tf.data.records.pair_files import PairArrays, map_pair_file
from bert_tf.data.records.parallel_manifest import (
    ParallelManifest,
    pair_file_paths,
    read_parallel_manifest,
)


class StoredTokens:
    """`Tokens` of the texts of one side in files."""

    def __init__(self, ids: Sequence[np.ndarray], splits: Sequence[np.ndarray]) -> None:
        """`ids`: of each file, int32; `splits`: int64, see `pair_files`."""
        self._ids = ids
        self._starts = np.concatenate([np.asarray(of_file[:-1]) for of_file in splits])
        self.lengths = np.concatenate([np.diff(of_file) for of_file in splits])
        self._first_rows = np.cumsum([0, *(len(of_file) - 1 for of_file in splits)])

    def take(self, rows: tf.Tensor) -> tf.RaggedTensor:
        """See `Tokens`."""
        values, lengths = tf.numpy_function(self._read, [rows], [tf.int32, tf.int64])
        values, lengths = tf.ensure_shape(values, [None]), tf.ensure_shape(lengths, [None])
        return tf.RaggedTensor.from_row_lengths(values, lengths, validate=False)

    def _read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        files = np.searchsorted(self._first_rows, rows, side="right") - 1
        starts, lengths = self._starts[rows], self.lengths[rows]
        texts = [
            self._ids[file][start : start + length]
            for file, start, length in zip(files, starts, lengths, strict=True)
        ]
        return np.concatenate([np.zeros(0, np.int32), *texts]), lengths


class RecordedPairs(NamedTuple):
    """The pairs of a split."""

    sources: StoredTokens
    targets: StoredTokens
    where: Callable[[int], str]
    """The place that a pair was read at."""
    manifest: ParallelManifest


def open_recorded_pairs(
    directory: str | Path, split: records.Split, *, vocabulary_sha256: str
) -> RecordedPairs:
    """The pairs that `bert-tf prepare` wrote.

    Raises:
        FileNotFoundError: there is no such folder, or a file is missing.
        ValueError: a file is not as it was written, there is no pair of the split, or the records
            were made with another vocabulary.
    """
    manifest = read_parallel_manifest(directory)
    if manifest.vocabulary_sha256 != vocabulary_sha256:
        raise ValueError(
            f"{directory}: records must be made with the model's vocabulary, SHA-256 "
            f"{vocabulary_sha256}. Received: {manifest.vocabulary_sha256}. Prepare them again with "
            "it as tokenizer.vocabulary."
        )
    files = [map_pair_file(path) for path in pair_file_paths(directory, split)]
    if not files:
        raise ValueError(
            f"{directory}: records must have pairs of the split {split!r}. Received: none. Prepare "
            "them with parallel.held_out_share above 0."
        )
    return RecordedPairs(
        StoredTokens([it.source_ids for it in files], [it.source_splits for it in files]),
        StoredTokens([it.target_ids for it in files], [it.target_splits for it in files]),
        _places(manifest, files),
        manifest,
    )


def _places(manifest: ParallelManifest, files: Sequence[PairArrays]) -> Callable[[int], str]:
    first_rows = np.cumsum([0, *(it.num_pairs for it in files)])

    def where(row: int) -> str:
        file = int(np.searchsorted(first_rows, row, side="right")) - 1
        place = row - int(first_rows[file])
        origin = manifest.origins[int(files[file].origins[place])]
        number = int(files[file].numbers[place])
        return f"{origin.name}:{number}" if origin.has_lines else f"{origin.name}:row {number}"

    return where
