"""Objectives: what is minimised, as sums that add up over replicas and batches.

An objective has terms (`masked_lm`, `next_sentence`, `classification`). For each it gives the
weight of a batch (how many predictions count), the summed loss and, where an answer is right or
wrong, the summed right answers. The loss of a batch is the sum over terms of loss / weight,
whatever the batch is split into.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import tensorflow as tf

from bert_tf.layers.tensorflow.cross_entropy import cross_entropy

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
    logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, *, label_smoothing: float = 0.0
) -> tuple[tf.Tensor, tf.Tensor]:
    """Summed losses and right answers, each times its weight.

    `logits`: (..., classes), float32; `labels`: (...), int32; `weights`: (...), float32;
    `label_smoothing`: the share of the target that is uniform over all classes (Szegedy et al.
    2016, section 7).
    """
    with tf.name_scope("loss"):  # by which the profiler tells it apart
        losses, correct = cross_entropy(logits, labels, label_smoothing=label_smoothing)
        return tf.reduce_sum(losses * weights), tf.reduce_sum(correct * weights)


class SequenceToSequenceObjective:
    """Cross-entropy of each target token given those before it, by default unsmoothed.

    Reads of a batch, beside the model's inputs, `labels`, int32 (batch, target length), and
    `label_weights`, float32 of the same shape: 1 at the target's tokens, its end included, 0 at
    padding. So the loss is a mean over the target tokens of the whole global batch.

    Source: Vaswani et al. 2017, section 5.4 (label smoothing of 0.1).
    """

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        self._label_smoothing = label_smoothing

    @property
    def measured(self) -> "SequenceToSequenceObjective":
        """Without smoothing: the negative log-likelihood, whatever the model was trained with."""
        return SequenceToSequenceObjective()

    def weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        return {"target_token": tf.reduce_sum(batch["label_weights"])}

    def sums(self, outputs: Any, batch: Batch) -> Sums:
        loss, correct = weighted_cross_entropy(
            outputs,
            batch["labels"],
            batch["label_weights"],
            label_smoothing=self._label_smoothing,
        )
        return Sums(loss={"target_token": loss}, correct={"target_token": correct})


@runtime_checkable
class MeasuredOtherwise(Protocol):
    """An objective that evaluation does not measure as it is minimised."""

    @property
    def measured(self) -> Objective:
        """What evaluation measures in its place."""
        ...


def measured(objective: Objective) -> Objective:
    """What evaluation measures: what is minimised, unless the objective says otherwise."""
    return objective.measured if isinstance(objective, MeasuredOtherwise) else objective
