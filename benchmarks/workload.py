"""What the step benchmarks compute: a random batch, and how much arithmetic a step on it is."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bert_tf.config import ModelConfig
from bert_tf.models.flops import classifier_flops, training_flops

POLICIES = {"bfloat16": "mixed_bfloat16", "float32": "float32"}
"""Keras' dtype policy of a precision."""


def make_batch(
    config: ModelConfig, *, batch_size: int, length: int, seed: int
) -> dict[str, np.ndarray]:
    """A random batch without padding, 15% of the positions predicted."""
    rng = np.random.default_rng(seed)
    num_predictions = max(1, round(0.15 * length))
    shape, predictions = (batch_size, length), (batch_size, num_predictions)
    return {
        "input_ids": rng.integers(5, config.vocab_size, shape, np.int32),
        "input_mask": np.ones(shape, np.int32),
        "segment_ids": np.tile((np.arange(length) > length // 2).astype(np.int32), (batch_size, 1)),
        "masked_lm_positions": np.sort(rng.integers(1, length, predictions, np.int32), axis=1),
        "masked_lm_ids": rng.integers(5, config.vocab_size, predictions, np.int32),
        "masked_lm_weights": np.ones(predictions, np.float32),
        "next_sentence_labels": rng.integers(0, 2, batch_size, np.int32),
        "next_sentence_weights": np.ones(batch_size, np.float32),
    }


def model_flops(config: ModelConfig, batch: Mapping[str, Any]) -> int:
    """Of one step with both pretraining heads, see `bert_tf.models.flops`."""
    num_rows, length = batch["input_ids"].shape
    return int(
        training_flops(
            config,
            num_rows=num_rows,
            length=length,
            num_predictions=batch["masked_lm_positions"].size,
            num_sequences=num_rows,
            head_flops=classifier_flops(config, num_outputs=2),
        )
    )
