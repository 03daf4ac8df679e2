"""Records of either kind in, prepared here or static, what training and evaluation need out."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from bert_tf.config import MaskingConfig
from bert_tf.data import records
from bert_tf.data.batches import google_records, masked_batches
from bert_tf.data.batches.google_schema import StaticRecords
from bert_tf.data.text.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class OpenedRecords:
    """Pretraining records and how they become batches."""

    max_seq_length: int
    next_sentence: bool
    tokenizer: Tokenizer
    plan: dict[str, Any]
    """What the batches are a function of, besides the settings of training."""
    train_batches: Callable[..., tf.data.Dataset]
    """Takes batch_size, seed, start_step, num_workers, worker_index."""
    eval_batches: Callable[..., tf.data.Dataset] | None
    """Takes batch_size, seed, max_steps, num_workers, worker_index. None: nothing is held out."""
    baselines: Callable[[], dict[str, float]]
    """What guessing reaches on the held-out records."""
    damage_named: Callable[[], AbstractContextManager[None]]
    """While batches are read: TensorFlow's errors become ones that name the damaged file."""


def open_prepared(directory: str | Path, *, masking: MaskingConfig) -> OpenedRecords:
    """A folder of `bert-tf prepare`. Raises as `records.shard_paths`.

    Raises:
        ValueError: its vocabulary is not the one that the records were made with.
    """
    manifest = records.read_manifest(directory)
    tokenizer = Tokenizer.load(directory)
    made_with = manifest.plan.get("tokenizer", {}).get("vocabulary_sha256")
    if made_with not in (None, tokenizer.vocabulary_sha256):
        raise ValueError(
            f"{directory}: the vocabulary must be the one that the records were made with, "
            f"SHA-256 {made_with}. Received: {tokenizer.vocabulary_sha256}. Put it back, or "
            "prepare the records again."
        )
    for split in ("train", "eval"):
        records.shard_paths(directory, split)

    def train_batches(**options: Any) -> tf.data.Dataset:
        return masked_batches.training_batches(
            directory, masking=masking, tokenizer=tokenizer, **options
        )

    def eval_batches(**options: Any) -> tf.data.Dataset:
        return masked_batches.evaluation_batches(
            directory, masking=masking, tokenizer=tokenizer, **options
        )

    return OpenedRecords(
        max_seq_length=manifest.max_seq_length,
        next_sentence=manifest.next_sentence,
        tokenizer=tokenizer,
        plan=manifest.plan,
        train_batches=train_batches,
        eval_batches=eval_batches if manifest.num_examples("eval") else None,
        baselines=lambda: masked_batches.baselines(directory, tokenizer=tokenizer),
        damage_named=lambda: records.damage_named(directory),
    )


def open_static(
    train: str | Path, evaluation: str | Path | None, *, tokenizer: Tokenizer
) -> OpenedRecords:
    """Static records, see `google_records`. Raises as `google_records.open_static`.

    Raises:
        ValueError: the two sets differ in length or in having next-sentence labels.
    """
    sets = [
        google_records.open_static(path, vocab_size=tokenizer.vocab_size, cls_id=tokenizer.cls_id)
        for path in (train, evaluation)
        if path is not None
    ]
    first, last = sets[0], sets[-1]
    if _shape(first) != _shape(last):
        raise ValueError(
            f"{evaluation}: held-out records must be like those of {train}, "
            f"{_shape(first)}. Received: {_shape(last)}. Make both with the same settings."
        )

    def train_batches(**options: Any) -> tf.data.Dataset:
        return google_records.training_batches(first, **options)

    def eval_batches(*, seed: int, **options: Any) -> tf.data.Dataset:
        del seed  # The masks are in the files.
        return google_records.evaluation_batches(last, **options)

    return OpenedRecords(
        max_seq_length=first.max_seq_length,
        next_sentence=first.next_sentence,
        tokenizer=tokenizer,
        plan={
            "files": {
                f"{number:05d} {Path(file.path).name}": f"{file.num_examples} records"
                for number, file in enumerate(first.files, start=1)
            },
            "max_seq_length": first.max_seq_length,
            "vocabulary_sha256": tokenizer.vocabulary_sha256,
        },
        train_batches=train_batches,
        eval_batches=eval_batches if evaluation is not None else None,
        baselines=lambda: google_records.next_sentence_majority(last),
        damage_named=lambda: google_records.damage_named(*sets),
    )


def _shape(static: StaticRecords) -> str:
    labels = "with" if static.next_sentence else "without"
    return f"max_seq_length={static.max_seq_length}, {labels} next_sentence_labels"
