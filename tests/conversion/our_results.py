"""What one of our models computes in training mode: outputs, loss, every gradient."""

from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.conversion.checkpoint import Model
from bert_tf.models.tensors import weights_by_name
from bert_tf.tasks.choice_scores import MultipleChoiceObjective
from bert_tf.tasks.classification import ClassificationObjective
from bert_tf.training.engine.objective import PretrainingObjective, total_loss


def our_results(
    model: Model, batch: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], float, dict[str, np.ndarray]]:
    """Outputs by name, loss, and gradients by our names (0 where the loss does not depend)."""
    weights = weights_by_name(model.network)
    with tf.GradientTape() as tape:
        outputs = model.network(batch, training=True)
        loss = _loss(model.description.kind, outputs, batch)
    found = tape.gradient(loss, [weight.value for weight in weights.values()])
    gradients = {
        name: np.zeros(weights[name].shape, np.float32)
        if gradient is None
        else tf.convert_to_tensor(gradient).numpy()
        for name, gradient in zip(weights, found, strict=True)
    }
    named = outputs if isinstance(outputs, dict) else {"logits": outputs}
    return {name: np.asarray(value) for name, value in named.items()}, float(loss), gradients


def encoder_loss(outputs: Any, input_mask: np.ndarray) -> tf.Tensor:
    """Some scalar of an encoder's two outputs that leaves padding out."""
    is_token = input_mask.astype(np.float32)[..., None]
    return tf.reduce_mean(tf.square(outputs["sequence_output"]) * is_token) + tf.reduce_mean(
        outputs["pooled_output"]
    )


def _loss(kind: str, outputs: Any, batch: dict[str, np.ndarray]) -> tf.Tensor:
    if kind == "encoder":
        return encoder_loss(outputs, batch["input_mask"])
    if kind == "question_answering":
        losses = [
            tf.nn.sparse_softmax_cross_entropy_with_logits(batch[name], outputs[..., column])
            for column, name in enumerate(("starts", "ends"))
        ]
        return tf.reduce_mean(losses)
    ones = np.ones(len(batch["input_ids"]), np.float32)
    labels = {"next_sentence_weights": ones, "weights": ones, **batch}
    objectives: dict[str, Any] = {
        "pretraining": PretrainingObjective,
        "multiple_choice": MultipleChoiceObjective,
    }
    objective = objectives.get(kind, ClassificationObjective)()
    sums = objective.sums(outputs, labels)
    return total_loss(sums.loss, objective.weights(labels))
