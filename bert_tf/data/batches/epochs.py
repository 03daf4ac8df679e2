"""Files of records in, an endless stream of batches of them in a shuffled order out.

Order of an epoch: files permuted, `MAX_OPEN_FILES` of them at a time read in turn record by record,
and the stream shuffled within windows of `SHUFFLE_WINDOW`. All of it follows from (seed, step) by
stateless operations. To start at a step, whole groups of files before it are left out, and of the
group that it falls into records are skipped without being read: only their lengths are.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from bert_tf.data.seeds import derive_seed

SHUFFLE_WINDOW = 16384
MAX_OPEN_FILES = 16


class RecordFile(NamedTuple):
    """A TFRecord file and how many records it holds."""

    path: str
    num_examples: int


def training_records(
    files: Sequence[RecordFile], *, compression: str, batch_size: int, seed: int, start_step: int
) -> tf.data.Dataset:
    """Endless (step, serialized records) from `start_step` on: int64 scalar, string (batch).

    Every record is seen once an epoch; a batch may hold the end of one epoch and the start of the
    next. `compression`: TensorFlow's name of it, see `records.tf_compression`.
    """
    num_examples = sum(file.num_examples for file in files)
    first_epoch, first_record = divmod(start_step * batch_size, num_examples)

    def epoch_records(epoch: tf.Tensor) -> tf.data.Dataset:
        start = tf.where(epoch == first_epoch, tf.constant(first_record, tf.int64), 0)
        return _shuffled_epoch(files, compression=compression, seed=seed, epoch=epoch, start=start)

    windows = tf.data.Dataset.counter(first_epoch).flat_map(epoch_records)
    # A window is read while the one before is used: reading it at once takes as long as many steps.
    serialized = windows.prefetch(1).rebatch(batch_size, drop_remainder=True)
    return tf.data.Dataset.zip(tf.data.Dataset.counter(start_step), serialized)


def evaluation_records(
    paths: Sequence[str], *, compression: str, batch_size: int, max_steps: int | None
) -> tf.data.Dataset:
    """One pass in order: (step, serialized, is_real), int64 scalar, string and bool (batch).

    The last batch is filled up with copies that are not real.
    """
    serialized = tf.data.TFRecordDataset(list(paths), compression).batch(batch_size)
    if max_steps is not None:
        serialized = serialized.take(max_steps)

    def fill(step: tf.Tensor, batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        num_real = tf.size(batch)
        rows = tf.range(batch_size)
        return step, tf.gather(batch, tf.minimum(rows, num_real - 1)), rows < num_real

    return serialized.enumerate().map(fill)


def worker_rows(batch_size: int, *, num_workers: int, worker_index: int) -> slice:
    """The rows of a global batch that are a worker's: together all, none twice.

    Raises:
        ValueError: the batch cannot be dealt evenly, or there is no such worker.
    """
    if batch_size % num_workers:
        raise ValueError(
            "batch_size must be a multiple of num_workers. Received: "
            f"batch_size={batch_size}, num_workers={num_workers}. Use a multiple of {num_workers}."
        )
    if not 0 <= worker_index < num_workers:
        raise ValueError(
            f"worker_index must be from 0 to num_workers - 1 = {num_workers - 1}. Received: "
            f"{worker_index}. Number the workers from 0."
        )
    num_rows = batch_size // num_workers
    return slice(worker_index * num_rows, (worker_index + 1) * num_rows)


def _shuffled_epoch(
    files: Sequence[RecordFile], *, compression: str, seed: int, epoch: tf.Tensor, start: tf.Tensor
) -> tf.data.Dataset:
    """Windows of serialized records of an epoch in its order, from record `start` on.

    `Dataset.shuffle` is not used: it mixes in TensorFlow's global seed and cannot be positioned.
    """
    file_seed, window_seed = derive_seed(seed, "shards"), derive_seed(seed, "windows")
    order = tf.random.experimental.stateless_shuffle(
        tf.range(len(files)), seed=tf.stack([tf.constant(file_seed, tf.int64), epoch])
    )
    paths = tf.gather([file.path for file in files], order)
    counts = tf.gather(tf.constant([file.num_examples for file in files], tf.int64), order)
    first_window = start // SHUFFLE_WINDOW
    serialized = _read(
        paths, counts, compression=compression, start=first_window * SHUFFLE_WINDOW
    ).batch(SHUFFLE_WINDOW)

    def shuffle(index: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
        # Bits of its own for the window's number: no two windows of any epoch share a seed.
        window_in_run = tf.bitwise.left_shift(epoch, 32) + index
        shuffled = tf.random.experimental.stateless_shuffle(
            window, seed=tf.stack([tf.constant(window_seed, tf.int64), window_in_run])
        )
        num_seen = tf.where(index == first_window, start % SHUFFLE_WINDOW, 0)
        return shuffled[num_seen:]

    indices = tf.data.Dataset.range(first_window, tf.int64.max)
    return tf.data.Dataset.zip(indices, serialized).map(shuffle)


def _read(
    paths: tf.Tensor, counts: tf.Tensor, *, compression: str, start: tf.Tensor
) -> tf.data.Dataset:
    """Serialized records from number `start` on; groups of files before it are not opened."""
    ends = tf.cumsum(counts)[MAX_OPEN_FILES - 1 :: MAX_OPEN_FILES]  # Of all groups that are full.
    first_group = tf.searchsorted(ends, [start], side="right", out_type=tf.int64)[0]
    first_path = first_group * MAX_OPEN_FILES
    num_skipped = start - tf.reduce_sum(counts[:first_path])

    def read_group(index: tf.Tensor, group: tf.Tensor) -> tf.data.Dataset:
        records = tf.data.Dataset.from_tensor_slices(group).interleave(
            lambda path: tf.data.TFRecordDataset(path, compression),
            cycle_length=MAX_OPEN_FILES,
            block_length=1,
        )
        return records.skip(tf.where(index == 0, num_skipped, 0))

    groups = tf.data.Dataset.from_tensor_slices(paths[first_path:]).batch(MAX_OPEN_FILES)
    return groups.enumerate().flat_map(read_group)
