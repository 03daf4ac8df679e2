"""Prepared records of full length, made up: what the pipeline's speed depends on, and no text."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from bert_tf.config import MaskingConfig
from bert_tf.data import records
from bert_tf.data.batches import masked_batches
from bert_tf.data.text.vocabulary import CLS, MASK, PAD, SEP, UNK

VOCAB_SIZE, NUM_PREDICTIONS, CLS_ID, SEP_ID, NUM_SPECIAL = 30522, 20, 2, 3, 5
MakeBatches = Callable[..., tf.data.Dataset]


def write_records(
    folder: Path, *, num_records: int, num_shards: int, length: int, compression: str
) -> None:
    """A folder as `bert-tf prepare` writes it, but for the tokenizer's settings."""
    tokens = [PAD, UNK, CLS, SEP, MASK, *(f"w{i}" for i in range(NUM_SPECIAL, VOCAB_SIZE))]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    shards = [
        records.write_shard(
            folder / records.shard_name("train", index, num_shards=num_shards),
            [examples((num_records + index) // num_shards, length=length, seed=index)],
            split="train",
            compression=compression,
        )
        for index in range(num_shards)
    ]
    plan = {
        "examples": {"max_seq_length": length, "next_sentence": True},
        "records": {"compression": compression},
    }
    records.write_manifest(
        records.Manifest(
            schema_version=records.SCHEMA_VERSION,
            plan=plan,
            num_documents={"train": num_records, "eval": 0},
            shards=tuple(shards),
        ),
        folder,
    )


def batches_of(folder: Path) -> MakeBatches:
    """A function of batch size and first step: training batches of those records."""
    return lambda **options: masked_batches.training_batches(
        folder, masking=MaskingConfig(max_predictions_per_seq=NUM_PREDICTIONS), seed=1, **options
    )


def examples(num: int, *, length: int, seed: int) -> records.Examples:
    """[CLS] A [SEP] B [SEP]; ids follow Zipf's law, roughly, as those of words do."""
    rng = np.random.default_rng(seed)
    logs = rng.uniform(np.log(NUM_SPECIAL), np.log(VOCAB_SIZE), (num, length))
    ids = np.exp(logs).astype(np.int32)
    first_lengths = rng.integers(length // 4, length - length // 4, num)
    ids[:, 0], ids[:, -1] = CLS_ID, SEP_ID
    ids[np.arange(num), first_lengths - 1] = SEP_ID
    return records.Examples(
        ids.ravel(), np.arange(num + 1) * length, first_lengths, rng.integers(0, 2, num)
    )
