"""The objective of pretraining, and the metrics that any objective's sums give."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from bert_tf.models.objective import Batch, Sums, weighted_cross_entropy

# Google's own guard against a batch without predictions (run_pretraining.py).
EMPTY_GUARD = 1e-5


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
            term: weighted_cross_entropy(
                outputs[f"{term}_logits"], batch[name], batch[f"{term}_weights"]
            )
            for term, name in labels.items()
            if f"{term}_logits" in outputs  # a model may lack a head
        }
        return Sums(
            loss={term: loss for term, (loss, _) in pairs.items()},
            correct={term: correct for term, (_, correct) in pairs.items()},
        )


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
            if term in sums.correct:
                metrics[f"{term}_accuracy"] = float(sums.correct[term]) / float(weight)
    return metrics | perplexities(metrics, terms=("masked_lm",))


def perplexities(
    metrics: Mapping[str, float], *, terms: Sequence[str] = ("masked_lm", "target_token")
) -> dict[str, float]:
    """Of those terms that there are; of target tokens in evaluation alone, where the loss is plain:
    with label smoothing it is none of the model's."""
    losses = {term: metrics[f"{term}_loss"] for term in terms if f"{term}_loss" in metrics}
    return {f"{term}_perplexity": math.exp(min(loss, 700.0)) for term, loss in losses.items()}
