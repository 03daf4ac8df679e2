"""What is minimised and what is reported, as sums that add up over replicas and batches.

An objective has terms (`masked_lm`, `next_sentence`, `classification`). For each it gives the
weight of a batch (how many predictions count), the summed loss and the summed correct answers.
The loss of a batch is the sum over terms of loss / weight, whatever the batch is split into.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from bert_tf.layers.tensorflow.fused import cross_entropy

Batch = Mapping[str, tf.Tensor]

# Google's own guard against a batch without predictions (run_pretraining.py).
EMPTY_GUARD = 1e-5


class Sums(NamedTuple):
    """Summed over predictions, one scalar float32 a term."""

    loss: dict[str, tf.Tensor]
    correct: dict[str, tf.Tensor]


class Objective(Protocol):
    """The terms of one kind of training."""

    def weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        """How many predictions of each term the batch holds; needs no model."""
        ...

    def sums(self, outputs: Any, batch: Batch) -> Sums:
        """Losses and correct answers of the model's outputs on the batch."""
        ...


class PretrainingObjective:
    """Masked-token and next-sentence prediction.

    Source: google-research/bert, run_pretraining.py: the two mean losses are added.
    """

    def weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        return {
            "masked_lm": tf.reduce_sum(batch["masked_lm_weights"]),
            "next_sentence": tf.reduce_sum(batch["next_sentence_weights"]),
        }

    def sums(self, outputs: Any, batch: Batch) -> Sums:
        labels = {"masked_lm": "masked_lm_ids", "next_sentence": "next_sentence_labels"}
        pairs = {
            term: _weighted(outputs[f"{term}_logits"], batch[name], batch[f"{term}_weights"])
            for term, name in labels.items()
            if f"{term}_logits" in outputs  # a model may lack a head
        }
        return Sums(
            loss={term: loss for term, (loss, _) in pairs.items()},
            correct={term: correct for term, (_, correct) in pairs.items()},
        )


class ClassificationObjective:
    """Cross-entropy of the class of each text."""

    def weights(self, batch: Batch) -> dict[str, tf.Tensor]:
        return {"classification": tf.reduce_sum(batch["weights"])}

    def sums(self, outputs: Any, batch: Batch) -> Sums:
        loss, correct = _weighted(outputs, batch["labels"], batch["weights"])
        return Sums(loss={"classification": loss}, correct={"classification": correct})


def total_loss(losses: Mapping[str, Any], weights: Mapping[str, Any]) -> Any:
    """The number that is minimised."""
    return sum(loss / (weights[term] + EMPTY_GUARD) for term, loss in losses.items())


def summarize(sums: Sums, weights: Mapping[str, Any]) -> dict[str, float]:
    """Named metrics of summed batches: `loss`, and a term's loss and accuracy where it counts."""
    metrics = {"loss": float(total_loss(sums.loss, weights))}
    for term, loss in sums.loss.items():
        weight = weights[term]
        if float(weight) > 0:
            metrics[f"{term}_loss"] = float(loss) / float(weight)
            metrics[f"{term}_accuracy"] = float(sums.correct[term]) / float(weight)
    if "masked_lm_loss" in metrics:
        metrics["masked_lm_perplexity"] = math.exp(min(metrics["masked_lm_loss"], 700.0))
    return metrics


def _weighted(
    logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    with tf.name_scope("loss"):  # by which a profile tells it apart
        losses, correct = cross_entropy(logits, labels)
        return tf.reduce_sum(losses * weights), tf.reduce_sum(correct * weights)
