"""Makes the signatures of a SavedModel: those of its task, or of its kind of model.

Every signature takes and gives tensors whose first dimension is the batch, so that TF Serving's
row form can ask any of them. Text is tokenised in the graph by the training tokenizer. Their
names, inputs and outputs are a contract: docs/serving.md has them in a table.

A batch may hold rows of several clients. So what a row answers is a matter of that row alone: no
signature fails for what one holds (`row_status`), and none reads what fills a row up.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.exporting import token_rows
from bert_tf.exporting.example_texts import texts_of_examples
from bert_tf.exporting.length_groups import by_length
from bert_tf.exporting.row_status import OK, STATUS, blanked, first_fault, not_a_number
from bert_tf.exporting.texts import TextInputs, TextWindows
from bert_tf.exporting.token_rows import TokenRowChecker
from bert_tf.layers.served_form import served_form
from bert_tf.models.bert import ENCODER_INPUTS, vocab_size
from bert_tf.models.classifier import OFFSETS
from bert_tf.models.description import ModelDescription
from bert_tf.models.embedder import normalized, pool_tokens
from bert_tf.tasks.base import Signature, Task
from bert_tf.tasks.examples import TEXT, TEXT_PAIR
from bert_tf.tasks.table import task_of

Signatures = dict[str, Any]
DEFAULT = "serving_default"
FILL_MASK = "fill_mask"
EXAMPLES = "inputs"
"""The one input of signatures that take serialised `tf.Example`s."""


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
        own = BUILDERS[description.kind](parts) if task is None else _of_task(task, parts)
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


def _variables(answers: Signatures) -> list[tf.Variable]:
    """What the signatures read."""
    found = {id(it): it for function in answers.values() for it in function.variables}
    return list(found.values())


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
        lengths = tf.reduce_sum(inputs["input_mask"], axis=1)
        tokens = tf.gather(parts.vocabulary, inputs["input_ids"])
        return {"tokens": tokens, "lengths": lengths, **inputs}

    functions = {"embed": embed, "embed_normalized": embed_normalized, "tokenize": tokenize}
    return {name: _with_texts(function, names=[TEXT]) for name, function in functions.items()}


def _embedding(parts: Parts, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
    """(batch, hidden), float32: as the model pools, else the pooler's output, else the mean."""
    if parts.description.kind == "encoder":
        return parts.model(inputs, training=False)["embedding"]
    has_pooler = parts.description.has_pooler
    encoded = parts.model.encoder(inputs, training=False, reads_tokens=not has_pooler)
    if has_pooler:
        return tf.cast(encoded["pooled_output"], tf.float32)
    hidden = tf.cast(encoded["sequence_output"], tf.float32)
    return pool_tokens(hidden, inputs["input_mask"], pooling="mean")


def _of_task(task: Task, parts: Parts) -> Signatures:
    """What the task says that its answers are given as, all of them of one graph."""
    description, offset_names = parts.description, OFFSETS if task.reads_offsets else ()
    names = task.input_names(description)
    is_windowed = task.is_windowed(description)
    answer_rows = _shared(
        lambda inputs: _answers(task, parts, inputs),
        names=(*ENCODER_INPUTS, *offset_names),
    )
    answer_windows = _answer_windows(task, parts)

    def make(signature: Signature) -> Any:
        def of_rows(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            outputs = answer_rows(inputs)
            return _without_padding(signature.gives(outputs), inputs, signature.per_token)

        def of_ids(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            offsets = token_rows.with_offsets(inputs, special_ids=parts.tokenizer.special_ids)
            if not task.is_always_windowed:
                return of_rows(offsets if task.reads_offsets else inputs)
            return signature.gives(answer_windows(token_rows.as_windows(offsets)))

        def of_texts(*texts: tf.Tensor) -> dict[str, tf.Tensor]:
            if is_windowed:
                outputs = signature.gives(answer_windows(task.in_windows(texts, parts.text_inputs)))
            else:
                outputs = of_rows(parts.text_inputs(*texts, with_offsets=task.reads_offsets))
            return task.about_texts(outputs, dict(zip(names, texts, strict=True)))

        if signature.takes == "token_ids":
            return _with_token_ids(parts, of_ids)
        if signature.takes == "examples":
            return _with_examples(of_texts, names=names, method=signature.method)
        return _with_texts(of_texts, names=names)

    return {name: make(signature) for name, signature in task.signatures(description).items()}


def _answers(task: Task, parts: Parts, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    description, tokenizer = parts.description, parts.tokenizer
    predicted = task.predict(parts.model, inputs, description, tokenizer=tokenizer)
    return task.written(task.decode(predicted, description), tokenizer=tokenizer)


def _answer_windows(task: Task, parts: Parts) -> Callable[[TextWindows], dict[str, tf.Tensor]]:
    """Answers to texts, of what the model says of each window."""
    score = _shared(lambda inputs: parts.model.of_rows(inputs, training=False))  # traced if called

    def answer(windows: TextWindows) -> dict[str, tf.Tensor]:
        inputs, owners = windows.rows
        outputs = parts.model.join(
            score({name: inputs[name] for name in ENCODER_INPUTS}),
            windows.offsets,
            document_columns=inputs["document_columns"],
            owners=owners,
            num_texts=windows.num_texts,
        )
        return task.decode(outputs, parts.description)

    return answer


def _encoder(parts: Parts) -> Signatures:
    def encode(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return dict(parts.model(inputs, training=False))

    return {"token_ids": _with_token_ids(parts, encode)}


def _tokens(parts: Parts) -> Signatures:
    """Scores of tokens belong to the caller's token ids: there is no text signature."""

    def score(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        logits = {"logits": parts.model(inputs, training=False)}  # (batch, length, classes)
        return _without_padding(logits, inputs, ["logits"])

    scorer = _with_token_ids(parts, score)
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

    answers = {"token_ids": _with_token_ids(parts, encode)}
    if parts.description.has_next_sentence:
        answers["next_sentence"] = _with_texts(next_sentence, names=[TEXT, TEXT_PAIR])
    if parts.description.has_masked_lm:
        answers[FILL_MASK] = _with_texts(_mask_filler(parts), names=[TEXT])
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


def _shared(function: Callable, *, names: Sequence[str] = ENCODER_INPUTS) -> Any:
    """A function of the encoder's inputs that several signatures call: one graph for all."""
    return tf.function(
        by_length(function),
        autograph=False,
        input_signature=[
            {name: tf.TensorSpec([None, None], tf.int32, name=name) for name in names}
        ],
    )


def _with_texts(function: Callable, *, names: Sequence[str]) -> Any:
    return tf.function(function, autograph=False).get_concrete_function(
        *(tf.TensorSpec([None], tf.string, name=name) for name in names)
    )


def _with_examples(function: Callable, *, names: Sequence[str], method: str) -> Any:
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


def _with_token_ids(parts: Parts, function: Callable) -> Any:
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


def _without_padding(
    outputs: dict[str, tf.Tensor], inputs: dict[str, tf.Tensor], per_token: Collection[str]
) -> dict[str, tf.Tensor]:
    """Outputs with zeros at padding in those that have a value a token."""
    is_token = tf.cast(inputs["input_mask"], tf.bool)
    found = {name: value for name, value in outputs.items() if name in per_token}
    return {**outputs, **blanked(found, is_token)}
