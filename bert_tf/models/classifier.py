"""BERT with a head for a labelled task.

Each takes texts a row, (batch, length), or texts in windows, (batch, windows, length), with
`document_columns` beside the encoder's inputs (see `data.text.windows`), where what it says of the
windows is joined. Windows are TensorFlow's alone.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from keras import ops

from bert_tf.config import ModelConfig
from bert_tf.layers.heads import ClassificationHead, Transitions
from bert_tf.models.bert import ENCODER_INPUTS, ModelWithEncoder
from bert_tf.models.description import ModelDescription

OFFSETS = ("token_starts", "token_ends", "begins_word")
"""What a batch has of its tokens' places beside the encoder's inputs, int32 (batch, length)."""


CHOICE_WINDOWS = "choice_windows"
"""What a batch of texts with choices has besides, int32 (batch, choices): how many of a text's rows
each of its choices has, in their order; 0 of one that is missing."""


class BertClassifier(ModelWithEncoder):
    """Scores of the classes of a text, or of a pair of texts.

    Inputs: the encoder's (see `BertEncoder`). Output: logits (batch, classes), float32; of several
    windows their mean, or with `window_join="max"` the maximum of each class.

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
        window_join: Literal["mean", "max"] = "mean",
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
        self.window_join = window_join
        self.head = ClassificationHead(
            config.hidden_size,
            num_classes=num_classes,
            dropout_rate=dropout_rate,
            initializer_range=config.initializer_range,
            name="head",
            dtype=self.dtype_policy,
        )

    @classmethod
    def from_description(
        cls,
        description: ModelDescription,
        *,
        num_classes: int,
        dtype: str,
        rematerialize: bool,
        **options: Any,
    ) -> Self:
        """The described model with random weights, all of them created.

        `options`: further arguments of a class.
        """
        model = cls(
            description.architecture,
            num_classes=num_classes,
            dropout_rate=description.classifier_dropout_prob,
            has_pooler=description.has_pooler,
            window_join=description.window_join,
            rematerialize=rematerialize,
            dtype=dtype,
            **options,
        )
        model.build(dict.fromkeys(ENCODER_INPUTS, (None, None)))
        return model

    def build(self, inputs_shape):
        self.encoder.build(inputs_shape)
        self.head.build((None, self.config.hidden_size))

    def call(self, inputs, training=False):
        if len(inputs["input_ids"].shape) == 2:
            return self.of_rows(inputs, training=training)
        from bert_tf.layers.tensorflow.windows import window_rows

        names = (*ENCODER_INPUTS, "document_columns")
        rows = window_rows({name: inputs[name] for name in names})
        outputs = self.of_rows(rows.inputs, training=training)
        return self.join(
            outputs,
            inputs,
            document_columns=rows.inputs["document_columns"],
            owners=rows.owners,
            num_texts=rows.num_texts,
        )

    def of_rows(self, inputs, training=False):
        """Of inputs (rows, length) what is said of each row, or of each token: (rows, ...)."""
        encoded = self.encoder(inputs, training=training, reads_tokens=False)
        return self.head(encoded["pooled_output"], training=training)

    def join(
        self,
        outputs: Any,
        inputs: Mapping[str, Any],
        *,
        document_columns: Any,
        owners: Any,
        num_texts: Any,
    ) -> Any:
        """Of outputs of windows (rows, ...) those of their texts: (texts, ...), as of `call`.

        Args:
            inputs: what there is of whole texts, (texts, ...), such as `OFFSETS`.
            document_columns, owners: int32 (rows, length) and (rows), see `data.text.windows`.
        """
        from bert_tf.layers.tensorflow.windows import join_rows

        return join_rows(outputs, owners, num_texts=num_texts, how=self.window_join)

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "dropout_rate": self.dropout_rate,
            "window_join": self.window_join,
        }


class BertTokenClassifier(BertClassifier):
    """Scores of the classes of every token.

    Inputs: the encoder's. Output: logits (batch, length, classes), float32. Of windows: those of
    `[CLS] text`, (batch, tokens, classes), as wide as `token_starts`.

    Source: Devlin et al. 2019, section 5.3 and figure 4.
    """

    _needs_pooler = False

    def of_rows(self, inputs, training=False):
        encoded = self.encoder(inputs, training=training)
        return self.head(encoded["sequence_output"], training=training)

    def join(self, outputs, inputs, *, document_columns, owners, num_texts):
        from bert_tf.layers.tensorflow.windows import join_tokens

        width = ops.shape(inputs["token_starts"])[1]
        return join_tokens(outputs, document_columns, owners, num_texts=num_texts, width=width)


class BertTokenLabeler(BertTokenClassifier):
    """Scores of the classes of every token, and where the tokens stand in the text.

    Inputs: the encoder's, and `OFFSETS` where answers are made of the scores. Output: a dict of
    `logits` (batch, length, classes), float32, of the offsets as they came, and with
    `has_transitions` of `transitions` (batch, classes + 1, classes + 1), see `Transitions`.
    """

    def __init__(self, config: ModelConfig, *, has_transitions: bool = False, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.transitions = Transitions(self.num_classes) if has_transitions else None

    def build(self, inputs_shape):
        super().build(inputs_shape)
        if self.transitions is not None:
            self.transitions.build()

    def call(self, inputs, training=False):
        outputs = super().call(inputs, training=training)
        return outputs if isinstance(outputs, dict) else self._told(outputs, inputs)

    def join(self, outputs, inputs, **windows):
        return self._told(super().join(outputs, inputs, **windows), inputs)

    def _told(self, logits, inputs):
        told = _with_offsets(logits, inputs)
        if self.transitions is not None:
            told["transitions"] = self.transitions(logits)
        return told

    def get_config(self):
        return {**super().get_config(), "has_transitions": self.transitions is not None}


class BertQuestionAnswerer(BertTokenClassifier):
    """Scores of every token as the first and as the last of the answer.

    Inputs: the encoder's, question and passage as a pair. Output: logits (batch, length, 2),
    float32: column 0 the start, column 1 the end.

    Of windows of the passage, a dict of `logits` and `OFFSETS` of `[CLS] passage`, (batch, tokens,
    ...). [CLS] stands for no answer: its scores are those of the window that has the least.

    Source: Devlin et al. 2019, section 4.2; google-research/bert, run_squad.py.
    """

    def join(self, outputs, inputs, *, document_columns, owners, num_texts):
        from bert_tf.layers.tensorflow.windows import join_least

        columns = {"document_columns": document_columns, "owners": owners, "num_texts": num_texts}
        logits = super().join(outputs, inputs, **columns)
        no_answer = join_least(outputs[:, 0], owners, num_texts=num_texts)
        logits = ops.concatenate([no_answer[:, None], logits[:, 1:]], axis=1)
        return _with_offsets(logits, inputs)


class BertMultipleChoice(BertClassifier):
    """Scores of the choices that each text has, any number of them.

    Inputs: those of pairs of a text and one of its choices, a row each; of texts with their
    choices (texts, rows, length), with `CHOICE_WINDOWS`. Output: of rows logits (rows, 1); of texts
    a dict of `logits` (texts, choices), float32, 0 where a text has no such choice, and
    `num_choices`, int32 (texts).

    Source: Devlin et al. 2019, section 4.4: the product with one vector is a choice's score.
    """

    def join(self, outputs, inputs, *, document_columns, owners, num_texts):
        from bert_tf.layers.tensorflow.windows import join_choices

        logits, num_choices = join_choices(
            outputs[:, 0], inputs[CHOICE_WINDOWS], how=self.window_join
        )
        return {"logits": logits, "num_choices": num_choices}


def _with_offsets(logits, inputs):
    return {"logits": logits, **{name: inputs[name] for name in OFFSETS if name in inputs}}
