"""Static pretraining records of google-research/bert and tf-models-official in, batches out.

Files of `create_pretraining_data.py`, plain or GZIP, are read as they are; what is in them stands
in `google_schema`. Masks are those of the files, the same in every epoch; order and positioning
are those of `epochs`.
"""

import contextlib
import glob
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from bert_tf.data.batches import epochs, google_schema
from bert_tf.data.batches.google_schema import StaticRecords
from bert_tf.data.batches.ranges import RangeError, check_tensors
from bert_tf.data.records import MANIFEST_FILE, tf_compression
from bert_tf.system.lookalikes import path_hint

GZIP_MAGIC = b"\x1f\x8b\x08"
OUR_FILES = (MANIFEST_FILE, "tokenizer.json", ".prepare")


def is_static(path: str | Path) -> bool:
    """Whether a setting names static records: a file, a glob, or a folder that is not ours."""
    path = Path(path)
    if path.is_dir():
        return not any((path / name).exists() for name in OUR_FILES) and any(_files_in(path))
    return path.is_file() or glob.has_magic(str(path))


def open_static(path: str | Path, *, vocab_size: int, cls_id: int) -> StaticRecords:
    """Find the files, look at the first record of each, and count: one pass that parses nothing.

    A folder's files are those with `tfrecord` or `tf_record` in their names.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file is damaged or empty, lacks a feature, differs from the others, or does
            not begin with [CLS]; it is named.
    """
    paths = _list_files(Path(path))
    compressions = {file: _compression(file) for file in paths}
    firsts = {file: _first_record(file, compressions[file]) for file in paths}
    layout = google_schema.describe(
        paths[0], firsts[paths[0]], compressions[paths[0]], vocab_size=vocab_size
    )
    for file, first in firsts.items():
        if compressions[file] != layout.compression:
            raise ValueError(
                f"{file}: files read together must be all plain or all GZIP. Received: one that "
                f"differs from {paths[0]}. Name them in two runs, or compress them alike."
            )
        fault = google_schema.fault_of(first, layout, cls_id=cls_id)
        if fault:
            google_schema.refuse(file, 1, fault)
    with ThreadPoolExecutor(4) as executor:
        counts = executor.map(_count, paths, [layout.compression] * len(paths))
        files = tuple(map(epochs.RecordFile, map(str, paths), counts))
    return StaticRecords(**(vars(layout) | {"files": files}))


def training_batches(
    static: StaticRecords,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    num_workers: int = 1,
    worker_index: int = 0,
) -> tf.data.Dataset:
    """Endless batches, each a function of (seed, step); elements as of `masked_batches`.

    Reading raises TensorFlow's errors; `damage_named` turns them into ones with a file's name.
    """
    rows = epochs.worker_rows(batch_size, num_workers=num_workers, worker_index=worker_index)
    serialized = epochs.training_records(
        static.files,
        compression=static.compression,
        batch_size=batch_size,
        seed=seed,
        start_step=start_step,
    )
    is_real = tf.ones([batch_size], tf.bool)
    batches = serialized.map(
        lambda step, batch: _make_batch(batch[rows], is_real[rows], static),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return batches.prefetch(tf.data.AUTOTUNE)


def evaluation_batches(
    static: StaticRecords,
    *,
    batch_size: int,
    max_steps: int | None = None,
    num_workers: int = 1,
    worker_index: int = 0,
) -> tf.data.Dataset:
    """One pass in order. The last batch is filled up with copies of weight 0."""
    rows = epochs.worker_rows(batch_size, num_workers=num_workers, worker_index=worker_index)
    serialized = epochs.evaluation_records(
        [file.path for file in static.files],
        compression=static.compression,
        batch_size=batch_size,
        max_steps=max_steps,
    )
    batches = serialized.map(
        lambda step, batch, is_real: _make_batch(batch[rows], is_real[rows], static),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return batches.prefetch(tf.data.AUTOTUNE)


@contextlib.contextmanager
def damage_named(*sets: StaticRecords) -> Iterator[None]:
    """While records are read: TensorFlow's errors and a `RangeError` become a ValueError that names
    file and record."""
    try:
        yield
    except (tf.errors.OpError, RangeError) as error:
        for static in sets:
            for file in static.files:
                try:
                    google_schema.check_file(Path(file.path), static)
                except (OSError, ValueError) as damage:
                    raise damage from error
        raise


def next_sentence_majority(static: StaticRecords) -> dict[str, float]:
    """`next_sentence_majority`, as `masked_batches.baselines`; nothing without labels."""
    if not static.next_sentence:
        return {}
    counts = np.zeros([2], np.int64)
    for batch in evaluation_batches(static, batch_size=1024).as_numpy_iterator():
        is_real = batch["next_sentence_weights"] > 0
        counts += np.bincount(batch["next_sentence_labels"][is_real], minlength=2)
    return {"next_sentence_majority": float(counts.max() / counts.sum())}


def _make_batch(
    serialized: tf.Tensor, is_real: tf.Tensor, static: StaticRecords
) -> dict[str, tf.Tensor]:
    parsed = tf.io.parse_example(
        serialized,
        {
            name: tf.io.FixedLenFeature(
                [size], tf.float32 if name in google_schema.FLOATS else tf.int64
            )
            for name, size in google_schema.feature_sizes(static).items()
        },
    )
    parsed = {ours: parsed[theirs] for ours, theirs in google_schema.feature_names(static).items()}
    parsed = check_tensors(parsed, google_schema.feature_limits(static))
    weights = tf.cast(is_real, tf.float32)
    has_label = weights if static.next_sentence else tf.zeros_like(weights)
    labels = parsed.pop("next_sentence_labels", tf.zeros([tf.size(weights), 1], tf.int64))
    batch = {
        name: value if name in google_schema.FLOATS else tf.cast(value, tf.int32)
        for name, value in parsed.items()
    }
    return {
        **batch,
        "masked_lm_weights": batch["masked_lm_weights"] * weights[:, tf.newaxis],
        "next_sentence_labels": tf.reshape(tf.cast(labels, tf.int32), [is_real.shape[0]]),
        "next_sentence_weights": has_label,
    }


def _list_files(path: Path) -> list[Path]:
    if path.is_dir():
        found = list(_files_in(path))
    elif glob.has_magic(str(path)):
        root = Path(path.anchor)
        found = [match for match in root.glob(str(path.relative_to(root))) if match.is_file()]
    else:
        found = [path] if path.is_file() else []
    if not found:
        raise FileNotFoundError(
            f"{path}: records must be a file, or a folder or glob with such files. Received: none. "
            "Name a folder that `bert-tf prepare` wrote, or files of create_pretraining_data.py."
            f"{path_hint(path)}"
        )
    return sorted(found)


def _files_in(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        is_named_so = "tfrecord" in path.name or "tf_record" in path.name
        if is_named_so and not path.name.startswith(".") and path.is_file():
            yield path


def _compression(path: Path) -> str:
    with path.open("rb") as stream:
        return tf_compression("gzip" if stream.read(3) == GZIP_MAGIC else "none")


def _first_record(path: Path, compression: str) -> bytes:
    with google_schema.whole_file(path):
        for record in tf.data.TFRecordDataset(str(path), compression).as_numpy_iterator():
            return bytes(record)
    raise ValueError(
        f"{path}: a file of records must hold at least one. Received: none. Remove the file."
    )


def _count(path: Path, compression: str) -> int:
    with google_schema.whole_file(path):
        dataset = tf.data.TFRecordDataset(str(path), compression).batch(4096)
        return sum(len(batch) for batch in dataset.as_numpy_iterator())
