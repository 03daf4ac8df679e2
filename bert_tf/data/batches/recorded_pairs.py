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
from bert_tf.data.text.tokenizer import Tokenizer


class StoredTokens:
    """`Tokens` of the texts of one side in files, to which they were dealt in turn."""

    def __init__(self, ids: Sequence[np.ndarray], splits: Sequence[np.ndarray]) -> None:
        """`ids`: of each file, int32; `splits`: int64, see `pair_files`."""
        self._ids = ids
        num_texts = sum(len(of_file) - 1 for of_file in splits)
        self._starts, self.lengths = np.zeros(num_texts, np.int64), np.zeros(num_texts, np.int64)
        for file, of_file in enumerate(splits):
            self._starts[file :: len(ids)] = of_file[:-1]
            self.lengths[file :: len(ids)] = np.diff(of_file)

    def take(self, rows: tf.Tensor) -> tf.RaggedTensor:
        """See `Tokens`."""
        values, lengths = tf.numpy_function(self._read, [rows], [tf.int32, tf.int64])
        values, lengths = tf.ensure_shape(values, [None]), tf.ensure_shape(lengths, [None])
        return tf.RaggedTensor.from_row_lengths(values, lengths, validate=False)

    def _read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        starts, lengths = self._starts[rows], self.lengths[rows]
        texts = [
            self._ids[file][start : start + length]
            for file, start, length in zip(rows % len(self._ids), starts, lengths, strict=True)
        ]
        return np.concatenate([np.zeros(0, np.int32), *texts]), lengths


class RecordedPairs(NamedTuple):
    """The pairs of a split, in the order in which they were read, whatever the number of shards."""

    sources: StoredTokens
    targets: StoredTokens
    where: Callable[[int], str]
    """The place that a pair was read at."""
    manifest: ParallelManifest


def open_recorded_pairs(
    directory: str | Path, split: records.Split, *, tokenizer: Tokenizer
) -> RecordedPairs:
    """The pairs that `bert-tf prepare` wrote.

    Raises:
        FileNotFoundError: there is no such folder, or a file is missing.
        ValueError: a file is not as it was written, there is no pair of the split, or the records
            were made with another vocabulary, or other settings of its tokenizer.
    """
    manifest = read_parallel_manifest(directory)
    _check_tokenizer(directory, manifest, tokenizer)
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


def _check_tokenizer(
    directory: str | Path, manifest: ParallelManifest, tokenizer: Tokenizer
) -> None:
    if manifest.vocabulary_sha256 != tokenizer.vocabulary_sha256:
        raise ValueError(
            f"{directory}: records must be made with the model's vocabulary, SHA-256 "
            f"{tokenizer.vocabulary_sha256}. Received: {manifest.vocabulary_sha256}. Prepare them "
            "again with it as tokenizer.vocabulary."
        )
    stored = manifest.plan["tokenizer"]
    for name, wanted in tokenizer.settings.items():
        if stored.get(name) != wanted:
            raise ValueError(
                f"{directory}: records must be made with the model's tokenizer, whose {name} is "
                f"{wanted}. Received: {stored.get(name)}. Prepare them again with "
                f"tokenizer.{name}={wanted}."
            )


def _places(manifest: ParallelManifest, files: Sequence[PairArrays]) -> Callable[[int], str]:
    def where(row: int) -> str:
        place, file = divmod(row, len(files))
        origin = manifest.origins[int(files[file].origins[place])]
        number = int(files[file].numbers[place])
        return f"{origin.name}:{number}" if origin.has_lines else f"{origin.name}:row {number}"

    return where
