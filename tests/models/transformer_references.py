"""The Transformers of tf-models-official and of PyTorch with our weights."""

import re
from typing import Any

import numpy as np

from bert_tf.config import ModelConfig
from bert_tf.layers.embeddings import sinusoids
from tests.references import value_by_their_name

SHARED_TABLE = "encoder/embeddings/word_embeddings/embeddings"


def model_garden_transformer(config: ModelConfig, weights: dict[str, np.ndarray]) -> Any:
    """tf-models-official's `Seq2SeqTransformer` (Keras 2), with biases in attention.

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
        }

    model = seq2seq_transformer.Seq2SeqTransformer(
        vocab_size=config.vocab_size,
        embedding_width=config.hidden_size,
        encoder_layer=seq2seq_transformer.TransformerEncoder(
            **settings("encoder", config.num_hidden_layers)
        ),
        decoder_layer=seq2seq_transformer.TransformerDecoder(
            **settings("decoder", config.num_decoder_layers)
        ),
        name="transformer",
    )
    ones = np.ones((1, 4), np.int32)
    model({"inputs": ones, "targets": ones})
    model.position_embedding = lambda x: sinusoids(
        np.arange(x.shape[1])[np.newaxis], config.hidden_size
    )
    if not config.norm_first:
        for stack in (model.encoder_layer, model.decoder_layer):
            stack.output_normalization = lambda x: x
    for weight in model.trainable_weights:
        weight.assign(model_garden_value(weight, weights))
    return model


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
        "dropout": 0.0,
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
