"""BERT with its two pretraining heads."""

from typing import Any

import keras

from bert_tf.config import ModelConfig
from bert_tf.layers.heads import ClassificationHead, MaskedLanguageModelHead
from bert_tf.models.bert import BertEncoder, vocab_size


class BertPretrainer(keras.Model):
    """Masked-token and next-sentence scores from one pass over the encoder.

    Inputs: the encoder's (see `BertEncoder`) and `masked_lm_positions`, int32
    (batch, predictions).
    Output: a dict of `masked_lm_logits` (batch, predictions, vocabulary) and
    `next_sentence_logits` (batch, 2), float32. Class 1 means a random second text, class 0 one
    that follows, as in google-research/bert.

    Source: Devlin et al. 2019, section 3.1.
    """

    def __init__(self, config: ModelConfig, **kwargs: Any):
        super().__init__(**{"name": "pretrainer", **kwargs})
        self.config = config
        policy = self.dtype_policy
        self.encoder = BertEncoder(config, name="encoder", dtype=policy)
        self.masked_lm = MaskedLanguageModelHead(
            vocab_size=vocab_size(config),
            hidden_size=config.hidden_size,
            activation=config.hidden_act,
            initializer_range=config.initializer_range,
            layer_norm_eps=config.layer_norm_eps,
            name="masked_lm",
            dtype=policy,
        )
        self.next_sentence = ClassificationHead(
            config.hidden_size,
            num_classes=2,
            dropout_rate=0.0,
            initializer_range=config.initializer_range,
            name="next_sentence",
            dtype=policy,
        )

    def build(self, inputs_shape):
        hidden_size = self.config.hidden_size
        self.encoder.build(inputs_shape)
        self.masked_lm.build((None, None, hidden_size))
        self.next_sentence.build((None, hidden_size))

    def call(self, inputs, training=False):
        encoded = self.encoder(inputs, training=training)
        table = self.encoder.embeddings.word_embeddings.embeddings
        return {
            "masked_lm_logits": self.masked_lm(
                encoded["sequence_output"], inputs["masked_lm_positions"], table
            ),
            "next_sentence_logits": self.next_sentence(encoded["pooled_output"], training=training),
        }

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype_policy, "config": self.config.model_dump()}

    @classmethod
    def from_config(cls, config):
        return cls(ModelConfig(**config.pop("config")), **config)
