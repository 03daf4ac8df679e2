"""The Transformer decoder: target token ids in, one vector a token out, given a memory."""

from typing import Any

import keras
from keras import ops

from bert_tf.config import ModelConfig
from bert_tf.layers.attention import causal_mask
from bert_tf.layers.embeddings import BertEmbeddings
from bert_tf.layers.normalization import normalize
from bert_tf.layers.rematerialization import apply_layers
from bert_tf.layers.transformer_decoder import TransformerDecoderLayer
from bert_tf.models.bert import embeddings_settings, layer_settings, vocab_size


class TransformerDecoder(keras.layers.Layer):
    """Embeddings and `num_decoder_layers` decoder layers; pre-LN ends with a LayerNorm.

    Inputs: `input_ids` int32 (batch, length), the tokens before those to be predicted; `memory`
    (batch, source length, hidden); `memory_mask` bool, (batch, 1, 1, source length).
    Output: (batch, length, hidden), compute dtype. Position i is a function of tokens 0 to i: what
    follows, padding too, cannot change it.

    `begin` and `step` compute the same token by token.

    Args:
        word_embeddings: the encoder's token table, to share it. Default: one of its own.
        rematerialize: see `BertEncoder`.

    Source: Vaswani et al. 2017, section 3.1 and figure 1.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        word_embeddings: keras.layers.Embedding | None = None,
        rematerialize: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**{"name": "decoder", **kwargs})
        self.config = config
        self.rematerialize = rematerialize
        policy = self.dtype_policy
        self.embeddings = BertEmbeddings(
            vocab_size=target_vocab_size(config),
            type_vocab_size=0,
            word_embeddings=word_embeddings,
            name="embeddings",
            dtype=policy,
            **embeddings_settings(config),
        )
        self.transformer_layers = [
            TransformerDecoderLayer(name=f"layer_{index}", dtype=policy, **layer_settings(config))
            for index in range(config.num_decoder_layers)
        ]
        self.final_layer_norm: Any = None
        if config.norm_first:
            self.final_layer_norm = keras.layers.LayerNormalization(
                epsilon=config.layer_norm_eps, name="final_layer_norm", dtype=policy
            )

    def build(self, input_ids_shape, memory_shape=None, memory_mask_shape=None):
        hidden = (None, None, self.config.hidden_size)
        self.embeddings.build((None, None))
        for layer in self.transformer_layers:
            layer.build(hidden)
        if self.final_layer_norm is not None:
            self.final_layer_norm.build(hidden)

    def call(self, input_ids, memory, memory_mask=None, training=False):
        hidden = apply_layers(
            self.transformer_layers,
            self.embeddings(input_ids, training=training),
            memory,
            attention_mask=causal_mask(ops.shape(input_ids)[1]),
            memory_mask=memory_mask,
            training=training,
            is_rematerialized=self.rematerialize,
            seed_generator=self.embeddings.dropout.seed_generator,
        )
        return self._normalized(hidden, training)

    def begin(self, memory):
        """What all steps over a memory share, and a cache without a position.

        Returns, each with an entry a layer: key and value of the memory, (batch, heads, source
        length, size of a head); self-attention's keys and values, (batch, 1, 0, 2 * hidden).
        """
        heads = tuple(
            layer.cross_attention.memory_heads(memory) for layer in self.transformer_layers
        )
        empty = ops.zeros((ops.shape(memory)[0], 1, 0, 2 * self.config.hidden_size), memory.dtype)
        return heads, (empty,) * len(heads)

    def step(self, ids, position, heads, cache, memory_mask=None):
        """The outputs of tokens `ids` (batch, hypotheses) at one position, and the longer cache.

        Args:
            position: int32 scalar.
            heads, cache: see `begin`; by now the cache is (batch, hypotheses, position, …).
        """
        hidden = self.embeddings(ids, position_ids=ops.reshape(position, (1, 1)))
        longer = []
        for layer, of_memory, before in zip(self.transformer_layers, heads, cache, strict=True):
            hidden, after = layer.step(hidden, before, of_memory, memory_mask)
            longer.append(after)
        return self._normalized(hidden, False), tuple(longer)

    def _normalized(self, hidden, training):
        if self.final_layer_norm is None:
            return hidden
        return normalize(hidden, self.final_layer_norm, training=training)

    def get_config(self):
        return {
            **super().get_config(),
            "config": self.config.model_dump(),
            "rematerialize": self.rematerialize,
        }

    @classmethod
    def from_config(cls, config):
        return cls(ModelConfig(**config.pop("config")), **config)


def target_vocab_size(config: ModelConfig) -> int:
    """Of the decoder. Raises ValueError where the configuration leaves it open."""
    return config.target_vocab_size or vocab_size(config)
