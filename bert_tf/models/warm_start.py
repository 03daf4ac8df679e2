"""Starts an encoder-decoder from a BERT: its weights in the encoder and in the decoder."""

from typing import Any

import keras

from bert_tf.config import ModelConfig
from bert_tf.models.bert import BertEncoder
from bert_tf.models.decoder import target_vocab_size
from bert_tf.models.sequence_to_sequence import EncoderDecoder

OF_BOTH = (
    "hidden_size",
    "num_attention_heads",
    "num_hidden_layers",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
    "type_vocab_size",
    "hidden_act",
    "norm_first",
    "position_embedding",
    "scales_embeddings",
    "has_embedding_layer_norm",
    "layer_norm_eps",
)
"""What the two configurations must have alike."""


def start_from_encoder(model: EncoderDecoder, encoder: BertEncoder) -> None:
    """Copy the weights of a BERT's encoder into the model's encoder and into its decoder.

    The decoder takes embeddings, self-attention, feed-forward networks and LayerNorms, layer by
    layer; a table of the output that is not tied takes the token embeddings. Its segment
    embeddings, which a decoder has not, are those of the first segment, added to the positions'.
    Cross-attention keeps its random weights, and so does the token table of a target vocabulary
    of its own.

    Raises:
        ValueError: lists what the two do not have alike; nothing is copied then.

    Source: Rothe et al. 2020, section 3 (BERT2BERT; with one table of embeddings, BERTSHARE's).
    """
    _refuse_unlike(model.config, encoder.config)
    _copy(encoder.embeddings, model.encoder.embeddings)
    for source, target in zip(
        encoder.transformer_layers, model.encoder.transformer_layers, strict=True
    ):
        _copy(source, target)
    _copy_embeddings(model, encoder)
    decoder = model.decoder
    for source, target in zip(encoder.transformer_layers, decoder.transformer_layers, strict=True):
        _copy(source, target)
    if encoder.final_layer_norm is not None:
        _copy(encoder.final_layer_norm, model.encoder.final_layer_norm)
        _copy(encoder.final_layer_norm, decoder.final_layer_norm)


def _refuse_unlike(config: ModelConfig, source: ModelConfig) -> None:
    faults = [
        f"{name}={getattr(config, name)!r}, but {getattr(source, name)!r} in the encoder"
        for name in OF_BOTH
        if getattr(config, name) != getattr(source, name)
    ]
    if config.num_decoder_layers != source.num_hidden_layers:
        faults.append(
            f"num_decoder_layers={config.num_decoder_layers}, but "
            f"{source.num_hidden_layers} layers in the encoder"
        )
    if source.type_vocab_size and source.position_embedding != "learned":
        faults.append(
            f"type_vocab_size={source.type_vocab_size} with position_embedding="
            f"{source.position_embedding!r}: the decoder has no place for segments"
        )
    if faults:
        raise ValueError(
            "An encoder-decoder that starts from an encoder must be made of layers like its. "
            f"Received: {'; '.join(faults)}. Set these as they are in the encoder."
        )


def _copy_embeddings(model: EncoderDecoder, encoder: BertEncoder) -> None:
    source, target = encoder.embeddings, model.decoder.embeddings
    if target_vocab_size(model.config) == encoder.config.vocab_size:
        target.word_embeddings.set_weights(source.word_embeddings.get_weights())
        model.output_embeddings.set_weights(source.word_embeddings.get_weights())
    if source.position_embeddings is not None:
        positions = source.position_embeddings.embeddings.numpy()
        if source.token_type_embeddings is not None:
            positions = positions + source.token_type_embeddings.embeddings.numpy()[0]
        target.position_embeddings.embeddings.assign(positions)
    if source.layer_norm is not None:
        _copy(source.layer_norm, target.layer_norm)


def _copy(source: Any, target: keras.layers.Layer) -> None:
    """Weights by their names below the two layers; those that the source lacks stay."""
    values = {_below(weight, source): weight for weight in source.weights}
    for weight in target.weights:
        if (name := _below(weight, target)) in values:
            weight.assign(values[name])


def _below(weight: keras.Variable, layer: Any) -> str:
    return weight.path.rpartition(f"{layer.path}/")[2]
