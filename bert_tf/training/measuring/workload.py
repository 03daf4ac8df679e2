"""Counts the work of a step: tokens without padding, and floating-point operations."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from bert_tf.models.flops import training_flops
from bert_tf.models.sequence_to_sequence import DECODER_INPUT


def workload(
    model: Any, batch: Mapping[str, tf.Tensor], *, head_flops: float
) -> dict[str, tf.Tensor]:
    """Of a replica's batch, float32: they add up over replicas and steps.

    `num_real_tokens`: without padding, of the encoder's input, and targets of a decoder.
    `num_flops`: see `models.flops`, padding included. Where shapes are known while the graph is
    made, it is a constant.
    """
    *rows, length = _sizes(batch["input_ids"])
    num_rows = rows[0]
    if len(rows) > 1:  # texts in windows: those that there are
        num_rows = tf.reduce_sum(tf.cast(batch["input_mask"][:, :, 0], tf.float32))
    flops = training_flops(
        model.config,
        num_rows=num_rows,
        length=length,
        num_predictions=_count(batch, "masked_lm_positions", otherwise=0),
        num_sequences=_count(batch, "sequence_positions", otherwise=num_rows),
        head_flops=head_flops,
        target_length=_sizes(batch[DECODER_INPUT])[1] if DECODER_INPUT in batch else 0,
    )
    num_real_tokens = tf.cast(tf.reduce_sum(batch["input_mask"]), tf.float32)
    if DECODER_INPUT in batch:
        num_real_tokens += tf.reduce_sum(tf.cast(batch["label_weights"] > 0, tf.float32))
    return {
        "num_real_tokens": num_real_tokens,
        "num_flops": tf.cast(flops, tf.float32)
        if tf.is_tensor(flops)
        else tf.constant(float(flops)),
    }


def _count(batch: Mapping[str, tf.Tensor], name: str, *, otherwise: Any) -> Any:
    if name not in batch:
        return otherwise
    num_rows, num_slots = _sizes(batch[name])
    return num_rows * num_slots


def _sizes(tensor: tf.Tensor) -> list[Any]:
    """A number for each dimension that is known, else a float32 scalar."""
    dynamic = tf.cast(tf.shape(tensor), tf.float32)
    return [dynamic[i] if size is None else size for i, size in enumerate(tensor.shape)]
