"""Records in, batches out: training batches from any step on, evaluation batches, the baseline.

Records come in the order of `epochs`; masks follow from (seed, step) by stateless operations. So a
run that stopped goes on with the batches it would have seen, and several workers, each of which
makes its own rows of every batch, see together what one would.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.config import MaskingConfig
from bert_tf.data import records
from bert_tf.data.batches import epochs
from bert_tf.data.batches import masking as masks
from bert_tf.data.batches.ranges import check_tensors
from bert_tf.data.seeds import derive_seed
from bert_tf.data.text.tokenizer import Tokenizer


def training_batches(
    records_dir: str | Path,
    *,
    batch_size: int,
    max_seq_length: int | None = None,
    masking: MaskingConfig,
    seed: int,
    start_step: int = 0,
    num_workers: int = 1,
    worker_index: int = 0,
    tokenizer: Tokenizer | None = None,
) -> tf.data.Dataset:
    """Endless batches; the first is that of `start_step`. Each is a function of (seed, step).

    Every example is seen once an epoch; a batch may hold the end of one epoch and the start of
    the next. `batch_size` is that of all workers together; a worker gets its B = `batch_size` /
    `num_workers` rows. T, P: `max_seq_length` (default: that of the records), predictions.

    Elements: `input_ids`, `input_mask`, `segment_ids` int32 (B, T); `masked_lm_positions`,
    `masked_lm_ids` int32 (B, P); `masked_lm_weights` float32 (B, P); `next_sentence_labels` int32
    (B), 1 = does not follow; `next_sentence_weights` float32 (B), 0 where there are no labels.

    Args:
        tokenizer: the records' own, where it has been read already.

    Raises:
        FileNotFoundError, ValueError: the records are missing or damaged, see
            `records.shard_paths`, or are longer than `max_seq_length`, or the batch cannot be
            dealt to the workers.
    """
    manifest = records.read_manifest(records_dir)
    counts = [shard.num_examples for shard in manifest.shards if shard.split == "train"]
    files = list(map(epochs.RecordFile, _paths(records_dir, "train"), counts))
    make_batch = _batch_maker(
        records_dir,
        max_seq_length=_sequence_length(records_dir, manifest, max_seq_length=max_seq_length),
        masking=masking,
        seed=derive_seed(seed, "training masks"),
        rows=epochs.worker_rows(batch_size, num_workers=num_workers, worker_index=worker_index),
        tokenizer=tokenizer,
    )
    serialized = epochs.training_records(
        files,
        compression=records.tf_compression(manifest.compression),
        batch_size=batch_size,
        seed=seed,
        start_step=start_step,
    )
    is_real = tf.ones([batch_size], tf.bool)
    batches = serialized.map(
        lambda step, batch: make_batch(step, batch, is_real),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return batches.prefetch(tf.data.AUTOTUNE)


def evaluation_batches(
    records_dir: str | Path,
    *,
    batch_size: int,
    masking: MaskingConfig,
    seed: int,
    max_steps: int | None = None,
    num_workers: int = 1,
    worker_index: int = 0,
    tokenizer: Tokenizer | None = None,
) -> tf.data.Dataset:
    """One pass over the held-out records, in order, with the same masks every time.

    Elements as `training_batches`. The last batch is filled up with copies of weight 0.

    Raises:
        ValueError: there are no held-out records, or the batch cannot be dealt to the workers.
    """
    manifest = records.read_manifest(records_dir)
    if not manifest.num_examples("eval"):
        raise ValueError(
            f"{records_dir}: evaluation needs held-out records. Received: none. Prepare them with "
            "corpus.held_out_share above 0 (or higher: no document may have been drawn)."
        )
    make_batch = _batch_maker(
        records_dir,
        max_seq_length=manifest.max_seq_length,
        masking=masking,
        seed=derive_seed(seed, "evaluation masks"),
        rows=epochs.worker_rows(batch_size, num_workers=num_workers, worker_index=worker_index),
        tokenizer=tokenizer,
    )

    serialized = epochs.evaluation_records(
        _paths(records_dir, "eval"),
        compression=records.tf_compression(manifest.compression),
        batch_size=batch_size,
        max_steps=max_steps,
    )
    batches = serialized.map(make_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.prefetch(tf.data.AUTOTUNE)


def baselines(
    records_dir: str | Path,
    split: records.Split = "eval",
    *,
    tokenizer: Tokenizer | None = None,
) -> dict[str, float]:
    """What guessing reaches: `unigram_entropy` (nats), and `next_sentence_majority`, the accuracy
    of always giving the more frequent answer, where the records have labels."""
    found = {"unigram_entropy": unigram_entropy(records_dir, split, tokenizer=tokenizer)}
    manifest = records.read_manifest(records_dir)
    if manifest.next_sentence:
        compression = records.tf_compression(manifest.compression)
        serialized = tf.data.TFRecordDataset(_paths(records_dir, split), compression).batch(4096)
        parsed = serialized.map(lambda batch: records.parse(batch)["next_sentence_labels"])
        labels = np.concatenate([batch.numpy().ravel() for batch in parsed])
        counts = np.bincount(labels[labels != records.NO_LABEL], minlength=2)
        if counts.sum():  # exchanged pairs of single sentences have none
            found["next_sentence_majority"] = float(counts.max() / counts.sum())
    return found


def unigram_entropy(
    records_dir: str | Path,
    split: records.Split = "eval",
    *,
    tokenizer: Tokenizer | None = None,
) -> float:
    """Nats a token for guessing by frequency alone: what a masked-LM loss must beat.

    Cross-entropy of the split's tokens under the training split's frequencies, one added to each
    count; [PAD], [CLS], [SEP] and [MASK] are left out.
    """
    tokenizer = tokenizer or Tokenizer.load(records_dir)
    vocab_size = tokenizer.vocab_size
    is_text = ~np.isin(np.arange(vocab_size), tokenizer.special_ids)
    train = _token_counts(records_dir, "train", vocab_size=vocab_size)[is_text] + 1
    counts = _token_counts(records_dir, split, vocab_size=vocab_size)[is_text]
    if not counts.sum():
        raise ValueError(
            f"{records_dir}: an entropy needs tokens. Received: none in split {split!r}. "
            "Prepare the records with corpus.held_out_share above 0."
        )
    log_probabilities = np.log(train) - math.log(train.sum())
    return float(-(counts * log_probabilities).sum() / counts.sum())


def _batch_maker(
    records_dir: str | Path,
    *,
    max_seq_length: int,
    masking: MaskingConfig,
    seed: int,
    rows: slice,
    tokenizer: Tokenizer | None,
) -> Any:
    """A function of (step, serialized records of the whole batch, which of them are real)."""
    tokenizer = tokenizer or Tokenizer.load(records_dir)
    vocab_size, pad_id = tokenizer.vocab_size, tokenizer.pad_id
    special_ids, mask_id = tokenizer.special_ids, tokenizer.mask_id
    is_continuation = tokenizer.continues_word.tolist()
    shape = [rows.stop - rows.start, max_seq_length]

    def mask(input_ids: tf.Tensor, input_mask: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        return masks.mask_tokens(
            input_ids,
            input_mask,
            config=masking,
            seed=tf.stack([tf.constant(seed, tf.int64), step]),
            vocab_size=vocab_size,
            special_ids=special_ids,
            mask_id=mask_id,
            is_continuation=is_continuation,
            first_row=rows.start,
        )

    def make_batch(
        step: tf.Tensor, serialized: tf.Tensor, is_real: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        parsed = records.parse(serialized[rows])
        input_ids = parsed["input_ids"].to_tensor(pad_id, shape=shape)
        checked = check_tensors({"input_ids": input_ids}, {"input_ids": vocab_size})
        input_mask = tf.sequence_mask(
            parsed["input_ids"].row_lengths(), max_seq_length, dtype=tf.int32
        )
        masked = mask(checked["input_ids"], input_mask, step)  # which looks them up
        weights = tf.cast(is_real[rows], tf.float32)
        labels = parsed["next_sentence_labels"]
        is_labelled = tf.not_equal(labels, records.NO_LABEL)
        return {
            **masked,
            "input_mask": input_mask,
            "segment_ids": parsed["segment_ids"].to_tensor(0, shape=shape),
            "masked_lm_weights": masked["masked_lm_weights"] * weights[:, tf.newaxis],
            "next_sentence_labels": tf.where(is_labelled, labels, 0),
            "next_sentence_weights": tf.cast(is_labelled, tf.float32) * weights,
        }

    return make_batch


def _sequence_length(
    records_dir: str | Path, manifest: records.Manifest, *, max_seq_length: int | None
) -> int:
    if max_seq_length is None:
        return manifest.max_seq_length
    if max_seq_length < manifest.max_seq_length:
        raise ValueError(
            f"{records_dir}: max_seq_length must be at least that of the records, "
            f"{manifest.max_seq_length}. Received: {max_seq_length}. Prepare records with "
            f"examples.max_seq_length={max_seq_length}."
        )
    return max_seq_length


def _paths(records_dir: str | Path, split: records.Split) -> list[str]:
    return [str(path) for path in records.shard_paths(records_dir, split)]


def _token_counts(
    records_dir: str | Path, split: records.Split, *, vocab_size: int
) -> np.ndarray[Any, np.dtype[np.int64]]:
    paths = _paths(records_dir, split)
    counts = np.zeros([vocab_size], np.int64)
    if not paths:
        return counts
    compression = records.tf_compression(records.read_manifest(records_dir).compression)
    serialized = tf.data.TFRecordDataset(paths, compression).batch(4096)
    ids = serialized.map(
        lambda batch: records.parse(batch)["input_ids"].values, num_parallel_calls=tf.data.AUTOTUNE
    )
    for batch in ids:
        counts += np.bincount(batch.numpy(), minlength=vocab_size)
    return counts
