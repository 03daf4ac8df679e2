"""A small encoder-decoder with random weights, a batch for it, and every gradient of its loss."""

from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.config import ModelConfig
from bert_tf.models.objective import SequenceToSequenceObjective
from bert_tf.models.sequence_to_sequence import EncoderDecoder
from bert_tf.models.tensors import weights_by_name
from bert_tf.training.engine.objective import total_loss
from tests.references import randomize

SMALL: dict[str, Any] = {
    "size": "transformer_tiny",
    "num_hidden_layers": 2,
    "num_decoder_layers": 2,
    "hidden_size": 24,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "vocab_size": 50,
    "max_position_embeddings": 20,
    "hidden_dropout_prob": 0.0,
}
KINDS: dict[str, dict[str, Any]] = {
    "post-LN": {},
    "pre-LN": {"norm_first": True},
    "separate tables": {
        "share_embeddings": False,
        "tie_output": False,
        "target_vocab_size": 30,
        "position_embedding": "learned",
    },
    "like BERT": {
        "position_embedding": "learned",
        "has_embedding_layer_norm": True,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
    },
}
SOURCE_LENGTHS, TARGET_LENGTHS = np.array([7, 5, 2]), np.array([6, 3, 4])


def make_model(*, dtype: str = "float32", seed: int = 0, **settings: Any) -> EncoderDecoder:
    """Every weight is random, biases and LayerNorm's too."""
    rematerialize = settings.pop("rematerialize", False)
    config = ModelConfig(**SMALL | settings)
    model = EncoderDecoder(config, dtype=dtype, rematerialize=rematerialize)
    model.build(None)
    randomize(model, seed=seed)
    return model


def make_batch(*, seed: int = 1) -> dict[str, np.ndarray]:
    """Padded on both sides; 0 is padding and the target's start, as Model Garden has it."""
    rng = np.random.default_rng(seed)
    source_mask = (np.arange(7) < SOURCE_LENGTHS[:, None]).astype(np.int32)
    target_mask = (np.arange(6) < TARGET_LENGTHS[:, None]).astype(np.int32)
    targets = rng.integers(1, 30, (3, 6), np.int32) * target_mask
    return {
        "input_ids": rng.integers(1, 50, (3, 7), np.int32) * source_mask,
        "input_mask": source_mask,
        "segment_ids": np.zeros((3, 7), np.int32),
        "decoder_input_ids": np.pad(targets, [(0, 0), (1, 0)])[:, :-1],
        "labels": targets,
        "label_weights": target_mask.astype(np.float32),
    }


def loss_and_gradients(
    model: EncoderDecoder, batch: dict[str, Any], *, label_smoothing: float = 0.0
) -> tuple[tf.Tensor, dict[str, np.ndarray]]:
    """The loss of a training step, and the gradient of every weight by its name."""
    objective = SequenceToSequenceObjective(label_smoothing=label_smoothing)
    weights = weights_by_name(model)
    with tf.GradientTape() as tape:
        sums = objective.sums(model(batch, training=True), batch)
        loss = total_loss(sums.loss, objective.weights(batch))
    gradients = tape.gradient(loss, [weight.value for weight in weights.values()])
    return loss, {
        name: np.asarray(tf.convert_to_tensor(gradient))
        for name, gradient in zip(weights, gradients, strict=True)
    }
