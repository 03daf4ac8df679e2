"""Makes the signatures of a task's model: answers to texts, to `tf.Example`s, to token ids."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from bert_tf.exporting import token_rows
from bert_tf.exporting.row_status import refused, same_number_of_rows
from bert_tf.exporting.signature_parts import (
    Parts,
    Signatures,
    shared,
    with_examples,
    with_texts,
    with_token_ids,
    without_padding,
)
from bert_tf.exporting.texts import TextWindows
from bert_tf.models.bert import ENCODER_INPUTS
from bert_tf.models.classifier import OFFSETS
from bert_tf.tasks.base import Signature, Task
from bert_tf.tasks.row_settings import RowSetting


def of_task(task: Task, parts: Parts) -> Signatures:
    """What the task says that its answers are given as, of one graph, or of two with settings."""
    makers = _Makers(task, parts)
    return {
        name: makers.make(signature)
        for name, signature in task.signatures(parts.description).items()
    }


class _Makers:
    """Makes the signatures of one model, which share its graphs."""

    def __init__(self, task: Task, parts: Parts) -> None:
        self._task, self._parts = task, parts
        self._names = task.input_names(parts.description)
        self._settings = task.row_settings(parts.description)
        self._is_windowed = task.is_windowed(parts.description)
        self._answer_windows = _answer_windows(task, parts)
        offset_names = OFFSETS if task.reads_offsets else ()

        def answer_rows(settings: Mapping[str, RowSetting]) -> Any:
            return shared(
                lambda inputs: _answers(task, parts, inputs),
                names=(*ENCODER_INPUTS, *offset_names),
                settings=settings,
            )

        # Without settings the graph has them as constants, and leaves out what these do not need.
        self._answer_rows = {"none": answer_rows({}), "taken": answer_rows(self._settings)}

    def make(self, signature: Signature) -> Any:
        """The function."""
        if signature.settings == "told":
            return with_texts(self._told_settings, names=self._names)
        if signature.takes == "token_ids":
            return with_token_ids(self._parts, functools.partial(self._of_ids, signature))
        of_texts = functools.partial(self._of_texts, signature)
        if signature.takes == "examples":
            return with_examples(of_texts, names=self._names, method=signature.method)
        settings = self._settings if signature.settings == "taken" else {}
        return with_texts(of_texts, names=self._names, settings=settings)

    def _of_texts(self, signature: Signature, *columns: tf.Tensor) -> dict[str, tf.Tensor]:
        texts, numbers = columns[: len(self._names)], columns[len(self._names) :]
        if signature.prefix:
            texts = (tf.strings.join([signature.prefix, texts[0]]), *texts[1:])
        text_inputs = self._parts.text_inputs
        names = [*self._names, *self._settings] if numbers else []
        with tf.control_dependencies([same_number_of_rows(names, *columns)] if numbers else []):
            settings = dict(zip(names[len(texts) :], map(tf.identity, numbers), strict=True))
        if self._is_windowed:
            windows = self._task.in_windows(texts, text_inputs)
            outputs = signature.gives(self._answer_windows(windows))
        else:
            inputs = text_inputs(*texts, with_offsets=self._task.reads_offsets)
            outputs = self._of_rows(signature, {**inputs, **settings})
        outputs = self._task.about_texts(outputs, dict(zip(self._names, texts, strict=True)))
        return refused(outputs, self._task.setting_faults(settings)) if settings else outputs

    def _of_ids(self, signature: Signature, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        special_ids = self._parts.tokenizer.special_ids
        offsets = token_rows.with_offsets(inputs, special_ids=special_ids)
        if not self._task.is_always_windowed:
            return self._of_rows(signature, offsets if self._task.reads_offsets else inputs)
        return signature.gives(self._answer_windows(token_rows.as_windows(offsets)))

    def _of_rows(self, signature: Signature, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        outputs = self._answer_rows[signature.settings](inputs)
        return without_padding(signature.gives(outputs), inputs, signature.per_token)

    def _told_settings(self, *texts: tf.Tensor) -> dict[str, tf.Tensor]:
        """What the model has where a request sets nothing, for each text."""
        return {
            name: tf.fill(tf.shape(texts[0]), setting.value)
            for name, setting in self._settings.items()
        }


def _answers(task: Task, parts: Parts, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    description, tokenizer = parts.description, parts.tokenizer
    predicted = task.predict(parts.model, inputs, description, tokenizer=tokenizer)
    return task.written(task.decode(predicted, description), tokenizer=tokenizer)


def _answer_windows(task: Task, parts: Parts) -> Callable[[TextWindows], dict[str, tf.Tensor]]:
    """Answers to texts, of what the model says of each window."""
    score = shared(lambda inputs: parts.model.of_rows(inputs, training=False))  # traced if called

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
