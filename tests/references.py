"""A small architecture, random weights and inputs; tf-models-official's BERT with our weights."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from bert_tf.config import ModelConfig
from bert_tf.models.tensors import weights_by_name

ARCHITECTURE = ModelConfig(
    num_hidden_layers=2,
    hidden_size=24,
    num_attention_heads=3,
    intermediate_size=40,
    vocab_size=60,
    max_position_embeddings=20,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)


def randomize(model: keras.Model, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Give every weight, biases and LayerNorm too, random values; return them by name."""
    rng = np.random.default_rng(seed)
    weights = weights_by_name(model)
    for name, weight in weights.items():
        centre = 1.0 if name.endswith("gamma") else 0.0
        weight.assign(rng.normal(centre, 0.3, weight.shape).astype(np.float32))
    return {name: np.asarray(weight) for name, weight in weights.items()}


def random_batch(*, seed: int = 1, batch: int = 4, length: int = 11) -> dict[str, np.ndarray]:
    """Encoder inputs with padding at the end of every second row, and three positions a row."""
    rng = np.random.default_rng(seed)
    input_mask = np.ones((batch, length), np.int32)
    input_mask[::2, -3:] = 0
    return {
        "input_ids": rng.integers(0, ARCHITECTURE.vocab_size, (batch, length), np.int32),
        "input_mask": input_mask,
        "segment_ids": rng.integers(0, 2, (batch, length), np.int32),
        "masked_lm_positions": np.sort(rng.integers(0, length - 3, (batch, 3), np.int32), axis=1),
    }


def model_garden_pretrainer(weights: dict[str, np.ndarray]) -> Any:
    """tf-models-official's pretraining model (Keras 2)."""
    import tf_keras
    from official.nlp import modeling

    config = ARCHITECTURE

    def gelu(x: Any) -> Any:
        return tf_keras.activations.gelu(x, approximate=True)

    encoder = modeling.networks.BertEncoderV2(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        max_sequence_length=config.max_position_embeddings,
        inner_dim=config.intermediate_size,
        type_vocab_size=config.type_vocab_size,
        output_dropout=0.0,
        attention_dropout=0.0,
        inner_activation=gelu,
        name="bert_encoder_v2",
    )
    pretrainer = modeling.models.BertPretrainerV2(
        encoder_network=encoder,
        mlm_activation=gelu,
        classification_heads=[
            modeling.layers.ClassificationHead(
                inner_dim=config.hidden_size,
                num_classes=2,
                dropout_rate=0.0,
                name="next_sentence",
            )
        ],
    )
    ones = np.ones((1, 4), np.int32)
    pretrainer(
        {
            "input_word_ids": ones,
            "input_mask": ones,
            "input_type_ids": ones,
            "masked_lm_positions": ones[:, :1],
        }
    )
    for weight in pretrainer.weights:
        weight.assign(model_garden_value(weight, weights))
    return pretrainer


def model_garden_value(weight: Any, values: dict[str, np.ndarray]) -> np.ndarray:
    """Of our values by name (weights, gradients), the one for a weight of Model Garden's."""
    name = weight.name.removesuffix(":0").removeprefix("bert/")
    return value_by_their_name(name, weight.shape, values, names=_MODEL_GARDEN)


def value_by_their_name(
    name: str, shape: Any, values: dict[str, np.ndarray], *, names: Mapping[str, str]
) -> np.ndarray:
    """Of our values, the one that another library calls `name`, in the shape that it has there.

    Args:
        names: parts of their names to parts of ours, replaced in this order.
    """
    for theirs, ours in names.items():
        name = name.replace(theirs, ours)
    for index, part in enumerate(("/query/", "/key/", "/value/")):
        if part in name:
            fused = values[name.replace(part, "/query_key_value/")]
            return np.split(fused, 3, axis=-1)[index].reshape(shape)
    return values[name].reshape(shape)


_MODEL_GARDEN = {
    "next_sentence/pooler_dense": "encoder/pooler/dense",
    "next_sentence/logits": "next_sentence/dense",
    "cls/predictions/output_bias/bias": "masked_lm/bias",
    "cls/predictions/transform/dense": "masked_lm/dense",
    "cls/predictions/transform/LayerNorm": "masked_lm/layer_norm",
    "bert_encoder_v2/": "encoder/",
    "transformer/": "",
    "word_embeddings/": "embeddings/word_embeddings/",
    "position_embedding/": "embeddings/position_embeddings/",
    "type_embeddings/": "embeddings/token_type_embeddings/",
    "pooler_transform/": "pooler/dense/",
    "self_attention/attention_output/": "attention/output/",
    "self_attention/": "attention/",
    "self_attention_layer_norm/": "attention_layer_norm/",
}
"""Parts of its names and of ours, replaced in this order."""
