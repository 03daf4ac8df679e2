"""Texts in, the answers of an exported SavedModel out, in this process."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.exporting.loading import load_saved_model
from bert_tf.exporting.signature_parts import EXAMPLES
from bert_tf.exporting.signatures import DEFAULT
from bert_tf.exporting.version_folders import newest_version
from bert_tf.models.description import DESCRIPTION_FILE, ModelDescription, load_description
from bert_tf.system.listing import listed
from bert_tf.system.lookalikes import alike_hint
from bert_tf.tasks.base import Task
from bert_tf.tasks.examples import TEXT, TEXT_PAIR
from bert_tf.tasks.table import in_order, task_of


class TextSignature:
    """A signature of a SavedModel on disk, asked with texts.

    Raises:
        FileNotFoundError: `saved_model_dir` is no SavedModel.
        ValueError: it is damaged, or there is no such signature.
    """

    def __init__(self, saved_model_dir: str | Path, signature_name: str = DEFAULT) -> None:
        self.name = signature_name
        self.directory = newest_version(saved_model_dir)
        # The functions live as long as the model that they are of.
        self._model = load_saved_model(self.directory)
        signatures = self._model.signatures
        if signature_name not in signatures:
            raise ValueError(
                f"{self.directory}: signature_name must be one of {sorted(signatures)}. "
                f"Received: {signature_name!r}.{alike_hint(signature_name, signatures)}"
            )
        self._function = signatures[signature_name]
        extra = self.directory / "assets.extra"
        has_description = (extra / DESCRIPTION_FILE).is_file()
        self.description: ModelDescription | None = (
            load_description(extra) if has_description else None
        )
        """Of the model; None of a SavedModel that another program wrote."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """What it takes, the first text first: such as `text`, or `text` and `text_pair`."""
        return in_order(self._function.structured_input_signature[1], self.description)

    @property
    def task(self) -> Task | None:
        """That of the model, where this signature takes what the task's own do."""
        found = None if self.description is None else task_of(self.description)
        if found is None or self.description is None:
            return None
        return found if self.inputs == found.input_names(self.description) else None

    @property
    def takes_texts(self) -> bool:
        """Whether it is asked with texts: no token ids, no serialised `tf.Example`s."""
        specs = self._function.structured_input_signature[1]
        return set(specs) != {EXAMPLES} and all(it.dtype == tf.string for it in specs.values())

    def answer(
        self, columns: Mapping[str, Sequence[str]], *, batch_size: int
    ) -> dict[str, list[Any]]:
        """Its outputs, one value a text.

        Raises:
            ValueError: the signature fails.
        """
        return ask_signature(self._function, columns, name=self.name, batch_size=batch_size)


def ask_signature(
    function: Callable[..., Mapping[str, tf.Tensor]],
    columns: Mapping[str, Any],
    *,
    name: str,
    batch_size: int,
) -> dict[str, list[Any]]:
    """The outputs of a signature's function, one value a text.

    `columns`: strings, or an array of numbers, one a text.

    Raises:
        ValueError: the signature, whose `name` the message has, fails.
    """
    answers: dict[str, list[Any]] = {}
    for batch in text_batches(columns, batch_size=batch_size):
        try:
            outputs = function(**batch)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(f"{name}: {error.message}") from error
        except tf.errors.OpError as error:
            raise ValueError(
                f"{name}: the signature must answer every text. Received: {error.message}. Copy "
                "the SavedModel again, or export the model again."
            ) from error
        for output, value in sorted(outputs.items()):
            answers.setdefault(output, []).extend(map(_to_text, value.numpy().tolist()))
    return answers


def predict_texts(
    saved_model_dir: str | Path,
    texts: Sequence[str],
    *,
    text_pairs: Sequence[str] | None = None,
    signature_name: str = DEFAULT,
    batch_size: int = 32,
) -> list[dict[str, Any]]:
    """Answers of a SavedModel on disk, one dict a text.

    Raises:
        FileNotFoundError: `saved_model_dir` is no SavedModel.
        ValueError: no such signature, or pairs where the model takes single texts (or reverse).
    """
    columns = [texts] if text_pairs is None else [texts, text_pairs]
    signature = TextSignature(saved_model_dir, signature_name)
    return _rows(signature, _named(signature, columns), batch_size=batch_size)


def predict_lines(
    saved_model_dir: str | Path,
    lines: Sequence[str],
    *,
    signature_name: str = DEFAULT,
    batch_size: int = 32,
) -> list[dict[str, Any]]:
    """As `predict_texts`, of lines: a text each, or two with a tab between them; what a line with
    more of them is, the model's task says (a text and its choices).

    Raises:
        ValueError: as of `predict_texts`, or lines have different numbers of texts.
    """
    signature = TextSignature(saved_model_dir, signature_name)
    rows = [tuple(line.split("\t")) for line in lines]
    if (task := signature.task) is not None:
        rows = [task.texts_of_parts(row) for row in rows]
    if len({len(row) for row in rows}) > 1 or any(len(row) > 2 for row in rows):
        raise ValueError(
            "Every line must be one text, or every line two texts with one tab between them. "
            f"Received: lines of {sorted({len(row) for row in rows})} parts."
        )
    columns = list(zip(*rows, strict=True)) or [()]
    return _rows(signature, _named(signature, columns), batch_size=batch_size)


def predict_inputs(
    saved_model_dir: str | Path,
    columns: Mapping[str, Sequence[str]],
    *,
    signature_name: str = DEFAULT,
    batch_size: int = 32,
) -> list[dict[str, Any]]:
    """As `predict_texts`, of a signature's inputs by their names."""
    signature = TextSignature(saved_model_dir, signature_name)
    return _rows(signature, columns, batch_size=batch_size)


def _named(signature: TextSignature, columns: Sequence[Sequence[str]]) -> dict[str, Sequence[str]]:
    """First and second texts by the signature's names; others, to be refused, by usual ones."""
    names = signature.inputs
    if len(names) != len(columns):
        names = (TEXT, TEXT_PAIR)
    return dict(zip(names, columns, strict=False))


def _rows(
    signature: TextSignature, columns: Mapping[str, Sequence[str]], *, batch_size: int
) -> list[dict[str, Any]]:
    if set(signature.inputs) != set(columns):
        raise ValueError(
            f"{signature.name} takes {list(signature.inputs)}. Received: "
            f"[{listed(map(repr, columns))}]. A tab separates the two texts of a pair."
        )
    answers = signature.answer(columns, batch_size=batch_size)
    return [dict(zip(answers, row, strict=True)) for row in zip(*answers.values(), strict=True)]


def text_batches(columns: Mapping[str, Any], *, batch_size: int) -> Iterator[dict[str, tf.Tensor]]:
    """A signature's inputs, `batch_size` texts at a time."""
    for start in range(0, len(next(iter(columns.values()))), batch_size):
        yield {
            name: tf.constant(_listed(values[start : start + batch_size]))
            for name, values in columns.items()
        }


def _listed(values: Sequence[Any]) -> Any:
    """Arrays as they are, whose type would be lost: TensorFlow makes int32 of a list."""
    return values if isinstance(values, np.ndarray) else list(values)


def _to_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_to_text(item) for item in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
