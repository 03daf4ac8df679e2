"""Makes the signatures of a SavedModel: those of its task, or of its kind of model.

Every signature takes and gives tensors whose first dimension is the batch, so that TF Serving's
row form can ask any of them. Text is tokenised in the graph by the training tokenizer. Their
names, inputs and outputs are a contract: docs/serving.md has them in a table.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.exporting.texts import TextInputs
from bert_tf.models.bert import ENCODER_INPUTS
from bert_tf.models.description import ModelDescription
from bert_tf.models.embedder import normalized, pool_tokens
from bert_tf.tasks.base import Signature, Task
from bert_tf.tasks.examples import TEXT, TEXT_PAIR
from bert_tf.tasks.table import task_of

Signatures = dict[str, Any]
DEFAULT = "serving_default"
FILL_MASK = "fill_mask"


class ServingModel(tf.Module):
    """A model, its tokenizer and its signatures: what is written as a SavedModel."""

    def __init__(
        self,
        model: keras.Model,
        text_inputs: TextInputs,
        description: ModelDescription,
        *,
        top_k: int = 5,
    ):
        super().__init__(name="serving_model")
        self.text_inputs = text_inputs
        self.tokenizer = text_inputs.tokenizer
        self.weights = [weight.value for weight in model.weights]  # tracked, so they are saved
        self.vocabulary = tf.constant(self.tokenizer.vocabulary)
        parts = Parts(model, text_inputs, description, self.vocabulary, top_k)
        common = _of_every_kind(parts)
        task = task_of(description)
        own = BUILDERS[description.kind](parts) if task is None else _of_task(task, parts)
        self.answers = {DEFAULT: common["embed"], **common, **own}
        declared = {} if task is None else task.signatures(description)
        self.methods = {name: signature.method for name, signature in declared.items()}


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


def _of_every_kind(parts: Parts) -> Signatures:
    embedding = _shared(lambda inputs: _embedding(parts, inputs))

    def embed(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embedding": embedding(parts.text_inputs(text))}

    def embed_normalized(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embedding": normalized(embedding(parts.text_inputs(text)))}

    def tokenize(text: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = parts.text_inputs(text)
        return {"tokens": tf.gather(parts.vocabulary, inputs["input_ids"]), **inputs}

    functions = {"embed": embed, "embed_normalized": embed_normalized, "tokenize": tokenize}
    return {name: _with_texts(function, names=[TEXT]) for name, function in functions.items()}


def _embedding(parts: Parts, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
    """(batch, hidden), float32: as the model pools, else the pooler's output, else the mean."""
    if parts.description.kind == "encoder":
        return parts.model(inputs, training=False)["embedding"]
    encoded = parts.model.encoder(inputs, training=False)
    if parts.description.has_pooler:
        return tf.cast(encoded["pooled_output"], tf.float32)
    hidden = tf.cast(encoded["sequence_output"], tf.float32)
    return pool_tokens(hidden, inputs["input_mask"], pooling="mean")


def _of_task(task: Task, parts: Parts) -> Signatures:
    """What the task says that its answers are given as, all of them of one graph."""
    names = task.input_names(parts.description)

    @_shared
    def answer(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return task.decode(parts.model(inputs, training=False), parts.description)

    def make(signature: Signature) -> Any:
        def of_texts(*texts: tf.Tensor) -> dict[str, tf.Tensor]:
            return signature.gives(answer(parts.text_inputs(*texts)))

        if signature.takes == "token_ids":
            return _with_token_ids(lambda inputs: signature.gives(answer(inputs)))
        with_inputs = _with_texts if signature.takes == "texts" else _with_examples
        return with_inputs(of_texts, names=names)

    return {name: make(signature) for name, signature in task.signatures(parts.description).items()}


def _encoder(parts: Parts) -> Signatures:
    def encode(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return dict(parts.model(inputs, training=False))

    return {"token_ids": _with_token_ids(encode)}


def _tokens(parts: Parts) -> Signatures:
    """Scores of tokens belong to the caller's token ids: there is no text signature."""

    def score(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {"logits": parts.model(inputs, training=False)}  # (batch, length, classes)

    scorer = _with_token_ids(score)
    return {DEFAULT: scorer, "token_ids": scorer}


def _pretraining(parts: Parts) -> Signatures:
    mask_id = parts.tokenizer.mask_id
    top_k = min(parts.top_k, parts.tokenizer.vocab_size)

    def fill_mask(text: tf.Tensor) -> dict[str, tf.Tensor]:
        """The likeliest tokens at the first [MASK] of each text."""
        inputs = parts.text_inputs(text, with_masks=True)
        is_mask = tf.equal(inputs["input_ids"], mask_id)
        check = tf.debugging.Assert(
            tf.reduce_all(tf.reduce_any(is_mask, axis=1)),
            ["fill_mask needs [MASK] in every text, within the maximum length. Received:", text],
        )
        with tf.control_dependencies([check]):
            position = tf.argmax(tf.cast(is_mask, tf.int32), axis=1, output_type=tf.int32)
        inputs["masked_lm_positions"] = position[:, tf.newaxis]
        logits = parts.model(inputs, training=False)["masked_lm_logits"][:, 0]  # (batch, tokens)
        scores, ids = tf.math.top_k(tf.nn.softmax(logits), k=top_k)
        return {"tokens": tf.gather(parts.vocabulary, ids), "scores": scores}

    def next_sentence(text: tf.Tensor, text_pair: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = parts.text_inputs(text, text_pair)
        inputs["masked_lm_positions"] = tf.zeros_like(inputs["input_ids"][:, :1])
        logits = parts.model(inputs, training=False)["next_sentence_logits"]
        # Class 0 of the head is "follows" (see BertPretrainer).
        return {"is_next_probability": tf.nn.softmax(logits)[:, 0]}

    def encode(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return dict(parts.model.encoder(inputs, training=False))

    answers = {"token_ids": _with_token_ids(encode)}
    if parts.description.has_next_sentence:
        answers["next_sentence"] = _with_texts(next_sentence, names=[TEXT, TEXT_PAIR])
    if parts.description.has_masked_lm:
        answers[FILL_MASK] = _with_texts(fill_mask, names=[TEXT])
    return {DEFAULT: answers.get(FILL_MASK) or answers["next_sentence"], **answers}


BUILDERS: dict[str, Callable[[Parts], Signatures]] = {
    "encoder": _encoder,
    "pretraining": _pretraining,
    "question_answering": _tokens,
    "token_classification": _tokens,
}
"""A kind of model that is no task's -> its own signatures."""


def _shared(function: Callable) -> Any:
    """A function of the encoder's inputs that several signatures call: one graph for all."""
    return tf.function(
        function,
        autograph=False,
        input_signature=[
            {name: tf.TensorSpec([None, None], tf.int32, name=name) for name in ENCODER_INPUTS}
        ],
    )


def _with_texts(function: Callable, *, names: Sequence[str]) -> Any:
    return tf.function(function, autograph=False).get_concrete_function(
        *(tf.TensorSpec([None], tf.string, name=name) for name in names)
    )


def _with_examples(function: Callable, *, names: Sequence[str]) -> Any:
    """Of serialised `tf.Example`s with the texts as features: what Classify and Regress send."""
    features = {name: tf.io.FixedLenFeature([], tf.string) for name in names}

    def from_examples(inputs: tf.Tensor) -> Any:
        columns = tf.io.parse_example(inputs, features)
        return function(*(columns[name] for name in features))

    return tf.function(from_examples, autograph=False).get_concrete_function(
        tf.TensorSpec([None], tf.string, name="inputs")
    )


def _with_token_ids(function: Callable) -> Any:
    def from_ids(input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor) -> Any:
        outputs = function(
            {"input_ids": input_ids, "input_mask": input_mask, "segment_ids": segment_ids}
        )
        return {  # what REST can write, whatever the model computes in
            name: tf.cast(value, tf.float32) if value.dtype.is_floating else value
            for name, value in outputs.items()
        }

    return tf.function(from_ids, autograph=False).get_concrete_function(
        *(tf.TensorSpec([None, None], tf.int32, name=name) for name in ENCODER_INPUTS)
    )
