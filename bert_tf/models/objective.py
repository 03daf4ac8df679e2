"""Objectives: what is minimised, as sums that add up over replicas and batches.

An objective has terms (`masked_lm`, `next_sentence`, `classification`). For each it gives the
weight of a batch (how many predictions count), the summed loss and, where an answer is right or
wrong, the summed right answers. The loss of a batch is the sum over terms of loss / weight,
whatever the batch is split into.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from bert_tf.layers.tensorflow.fused import cross_entropy

Batch = Mapping[str, tf.Tensor]


class Sums(NamedTuple):
    """Summed over predictions, one scalar float32 a term."""

    loss: dict[str, tf.Tensor]
    correct: dict[str, tf.Tensor]
    """Only of terms whose answers are right or wrong."""


class Objective(Protocol):
    """The terms of one kind of training."""

    def weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        """How many predictions of each term the batch holds; needs no model."""
        ...

    def sums(self, outputs: Any, batch: Batch) -> Sums:
        """Losses and correct answers of the model's outputs on the batch."""
        ...


def weighted_cross_entropy(
    logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Summed losses and right answers, each times its weight.

    `logits`: (..., classes), float32; `labels`: (...), int32; `weights`: (...), float32.
    """
    with tf.name_scope("loss"):  # by which the profiler tells it apart
        losses, correct = cross_entropy(logits, labels)
        return tf.reduce_sum(losses * weights), tf.reduce_sum(correct * weights)
