"""The functions a SavedModel answers with, one builder a kind of model.

Every signature takes and gives tensors whose first dimension is the batch, so that TF Serving's
row form can ask any of them. Text is tokenised in the graph by the training tokenizer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from bert_tf.data.text.packing import pack
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.models.bert import ENCODER_INPUTS
from bert_tf.models.folder import ModelDescription

Signatures = dict[str, Any]
DEFAULT = "serving_default"
FILL_MASK = "fill_mask"


class ServingModel(tf.Module):
    """A model, its tokenizer and its signatures: what is written as a SavedModel."""

    def __init__(
        self,
        model: keras.Model,
        tokenizer: Tokenizer,
        description: ModelDescription,
        *,
        max_seq_length: int,
        top_k: int = 5,
    ):
        super().__init__(name="serving_model")
        self.tokenizer = tokenizer
        self.weights = [weight.value for weight in model.weights]  # tracked, so they are saved
        self.vocabulary = tf.constant(tokenizer.vocabulary)
        text = _TextToInputs(tokenizer, max_seq_length=max_seq_length)
        builders: dict[str, Callable[[_Parts], Signatures]] = {
            "classification": _classification,
            "encoder": _encoder,
            "pretraining": _pretraining,
            "question_answering": _tokens,
            "token_classification": _tokens,
        }
        self.answers = builders[description.kind](
            _Parts(model, text, description, self.vocabulary, top_k)
        )


class _TextToInputs:
    """Texts, or texts and their seconds, to the encoder's inputs, padded to the longest."""

    def __init__(self, tokenizer: Tokenizer, *, max_seq_length: int):
        self.tokenizer = tokenizer
        self.max_seq_length = max_seq_length

    def __call__(
        self, text: tf.Tensor, text_pair: tf.Tensor | None = None, *, with_masks: bool = False
    ) -> dict[str, tf.Tensor]:
        tokenize = self.tokenizer.tokenize_with_masks if with_masks else self.tokenizer.tokenize
        return pack(
            tokenize(text),
            None if text_pair is None else self.tokenizer.tokenize(text_pair),
            max_seq_length=self.max_seq_length,
            cls_id=self.tokenizer.cls_id,
            sep_id=self.tokenizer.sep_id,
            pad_id=self.tokenizer.pad_id,
        )


@dataclass(frozen=True)
class _Parts:
    """What signatures are made of."""

    model: keras.Model
    text_to_inputs: _TextToInputs
    description: ModelDescription
    vocabulary: tf.Tensor
    top_k: int
    """Tokens that `fill_mask` gives."""


def _classification(parts: _Parts) -> Signatures:
    names = tf.constant(parts.description.class_names)

    def answer(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        probabilities = tf.nn.softmax(parts.model(inputs, training=False))  # (batch, classes)
        best = tf.argmax(probabilities, axis=-1)  # (batch,)
        return {
            "label": tf.gather(names, best),
            "score": tf.reduce_max(probabilities, axis=-1),
            "probabilities": probabilities,
            "labels": tf.repeat(names[tf.newaxis], tf.shape(probabilities)[0], axis=0),
        }

    if parts.description.has_text_pairs:
        default = _with_texts(
            lambda text, text_pair: answer(parts.text_to_inputs(text, text_pair)), pair=True
        )
    else:
        default = _with_texts(lambda text: answer(parts.text_to_inputs(text)), pair=False)
    return {DEFAULT: default, "token_ids": _with_token_ids(answer)}


def _encoder(parts: _Parts) -> Signatures:

    def embed(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embedding": parts.model(parts.text_to_inputs(text), training=False)["embedding"]}

    def encode(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return dict(parts.model(inputs, training=False))

    embedder = _with_texts(embed, pair=False)
    return {DEFAULT: embedder, "embed": embedder, "token_ids": _with_token_ids(encode)}


def _tokens(parts: _Parts) -> Signatures:
    """Scores of tokens belong to the caller's token ids: there is no text signature."""

    def score(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {"logits": parts.model(inputs, training=False)}  # (batch, length, classes)

    scorer = _with_token_ids(score)
    return {DEFAULT: scorer, "token_ids": scorer}


def _pretraining(parts: _Parts) -> Signatures:
    mask_id = parts.text_to_inputs.tokenizer.mask_id
    top_k = min(parts.top_k, len(parts.text_to_inputs.tokenizer.vocabulary))

    def fill_mask(text: tf.Tensor) -> dict[str, tf.Tensor]:
        """The likeliest tokens at the first [MASK] of each text."""
        inputs = parts.text_to_inputs(text, with_masks=True)
        is_mask = tf.equal(inputs["input_ids"], mask_id)
        check = tf.debugging.Assert(
            tf.reduce_all(tf.reduce_any(is_mask, axis=1)),
            ["fill_mask needs [MASK] in every text, within the maximum length. Received:", text],
        )
        with tf.control_dependencies([check]):
            position = tf.argmax(tf.cast(is_mask, tf.int32), axis=1, output_type=tf.int32)
        inputs["masked_lm_positions"] = position[:, tf.newaxis]
        logits = parts.model(inputs, training=False)["masked_lm_logits"][
            :, 0
        ]  # (batch, vocabulary)
        scores, ids = tf.math.top_k(tf.nn.softmax(logits), k=top_k)
        return {"tokens": tf.gather(parts.vocabulary, ids), "scores": scores}

    def next_sentence(text: tf.Tensor, text_pair: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = parts.text_to_inputs(text, text_pair)
        inputs["masked_lm_positions"] = tf.zeros_like(inputs["input_ids"][:, :1])
        logits = parts.model(inputs, training=False)["next_sentence_logits"]
        # Class 0 of the head is "follows" (see BertPretrainer).
        return {"is_next_probability": tf.nn.softmax(logits)[:, 0]}

    def encode(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return dict(parts.model.encoder(inputs, training=False))

    answers = {"token_ids": _with_token_ids(encode)}
    if parts.description.has_next_sentence:
        answers["next_sentence"] = _with_texts(next_sentence, pair=True)
    if parts.description.has_masked_lm:
        answers[FILL_MASK] = _with_texts(fill_mask, pair=False)
    return {DEFAULT: answers.get(FILL_MASK) or answers["next_sentence"], **answers}


def _with_texts(function: Callable, *, pair: bool) -> Any:
    names: Sequence[str] = ("text", "text_pair") if pair else ("text",)
    return tf.function(function, autograph=False).get_concrete_function(
        *(tf.TensorSpec([None], tf.string, name=name) for name in names)
    )


def _with_token_ids(function: Callable) -> Any:
    def from_ids(input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor) -> Any:
        return function(
            {"input_ids": input_ids, "input_mask": input_mask, "segment_ids": segment_ids}
        )

    return tf.function(from_ids, autograph=False).get_concrete_function(
        *(tf.TensorSpec([None, None], tf.int32, name=name) for name in ENCODER_INPUTS)
    )
