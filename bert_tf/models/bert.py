"""The BERT encoder: token ids in, one vector a token and one a sequence out."""

from typing import Any

import keras

from bert_tf.config import ModelConfig
from bert_tf.layers.attention import combine_masks, padding_mask, sequence_mask
from bert_tf.layers.embeddings import BertEmbeddings
from bert_tf.layers.heads import Pooler
from bert_tf.layers.normalization import normalize
from bert_tf.layers.rematerialization import apply_layers
from bert_tf.layers.transformer import TransformerLayer


class BertEncoder(keras.layers.Layer):
    """Embeddings, `num_hidden_layers` Transformer layers, pooler.

    Inputs: a dict of int32 tensors (batch, length): `input_ids`; `input_mask`, 1 at tokens and 0
    at padding; `segment_ids`, not read where `type_vocab_size` is 0. Optional, for rows that hold
    several sequences: `position_ids`, which restart; `sequence_ids`, attention stays among
    positions of the same id; `sequence_positions` (batch, sequences), where each sequence's first
    token is.
    Output: a dict of `sequence_output` (batch, length, hidden) and, unless `has_pooler` is false,
    `pooled_output`, compute dtype: (batch, hidden), of each row's first token, or with
    `sequence_positions` (batch, sequences, hidden).

    Args:
        rematerialize: in training, keep each layer's input only and compute the layer again in the
            backward pass: the same numbers in less memory.

    `skips_padding`, an attribute (false): outside of training, on TensorFlow, padding is computed
    in attention only, and `sequence_output` is zero there. For rows of one sequence. Then, where
    the caller `reads_tokens` not, the last layer computes first tokens alone, and there is no
    `sequence_output`.

    Source: Devlin et al. 2019; google-research/bert, modeling.py.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        has_pooler: bool = True,
        rematerialize: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**{"name": "encoder", **kwargs})
        self.config = config
        self.rematerialize = rematerialize
        self.skips_padding = False
        policy = self.dtype_policy
        self.embeddings = BertEmbeddings(
            vocab_size=vocab_size(config),
            type_vocab_size=config.type_vocab_size,
            name="embeddings",
            dtype=policy,
            **embeddings_settings(config),
        )
        self.transformer_layers = [
            TransformerLayer(name=f"layer_{index}", dtype=policy, **layer_settings(config))
            for index in range(config.num_hidden_layers)
        ]
        self.final_layer_norm = None
        if config.norm_first:
            self.final_layer_norm = keras.layers.LayerNormalization(
                epsilon=config.layer_norm_eps, name="final_layer_norm", dtype=policy
            )
        self.pooler = None
        if has_pooler:
            self.pooler = Pooler(
                config.hidden_size,
                initializer_range=config.initializer_range,
                name="pooler",
                dtype=policy,
            )

    def build(self, inputs_shape):
        ids, hidden = (None, None), (None, None, self.config.hidden_size)
        self.embeddings.build(ids)
        for layer in (*self.transformer_layers, self.final_layer_norm, self.pooler):
            if layer is not None:
                layer.build(hidden)

    def call(self, inputs, training=False, reads_tokens=True):
        hidden = self.embeddings(
            inputs["input_ids"],
            inputs["segment_ids"] if self.config.type_vocab_size else None,
            position_ids=inputs.get("position_ids"),
            training=training,
        )
        mask = _attention_mask(inputs)
        if self.skips_padding and not training:
            hidden = self._transform_tokens(hidden, inputs["input_mask"], mask, reads_tokens)
        else:
            hidden = apply_layers(
                self.transformer_layers,
                hidden,
                attention_mask=mask,
                training=training,
                is_rematerialized=self.rematerialize,
                seed_generator=self.embeddings.dropout.seed_generator,
            )
            hidden = self._normalized(hidden, training)
            reads_tokens = True
        outputs = {"sequence_output": hidden} if reads_tokens else {}
        if self.pooler is not None:
            outputs["pooled_output"] = self.pooler(hidden, inputs.get("sequence_positions"))
        return outputs

    def _transform_tokens(self, hidden, input_mask, mask, reads_tokens):
        """(batch, length, width), or (batch, 1, width) of first tokens; padding is zero."""
        from bert_tf.layers.tensorflow.padding import FirstTokenLayout, TokenLayout

        layout = TokenLayout.of(input_mask)
        hidden = layout.tokens_only(hidden)
        last = layout if reads_tokens else FirstTokenLayout.of(layout)
        *layers, last_layer = self.transformer_layers
        for layer in layers:
            hidden = layer(hidden, attention_mask=mask, layout=layout)
        hidden = last_layer(hidden, attention_mask=mask, layout=last)
        return last.padded_with_zeros(self._normalized(hidden, False))

    def _normalized(self, hidden, training):
        if self.final_layer_norm is None:
            return hidden
        return normalize(hidden, self.final_layer_norm, training=training)

    def get_config(self):
        return {
            **super().get_config(),
            "config": self.config.model_dump(),
            "has_pooler": self.pooler is not None,
            "rematerialize": self.rematerialize,
        }

    @classmethod
    def from_config(cls, config):
        return cls(ModelConfig(**config.pop("config")), **config)


class ModelWithEncoder(keras.Model):
    """What every model has: the encoder as `encoder`, its settings, a configuration to copy it.

    A model adds its heads, and its own arguments to `get_config`.

    Raises:
        ValueError: the configuration has a decoder and the model has none, or the other way round.
    """

    _has_decoder = False

    def __init__(
        self,
        config: ModelConfig,
        *,
        has_pooler: bool = True,
        rematerialize: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if (config.num_decoder_layers > 0) != self._has_decoder:
            raise ValueError(
                f"model.num_decoder_layers must be {'above 0' if self._has_decoder else '0'} for "
                f"{type(self).__name__}. Received: {config.num_decoder_layers}. Set "
                "model.num_decoder_layers, or a model.size that sets it."
            )
        self.config = config
        self.has_pooler = has_pooler
        self.encoder = BertEncoder(
            config,
            has_pooler=has_pooler,
            rematerialize=rematerialize,
            name="encoder",
            dtype=self.dtype_policy,
        )

    def get_config(self):
        return {
            "name": self.name,
            "dtype": self.dtype_policy,
            "config": self.config.model_dump(),
            "has_pooler": self.has_pooler,
            "rematerialize": self.encoder.rematerialize,
        }

    @classmethod
    def from_config(cls, config):
        return cls(ModelConfig(**config.pop("config")), **config)


def _attention_mask(inputs):
    sequence_ids = inputs.get("sequence_ids")
    return combine_masks(
        padding_mask(inputs["input_mask"]),
        None if sequence_ids is None else sequence_mask(sequence_ids),
    )


def embeddings_settings(config: ModelConfig) -> dict[str, Any]:
    """Arguments of `BertEmbeddings` that are the same in an encoder and a decoder."""
    return {
        "hidden_size": config.hidden_size,
        "max_position_embeddings": config.max_position_embeddings,
        "position_embedding": config.position_embedding,
        "dropout_rate": config.hidden_dropout_prob,
        "initializer_range": config.initializer_range,
        "layer_norm_eps": config.layer_norm_eps,
        "scale": config.scales_embeddings,
        "has_layer_norm": config.has_embedding_layer_norm,
    }


def layer_settings(config: ModelConfig) -> dict[str, Any]:
    """Arguments of a Transformer layer of an encoder, and of one of a decoder."""
    return {
        "hidden_size": config.hidden_size,
        "num_heads": config.num_attention_heads,
        "intermediate_size": config.intermediate_size,
        "activation": config.hidden_act,
        "norm_first": config.norm_first,
        "dropout_rate": config.hidden_dropout_prob,
        "attention_dropout_rate": config.attention_probs_dropout_prob,
        "initializer_range": config.initializer_range,
        "layer_norm_eps": config.layer_norm_eps,
    }


ENCODER_INPUTS = ("input_ids", "input_mask", "segment_ids")


FREE_TO_CHANGE = frozenset({"size", "hidden_dropout_prob", "attention_probs_dropout_prob"})
"""What a configuration may set otherwise than the model that is loaded."""


def with_stored_architecture(config: ModelConfig, stored: ModelConfig) -> ModelConfig:
    """The architecture of a stored model, with the dropout rates that `config` sets.

    Raises:
        ValueError: `config` sets anything else to another value; lists both.
    """
    given = {name: getattr(config, name) for name in config.model_fields_set}
    faults = [
        f"model.{name}={value!r}, but {getattr(stored, name)!r} in the stored model"
        for name, value in sorted(given.items())
        if name not in FREE_TO_CHANGE and value not in (None, getattr(stored, name))
    ]
    if faults:
        raise ValueError(
            "The architecture must be that of the stored model. Received: "
            + "; ".join(faults)
            + ". Leave these settings out."
        )
    rates = {name: given[name] for name in FREE_TO_CHANGE - {"size"} if name in given}
    return stored.model_copy(update=rates)


def vocab_size(config: ModelConfig) -> int:
    """The vocabulary's size. Raises ValueError where the configuration leaves it open."""
    if config.vocab_size is None:
        raise ValueError(
            "model.vocab_size must be known before a model is built. Received: nothing. "
            "Use `with_vocab_size` or set it."
        )
    return config.vocab_size


def with_vocab_size(config: ModelConfig, size: int) -> ModelConfig:
    """`config` for a vocabulary of `size`. Raises ValueError where it names another size."""
    if config.vocab_size not in (None, size):
        raise ValueError(
            "model.vocab_size must be the vocabulary's size. Received: "
            f"model.vocab_size={config.vocab_size}, {size} tokens in the vocabulary. "
            "Leave model.vocab_size unset."
        )
    return config.model_copy(update={"vocab_size": size})
