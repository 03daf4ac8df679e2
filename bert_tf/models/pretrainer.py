"""BERT with its pretraining heads."""

from typing import Any

from bert_tf.config import ModelConfig
from bert_tf.layers.heads import ClassificationHead, MaskedLanguageModelHead
from bert_tf.models.bert import ModelWithEncoder, vocab_size


class BertPretrainer(ModelWithEncoder):
    """Masked-token and next-sentence scores from one pass over the encoder.

    Inputs: the encoder's (see `BertEncoder`) and, with the masked-LM head, `masked_lm_positions`,
    int32 (batch, predictions).
    Output: a dict of `masked_lm_logits` (batch, predictions, vocabulary) and
    `next_sentence_logits` (batch, 2), or (batch, sequences, 2) with `sequence_positions`, float32,
    each if the model has that head. Class 1 means a random second text, class 0 one that follows,
    as in google-research/bert.

    Source: Devlin et al. 2019, section 3.1.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        has_masked_lm: bool = True,
        has_next_sentence: bool = True,
        has_pooler: bool = True,
        **kwargs: Any,
    ):
        super().__init__(config, has_pooler=has_pooler, **{"name": "pretrainer", **kwargs})
        if has_next_sentence and not has_pooler:
            raise ValueError(
                "has_pooler must be true with has_next_sentence: that head reads the pooled "
                "output. Received: has_pooler=False."
            )
        self.has_masked_lm = has_masked_lm
        self.has_next_sentence = has_next_sentence
        policy = self.dtype_policy
        if has_masked_lm:
            self.masked_lm = MaskedLanguageModelHead(
                vocab_size=vocab_size(config),
                hidden_size=config.hidden_size,
                activation=config.masked_lm_act or config.hidden_act,
                initializer_range=config.initializer_range,
                layer_norm_eps=config.masked_lm_layer_norm_eps or config.layer_norm_eps,
                name="masked_lm",
                dtype=policy,
            )
        if has_next_sentence:
            self.next_sentence = ClassificationHead(
                config.hidden_size,
                num_classes=2,
                dropout_rate=0.0,
                initializer_range=config.initializer_range,
                name="next_sentence",
                dtype=policy,
            )

    @property
    def num_classes(self):
        """The classes that each sequence is scored on: 2, or 0 without that head."""
        return 2 if self.has_next_sentence else 0

    def build(self, inputs_shape):
        hidden_size = self.config.hidden_size
        self.encoder.build(inputs_shape)
        if self.has_masked_lm:
            self.masked_lm.build((None, None, hidden_size))
        if self.has_next_sentence:
            self.next_sentence.build((None, hidden_size))

    def call(self, inputs, training=False):
        encoded = self.encoder(inputs, training=training)
        outputs = {}
        if self.has_masked_lm:
            outputs["masked_lm_logits"] = self.masked_lm(
                encoded["sequence_output"],
                inputs["masked_lm_positions"],
                self.encoder.embeddings.tied_table,
                training=training,
            )
        if self.has_next_sentence:
            outputs["next_sentence_logits"] = self.next_sentence(
                encoded["pooled_output"], training=training
            )
        return outputs

    def get_config(self):
        return {
            **super().get_config(),
            "has_masked_lm": self.has_masked_lm,
            "has_next_sentence": self.has_next_sentence,
        }
