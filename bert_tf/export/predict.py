"""`bert-tf predict`: texts in, the answers of an exported SavedModel out, in this process."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the tokenizer's ops for loading)

from bert_tf.export.signatures import DEFAULT
from bert_tf.export.version_folders import newest_version


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
        ValueError: no such signature, pairs where the model takes single texts (or reverse), or
            texts that the signature refuses (`fill_mask` without [MASK]).
    """
    columns: dict[str, Sequence[str]] = {"text": texts}
    if text_pairs is not None:
        columns["text_pair"] = text_pairs
    return predict_inputs(
        saved_model_dir, columns, signature_name=signature_name, batch_size=batch_size
    )


def predict_inputs(
    saved_model_dir: str | Path,
    columns: Mapping[str, Sequence[str]],
    *,
    signature_name: str = DEFAULT,
    batch_size: int = 32,
) -> list[dict[str, Any]]:
    """As `predict_texts`, of a signature's inputs by their names."""
    directory = newest_version(saved_model_dir)
    signatures = tf.saved_model.load(str(directory)).signatures
    if signature_name not in signatures:
        raise ValueError(
            f"{directory}: signature_name must be one of {sorted(signatures)}. "
            f"Received: {signature_name!r}."
        )
    function = signatures[signature_name]
    wanted = set(function.structured_input_signature[1])
    if wanted != set(columns):
        raise ValueError(
            f"{signature_name} takes {sorted(wanted)}. Received: {sorted(columns)}. "
            "A tab separates the two texts of a pair."
        )
    answers: list[dict[str, Any]] = []
    for batch in text_batches(columns, batch_size=batch_size):
        try:
            answers += _rows(function(**batch))
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(f"{signature_name}: {error.message}") from error
    return answers


def text_batches(
    columns: Mapping[str, Sequence[str]], *, batch_size: int
) -> Iterator[dict[str, tf.Tensor]]:
    """A signature's inputs, `batch_size` texts at a time."""
    for start in range(0, len(next(iter(columns.values()))), batch_size):
        yield {
            name: tf.constant(list(values[start : start + batch_size]))
            for name, values in columns.items()
        }


def _rows(outputs: Mapping[str, tf.Tensor]) -> list[dict[str, Any]]:
    columns = {name: value.numpy().tolist() for name, value in sorted(outputs.items())}
    return [
        dict(zip(columns, map(_to_text, row), strict=True))
        for row in zip(*columns.values(), strict=True)
    ]


def _to_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_to_text(item) for item in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
