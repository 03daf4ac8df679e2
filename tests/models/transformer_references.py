"""The Transformers of tf-models-official, PyTorch and Hugging Face with our weights."""

import re
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.config import ModelConfig
from bert_tf.decoding.decoder import SpecialTokens
from bert_tf.layers.embeddings import sinusoids
from tests.references import value_by_their_name

SHARED_TABLE = "encoder/embeddings/word_embeddings/embeddings"


def sinusoid_table(config: ModelConfig) -> np.ndarray:
    """The vectors of all positions, float32 (positions, width)."""
    positions = np.arange(config.max_position_embeddings)
    return np.asarray(sinusoids(positions, config.hidden_size))


def model_garden_transformer(
    config: ModelConfig, weights: dict[str, np.ndarray], **options: Any
) -> Any:
    """tf-models-official's `Seq2SeqTransformer` (Keras 2), with biases in attention.

    `options`: of the model, such as how it decodes. Dropout is the configuration's.

    Two of its parts are replaced by ours: its positions have all sines before all cosines and
    other wavelengths than the paper; and both its stacks end with a LayerNorm in post-LN, too.
    """
    from official.nlp.modeling.models import seq2seq_transformer

    def settings(name: str, num_layers: int) -> dict[str, Any]:
        return {
            "name": name,
            "num_layers": num_layers,
            "num_attention_heads": config.num_attention_heads,
            "intermediate_size": config.intermediate_size,
            "activation": "relu",
            "use_bias": True,
            "norm_first": config.norm_first,
            "norm_epsilon": config.layer_norm_eps,
            "dropout_rate": config.hidden_dropout_prob,
            "attention_dropout_rate": config.attention_probs_dropout_prob,
        }

    model = seq2seq_transformer.Seq2SeqTransformer(
        vocab_size=config.vocab_size,
        embedding_width=config.hidden_size,
        dropout_rate=config.hidden_dropout_prob,
        encoder_layer=seq2seq_transformer.TransformerEncoder(
            **settings("encoder", config.num_hidden_layers)
        ),
        decoder_layer=seq2seq_transformer.TransformerDecoder(
            **settings("decoder", config.num_decoder_layers)
        ),
        name="transformer",
        **options,
    )
    ones = np.ones((1, 4), np.int32)
    _norms_in_compute_type(model.decoder_layer, config.hidden_size)
    model({"inputs": ones, "targets": ones})
    table = tf.constant(sinusoid_table(config))
    model.position_embedding = lambda inputs=None, length=None: table[
        : tf.shape(inputs)[1] if length is None else length
    ]
    if not config.norm_first:
        for stack in (model.encoder_layer, model.decoder_layer):
            stack.output_normalization = lambda x: x
    for weight in model.trainable_weights:
        weight.assign(model_garden_value(weight, weights))
    return model


def _norms_in_compute_type(decoder: Any, width: int) -> None:
    """In post-LN, mixed precision: else its decoder fails, adding what its LayerNorms give."""
    import tf_keras

    shape = tf.TensorShape([None, None, width])
    decoder.build(shape)
    for layer in decoder.decoder_layers:
        layer.build([shape] * 4)
        for norm in (layer.self_attention_layer_norm, layer.encdec_attention_layer_norm):
            norm._set_dtype_policy(tf_keras.mixed_precision.global_policy())


def model_garden_value(weight: Any, values: dict[str, np.ndarray]) -> np.ndarray:
    """Of our values by name (weights, gradients), the one for a weight of Model Garden's."""
    name = weight.name.removesuffix(":0").removeprefix("transformer/")
    name = re.sub(r"(layer_normalization|on_device_embedding)_\d+/", r"\1/", name)
    return value_by_their_name(name, weight.shape, values, names=_MODEL_GARDEN)


_MODEL_GARDEN = {
    "layer_normalization/": "final_layer_norm/",
    "attention/encdec_output_layer_norm/": "cross_attention_layer_norm/",
    "attention/encdec/attention_output/": "cross_attention/output/",
    "attention/encdec/": "cross_attention/",
    "self_attention/attention_output/": "attention/output/",
    "self_attention/": "attention/",
    "self_attention_layer_norm/": "attention_layer_norm/",
    "on_device_embedding/embeddings": SHARED_TABLE,
}
"""Parts of its names and of ours, replaced in this order."""


def torch_transformer(config: ModelConfig, weights: dict[str, np.ndarray]) -> Any:
    """PyTorch's `nn.Transformer`; with post-LN without the LayerNorms at its stacks' ends."""
    import torch
    from torch import nn

    settings = {
        "d_model": config.hidden_size,
        "nhead": config.num_attention_heads,
        "dim_feedforward": config.intermediate_size,
        "dropout": config.hidden_dropout_prob,
        "activation": "relu",
        "layer_norm_eps": config.layer_norm_eps,
        "batch_first": True,
        "norm_first": config.norm_first,
    }
    norms = [
        nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) if config.norm_first else None
        for _ in range(2)
    ]
    transformer = nn.Transformer(
        config.hidden_size,
        config.num_attention_heads,
        custom_encoder=nn.TransformerEncoder(
            nn.TransformerEncoderLayer(**settings),
            config.num_hidden_layers,
            norm=norms[0],
            enable_nested_tensor=False,
        ),
        custom_decoder=nn.TransformerDecoder(
            nn.TransformerDecoderLayer(**settings), config.num_decoder_layers, norm=norms[1]
        ),
        batch_first=True,
    )
    with torch.no_grad():
        for name, weight in transformer.named_parameters():
            weight.copy_(torch.tensor(torch_value(name, weights)))
    return transformer


def torch_value(name: str, values: dict[str, np.ndarray]) -> np.ndarray:
    """Of our values by name (weights, gradients), the one for a parameter of PyTorch's."""
    part, *_ = name.split(".")
    norms = {"norm1": "attention_layer_norm", "norm2": "output_layer_norm"}
    if part == "decoder":
        norms |= {"norm2": "cross_attention_layer_norm", "norm3": "output_layer_norm"}
    is_norm = ".norm" in name
    for theirs, ours in (_TORCH | norms).items():
        name = name.replace(theirs, ours)
    name = name.replace(".", "/")
    if is_norm:
        name = name.replace("/weight", "/gamma").replace("/bias", "/beta")
    value = values[name.replace("/weight", "/kernel")]
    return np.ascontiguousarray(value.T) if value.ndim == 2 else value


_TORCH = {
    ".layers.": ".layer_",
    "er.norm.": "er.final_layer_norm.",
    "self_attn.in_proj_": "attention.query_key_value.",
    "self_attn.out_proj": "attention.output",
    "multihead_attn.in_proj_": "cross_attention.query_key_value.",
    "multihead_attn.out_proj": "cross_attention.output",
    "linear1": "intermediate",
    "linear2": "output",
}


def marian_model(
    config: ModelConfig, weights: dict[str, np.ndarray], *, tokens: SpecialTokens
) -> Any:
    """Hugging Face's `MarianMTModel`, post-LN, with the sinusoids of the paper."""
    import torch
    import transformers

    sizes = {
        f"{part}_{name}": value
        for part, num_layers in (
            ("encoder", config.num_hidden_layers),
            ("decoder", config.num_decoder_layers),
        )
        for name, value in {
            "layers": num_layers,
            "attention_heads": config.num_attention_heads,
            "ffn_dim": config.intermediate_size,
        }.items()
    }
    model = transformers.MarianMTModel(
        transformers.MarianConfig(
            vocab_size=config.vocab_size,
            d_model=config.hidden_size,
            max_position_embeddings=config.max_position_embeddings,
            activation_function="relu",
            dropout=config.hidden_dropout_prob,
            attention_dropout=config.attention_probs_dropout_prob,
            scale_embedding=True,
            pad_token_id=tokens.pad_id,
            eos_token_id=tokens.end_id,
            decoder_start_token_id=tokens.start_id,
            forced_eos_token_id=None,
            **sizes,
        )
    )
    positions = sinusoid_table(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            is_position = "embed_positions" in name
            value = positions if is_position else marian_value(name, weights)
            weight.copy_(torch.tensor(value))
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = config.layer_norm_eps
    return model


def marian_value(name: str, values: dict[str, np.ndarray]) -> np.ndarray:
    """Of our values by name (weights, gradients), the one for a parameter of Marian's."""
    if name == "model.shared.weight":
        return values[SHARED_TABLE]
    is_norm = "layer_norm" in name
    for theirs, ours in _MARIAN.items():
        name = name.replace(theirs, ours)
    name = name.replace(".", "/")
    if is_norm:
        name = name.replace("/weight", "/gamma").replace("/bias", "/beta")
    name = name.replace("/weight", "/kernel")
    for index, part in enumerate("qkv"):
        if f"/{part}_proj/" in name:
            fused = values[name.replace(f"/{part}_proj/", "/query_key_value/")]
            value = np.split(fused, 3, axis=-1)[index]
            break
    else:
        value = values[name]
    return np.ascontiguousarray(value.T) if value.ndim == 2 else value


_MARIAN = {
    "model.": "",
    ".layers.": ".layer_",
    "encoder_attn": "cross_attention",
    "self_attn": "attention",
    "final_layer_norm": "output_layer_norm",
    "out_proj": "output",
    "fc1": "intermediate",
    "fc2": "output",
}
"""Parts of its names and of ours, replaced in this order."""
