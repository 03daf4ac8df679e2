"""Makes the signatures of a SavedModel: those of its task, or of its kind of model.

Every signature takes and gives tensors whose first dimension is the batch, so that TF Serving's
row form can ask any of them. Text is tokenised in the graph by the training tokenizer. Their
names, inputs and outputs are a contract: docs/serving.md has them in a table.

A batch may hold rows of several clients. So what a row answers is a matter of that row alone: no
signature fails for what one holds (`row_status`), and none reads what fills a row up.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from bert_tf.exporting.row_status import OK, STATUS, blanked, first_fault
from bert_tf.exporting.signature_parts import (
    Parts,
    Signatures,
    shared,
    with_texts,
    with_token_ids,
    without_padding,
)
from bert_tf.exporting.task_signatures import of_task
from bert_tf.exporting.texts import TextInputs
from bert_tf.layers.served_form import served_form
from bert_tf.models.description import ModelDescription
from bert_tf.models.embedder import BertEmbedder, normalized, pool_tokens
from bert_tf.tasks.examples import TEXT, TEXT_PAIR
from bert_tf.tasks.table import task_of

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
        self.vocabulary = tf.constant(self.tokenizer.vocabulary)
        parts = Parts(model, text_inputs, description, self.vocabulary, top_k)
        common = _of_every_kind(parts)
        task = task_of(description)
        own = BUILDERS[description.kind](parts) if task is None else of_task(task, parts)
        self.answers = {DEFAULT: common["embed"], **common, **own}
        # Tracked, so they are saved: the model's, of which it can be built anew; or where forms
        # stand in for them what the signatures read, and nothing else.
        has_forms = any(served_form(layer) is not None for layer in model._flatten_layers())
        self.weights = [] if has_forms else [weight.value for weight in model.weights]
        self.read = _variables(self.answers) if has_forms else []
        declared = {} if task is None else task.signatures(description)
        self.input_names = (TEXT, TEXT_PAIR) if task is None else task.input_names(description)
        """Of the texts that its own signatures take."""
        self.methods = {name: signature.method for name, signature in declared.items()}
        self.row_settings = {} if task is None else task.row_settings(description)
        """What some of its own signatures take beside the texts."""


def _variables(answers: Signatures) -> list[tf.Variable]:
    """What the signatures read."""
    found = {id(it): it for function in answers.values() for it in function.variables}
    return list(found.values())


def _of_every_kind(parts: Parts) -> Signatures:
    embedding = shared(lambda inputs: _embedding(parts, inputs))

    def embed(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embedding": embedding(parts.text_inputs(text))}

    def embed_normalized(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embedding": normalized(embedding(parts.text_inputs(text)))}

    def tokenize(text: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = parts.text_inputs(text)
        lengths = tf.reduce_sum(inputs["input_mask"], axis=1)
        tokens = tf.gather(parts.vocabulary, inputs["input_ids"])
        return {"tokens": tokens, "lengths": lengths, **inputs}

    functions = {"embed": embed, "embed_normalized": embed_normalized, "tokenize": tokenize}
    return {name: with_texts(function, names=[TEXT]) for name, function in functions.items()}


def _embedding(parts: Parts, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
    """(batch, hidden), float32: as the model pools, else the pooler's output, else the mean."""
    if isinstance(parts.model, BertEmbedder):
        return parts.model(inputs, training=False)["embedding"]
    has_pooler = parts.description.has_pooler
    encoded = parts.model.encoder(inputs, training=False, reads_tokens=not has_pooler)
    if has_pooler:
        return tf.cast(encoded["pooled_output"], tf.float32)
    hidden = tf.cast(encoded["sequence_output"], tf.float32)
    return pool_tokens(hidden, inputs["input_mask"], pooling="mean")


def _encoder(parts: Parts) -> Signatures:
    def encode(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return dict(parts.model(inputs, training=False))

    return {"token_ids": with_token_ids(parts, encode)}


def _tokens(parts: Parts) -> Signatures:
    """Scores of tokens belong to the caller's token ids: there is no text signature."""

    def score(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        logits = {"logits": parts.model(inputs, training=False)}  # (batch, length, classes)
        return without_padding(logits, inputs, ["logits"])

    scorer = with_token_ids(parts, score)
    return {DEFAULT: scorer, "token_ids": scorer}


def _pretraining(parts: Parts) -> Signatures:
    def next_sentence(text: tf.Tensor, text_pair: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = parts.text_inputs(text, text_pair)
        inputs["masked_lm_positions"] = tf.zeros_like(inputs["input_ids"][:, :1])
        logits = parts.model(inputs, training=False)["next_sentence_logits"]
        # Class 0 of the head is "follows" (see BertPretrainer).
        return {"is_next_probability": tf.nn.softmax(logits)[:, 0]}

    def encode(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return dict(parts.model.encoder(inputs, training=False))

    answers = {"token_ids": with_token_ids(parts, encode)}
    if parts.description.has_next_sentence:
        answers["next_sentence"] = with_texts(next_sentence, names=[TEXT, TEXT_PAIR])
    if parts.description.has_masked_lm:
        answers[FILL_MASK] = with_texts(_mask_filler(parts), names=[TEXT])
    return {DEFAULT: answers.get(FILL_MASK) or answers["next_sentence"], **answers}


def _mask_filler(parts: Parts) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    mask_id, max_seq_length = parts.tokenizer.mask_id, parts.text_inputs.limits.max_seq_length
    top_k = min(parts.top_k, parts.tokenizer.vocab_size)

    def fill_mask(text: tf.Tensor) -> dict[str, tf.Tensor]:
        """The likeliest tokens at the first [MASK] of each text."""
        inputs = parts.text_inputs(text, with_masks=True)
        is_mask = tf.equal(inputs["input_ids"], mask_id)
        # Of a text without one the first token: it is computed, and not told.
        position = tf.argmax(tf.cast(is_mask, tf.int32), axis=1, output_type=tf.int32)
        inputs["masked_lm_positions"] = position[:, tf.newaxis]
        logits = parts.model(inputs, training=False)["masked_lm_logits"][:, 0]  # (batch, tokens)
        scores, ids = tf.math.top_k(tf.nn.softmax(logits), k=top_k)
        lengths = tf.strings.as_string(tf.reduce_sum(inputs["input_mask"], axis=1))
        sentence = tf.strings.join(
            [
                "fill_mask needs [MASK] in the text, within the maximum length of "
                f"{max_seq_length} tokens. Received: ",
                lengths,
                " tokens without it.",
            ]
        )
        status = first_fault((tf.logical_not(tf.reduce_any(is_mask, axis=1)), sentence))
        answers = {"tokens": tf.gather(parts.vocabulary, ids), "scores": scores}
        return {**blanked(answers, tf.equal(status, OK)), STATUS: status}

    return fill_mask


BUILDERS: dict[str, Callable[[Parts], Signatures]] = {
    "encoder": _encoder,
    "pretraining": _pretraining,
    "token_classification": _tokens,
}
"""A kind of model that is no task's -> its own signatures."""
