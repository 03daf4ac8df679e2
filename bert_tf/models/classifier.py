"""BERT with a head for a labelled task."""

from typing import Any

from bert_tf.config import ModelConfig
from bert_tf.layers.heads import ClassificationHead
from bert_tf.models.bert import ModelWithEncoder

OFFSETS = ("token_starts", "token_ends", "begins_word")
"""What a batch has of its tokens' places beside the encoder's inputs, int32 (batch, length)."""


class BertClassifier(ModelWithEncoder):
    """Scores of the classes of a text, or of a pair of texts.

    Inputs: the encoder's (see `BertEncoder`). Output: logits (batch, classes), float32.

    Source: Devlin et al. 2019, section 4.1 and figure 4.
    """

    _needs_pooler = True

    def __init__(
        self,
        config: ModelConfig,
        *,
        num_classes: int,
        dropout_rate: float,
        has_pooler: bool = True,
        **kwargs: Any,
    ):
        super().__init__(config, has_pooler=has_pooler, **{"name": "classifier", **kwargs})
        if self._needs_pooler and not has_pooler:
            raise ValueError(
                "has_pooler must be true: the class scores are read from the pooled output. "
                "Received: has_pooler=False."
            )
        self.num_classes = num_classes
        self.dropout_rate = dropout_rate
        self.head = ClassificationHead(
            config.hidden_size,
            num_classes=num_classes,
            dropout_rate=dropout_rate,
            initializer_range=config.initializer_range,
            name="head",
            dtype=self.dtype_policy,
        )

    def build(self, inputs_shape):
        self.encoder.build(inputs_shape)
        self.head.build((None, self.config.hidden_size))

    def call(self, inputs, training=False):
        encoded = self.encoder(inputs, training=training)
        return self.head(encoded["pooled_output"], training=training)

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "dropout_rate": self.dropout_rate,
        }


class BertTokenClassifier(BertClassifier):
    """Scores of the classes of every token.

    Inputs: the encoder's. Output: logits (batch, length, classes), float32.

    Source: Devlin et al. 2019, section 5.3 and figure 4.
    """

    _needs_pooler = False

    def call(self, inputs, training=False):
        encoded = self.encoder(inputs, training=training)
        return self.head(encoded["sequence_output"], training=training)


class BertTokenLabeler(BertTokenClassifier):
    """Scores of the classes of every token, and where the tokens stand in the text.

    Inputs: the encoder's, and `OFFSETS` where answers are made of the scores. Output: a dict of
    `logits` (batch, length, classes), float32, and of the offsets as they came.
    """

    def call(self, inputs, training=False):
        logits = super().call(inputs, training=training)
        return {"logits": logits, **{name: inputs[name] for name in OFFSETS if name in inputs}}


class BertQuestionAnswerer(BertTokenClassifier):
    """Scores of every token as the first and as the last of the answer.

    Inputs: the encoder's, question and passage as a pair. Output: logits (batch, length, 2),
    float32: column 0 the start, column 1 the end.

    Source: Devlin et al. 2019, section 4.2; google-research/bert, run_squad.py.
    """
