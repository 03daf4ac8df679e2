"""BERT of keras-nlp and of tf-models-official with the weights of one of our models."""

from typing import Any

import keras
import keras_nlp
import numpy as np

from bert_tf.config import ModelConfig
from bert_tf.models.folder import weights_by_name

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


def keras_nlp_backbone(weights: dict[str, np.ndarray]) -> keras.Model:
    """keras-nlp's encoder. It always has 2 segments and the tanh approximation of GELU."""
    config = ARCHITECTURE
    backbone = keras_nlp.models.BertBackbone(
        vocabulary_size=config.vocab_size,
        num_layers=config.num_hidden_layers,
        num_heads=config.num_attention_heads,
        hidden_dim=config.hidden_size,
        intermediate_dim=config.intermediate_size,
        dropout=0.0,
        max_sequence_length=config.max_position_embeddings,
        num_segments=config.type_vocab_size,
    )
    for weight in backbone.weights:
        weight.assign(_shaped(_encoder_weight(weight.path, weights), weight.shape))
    return backbone


def keras_nlp_masked_lm_head(weights: dict[str, np.ndarray], embedding: Any) -> keras.layers.Layer:
    """keras-nlp's head with BERT's epsilon and activation, which are not its defaults."""
    head = keras_nlp.layers.MaskedLMHead(
        token_embedding=embedding,
        intermediate_activation=lambda x: keras.activations.gelu(x, approximate=True),
        layer_norm_epsilon=ARCHITECTURE.layer_norm_eps,
    )
    head.build((None, None, ARCHITECTURE.hidden_size))
    names = {
        "output_bias": "masked_lm/bias",
        "intermediate_dense/kernel": "masked_lm/dense/kernel",
        "intermediate_dense/bias": "masked_lm/dense/bias",
        "intermediate_layer_norm/gamma": "masked_lm/layer_norm/gamma",
        "intermediate_layer_norm/beta": "masked_lm/layer_norm/beta",
    }
    for weight in head.weights:
        if not weight.path.startswith("token_embedding"):
            weight.assign(weights[names[weight.path.split("/", 1)[1]]])
    return head


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
    return _shaped(_model_garden_weight(name, values), weight.shape)


def _model_garden_weight(name: str, weights: dict[str, np.ndarray]) -> np.ndarray:
    heads = {
        "next_sentence/pooler_dense": "encoder/pooler/dense",
        "next_sentence/logits": "next_sentence/dense",
        "cls/predictions/output_bias/bias": "masked_lm/bias",
        "cls/predictions/transform/dense": "masked_lm/dense",
        "cls/predictions/transform/LayerNorm": "masked_lm/layer_norm",
    }
    for theirs, ours in heads.items():
        if name.startswith(theirs):
            return weights[ours + name.removeprefix(theirs)]
    name = name.removeprefix("bert_encoder_v2/").removeprefix("transformer/")
    return _encoder_weight(name.replace("embeddings/layer_norm", "embeddings_layer_norm"), weights)


_TABLES = {
    "token_embedding/": "embeddings/word_embeddings/",
    "word_embeddings/": "embeddings/word_embeddings/",
    "position_embedding/": "embeddings/position_embeddings/",
    "segment_embedding/": "embeddings/token_type_embeddings/",
    "type_embeddings/": "embeddings/token_type_embeddings/",
    "embeddings_layer_norm/": "embeddings/layer_norm/",
    "pooled_dense/": "pooler/dense/",
    "pooler_transform/": "pooler/dense/",
}
_PARTS = {
    "self_attention_layer_norm/": "attention_layer_norm/",
    "self_attention_layer/": "attention/",
    "self_attention/": "attention/",
    "attention_output/": "output/",
    "feedforward_layer_norm/": "output_layer_norm/",
    "feedforward_intermediate_dense/": "intermediate/",
    "feedforward_output_dense/": "output/",
}


def _encoder_weight(name: str, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Ours for a name that keras-nlp and tf-models-official use, but for shapes."""
    projections = ("query", "key", "value")
    renamed = name.replace("transformer_layer_", "layer_")
    for theirs, ours in _TABLES.items():
        if renamed.startswith(theirs):
            renamed = renamed.replace(theirs, ours)
    for theirs, ours in _PARTS.items():
        renamed = renamed.replace(theirs, ours)
    part = next((p for p in projections if f"/{p}/" in renamed), None)
    if part is None:
        return weights[f"encoder/{renamed}"]
    fused = weights["encoder/" + renamed.replace(f"/{part}/", "/query_key_value/")]
    return np.split(fused, 3, axis=-1)[projections.index(part)]


def _shaped(value: np.ndarray, shape: Any) -> np.ndarray:
    return value.reshape(tuple(shape))
