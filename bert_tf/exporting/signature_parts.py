"""What signatures are made of: functions of texts, of `tf.Example`s and of token ids.

Every one takes and gives tensors whose first dimension is the batch. Those of the encoder's inputs
are one graph for all signatures that call them.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.exporting.example_texts import texts_of_examples
from bert_tf.exporting.length_groups import by_length
from bert_tf.exporting.row_status import OK, STATUS, blanked, not_a_number
from bert_tf.exporting.texts import TextInputs
from bert_tf.exporting.token_rows import TokenRowChecker
from bert_tf.models.bert import ENCODER_INPUTS, vocab_size
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.row_settings import RowSetting

Signatures = dict[str, Any]
EXAMPLES = "inputs"
"""The one input of signatures that take serialised `tf.Example`s."""


@dataclass(frozen=True)
class Parts:
    """What signatures are made of."""

    model: keras.Model
    text_inputs: TextInputs
    description: ModelDescription
    vocabulary: tf.Tensor
    top_k: int
    """Tokens that `fill_mask` gives."""

    @property
    def tokenizer(self) -> Tokenizer:
        return self.text_inputs.tokenizer


def shared(
    function: Callable,
    *,
    names: Sequence[str] = ENCODER_INPUTS,
    settings: Mapping[str, RowSetting] | None = None,
) -> Any:
    """A function of the encoder's inputs that several signatures call: one graph for all.

    `settings`: what it is given of each row besides, (batch).
    """
    specs = [tf.TensorSpec([None, None], tf.int32, name=name) for name in names]
    specs += _specs(settings or {})
    return tf.function(
        by_length(function),
        autograph=False,
        input_signature=[{spec.name: spec for spec in specs}],
    )


def with_texts(
    function: Callable,
    *,
    names: Sequence[str],
    settings: Mapping[str, RowSetting] | None = None,
) -> Any:
    """Of texts, string (batch), and of what a request may set for each of them."""
    return tf.function(function, autograph=False).get_concrete_function(
        *(tf.TensorSpec([None], tf.string, name=name) for name in names), *_specs(settings or {})
    )


def _specs(settings: Mapping[str, RowSetting]) -> list[tf.TensorSpec]:
    return [tf.TensorSpec([None], it.value.dtype, name=name) for name, it in settings.items()]


def with_examples(function: Callable, *, names: Sequence[str], method: str) -> Any:
    """Of serialised `tf.Example`s with the texts as features: what Classify and Regress send.

    These two take no output besides their own: what a refused row has there is all that tells.
    """

    def from_examples(inputs: tf.Tensor) -> Any:
        texts, status = texts_of_examples(inputs, names)
        is_answered = tf.equal(status, OK)
        blank = not_a_number if method == "regress" else tf.zeros_like  # 0 may be a score
        answers = blanked(function(*texts), is_answered, blank=blank)
        return answers if method != "predict" else {**answers, STATUS: status}

    return tf.function(from_examples, autograph=False).get_concrete_function(
        tf.TensorSpec([None], tf.string, name=EXAMPLES)
    )


def with_token_ids(parts: Parts, function: Callable) -> Any:
    """Of ids, which are checked row by row, and of the length of each row.

    Lengths instead of a mask: a server fills rows of different lengths up with whatever number
    comes first in them, which turns a mask's padding into tokens. A number a row is left alone.
    """
    architecture = parts.description.architecture
    check = TokenRowChecker(
        vocab_size=vocab_size(architecture),
        num_segments=max(1, architecture.type_vocab_size),
        max_length=architecture.max_position_embeddings,
        pad_id=parts.tokenizer.pad_id,
    )

    def from_ids(input_ids: tf.Tensor, segment_ids: tf.Tensor, lengths: tf.Tensor) -> Any:
        rows = check(input_ids, segment_ids, lengths)
        outputs = blanked(function(rows.inputs), rows.is_answered)
        answers = {  # what REST can write, whatever the model computes in
            name: tf.cast(value, tf.float32) if value.dtype.is_floating else value
            for name, value in outputs.items()
        }
        return {**answers, STATUS: rows.status}

    return tf.function(from_ids, autograph=False).get_concrete_function(
        tf.TensorSpec([None, None], tf.int32, name="input_ids"),
        tf.TensorSpec([None, None], tf.int32, name="segment_ids"),
        tf.TensorSpec([None], tf.int32, name="lengths"),
    )


def without_padding(
    outputs: dict[str, tf.Tensor], inputs: dict[str, tf.Tensor], per_token: Collection[str]
) -> dict[str, tf.Tensor]:
    """Outputs with zeros at padding in those that have a value a token."""
    is_token = tf.cast(inputs["input_mask"], tf.bool)
    found = {name: value for name, value in outputs.items() if name in per_token}
    return {**outputs, **blanked(found, is_token)}
