"""A table or a file of texts in, its rows with an embedding each out, some at a time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bert_tf.config import TableConfig
from bert_tf.data.tables.writing import output_kind
from bert_tf.exporting.predict_table import OnProgress, TablePredictor, write_answers

EMBEDDING = "embedding"
NumberType = Literal["float32", "int8", "binary"]


def embed_table(
    saved_model_dir: str | Path,
    source: Any,
    output: str | Path,
    *,
    text_field: str | None = None,
    signature_name: str = "embed",
    normalize: bool = False,
    dimensions: int | None = None,
    number_type: NumberType = "float32",
    config: TableConfig | None = None,
    batch_size: int = 64,
    on_progress: OnProgress | None = None,
) -> Path:
    """Write all columns of a table with the column `embedding` beside them, in the table's order.

    Goes on after a kill, as `predict_table`. Some thousand texts are read at a time and encoded
    shortest first, so that little padding is computed. In .parquet an embedding is a list of
    numbers of their type.

    Args:
        source, config, text_field, output, on_progress: see `predict_table`; the stages are `check`
            and `embed`.
        signature_name: one that gives an embedding, such as `embed_query`.
        normalize: to length 1.
        dimensions: keep the first numbers, of length 1, as a model trained with `matryoshka` has
            them. Default: all.
        number_type: see `as_numbers`.

    Raises:
        FileNotFoundError: `saved_model_dir` is no SavedModel, or there is no such source.
        ValueError: as of `predict_table`, or the signature gives no embedding or a shorter one.
    """
    output_kind(Path(output), key="--output")
    predictor = _Embedder(
        saved_model_dir,
        text_field=text_field,
        signature_name=signature_name,
        batch_size=batch_size,
        normalize=normalize,
        dimensions=dimensions,
        number_type=number_type,
    )
    return write_answers(
        predictor, source, output, config=config or TableConfig(), on_progress=on_progress
    )


def as_numbers(vectors: np.ndarray, number_type: NumberType) -> np.ndarray:
    """Embeddings (texts, width), float32, in fewer bytes.

    `int8`: each divided by its largest number, -127 to 127, int8 (texts, width): cosines are those
    of the rounded numbers, and need no scale. `binary`: which numbers are above 0, eight to a byte,
    uint8 (texts, width / 8), the first in the highest bit; Hamming distances order texts.
    """
    if number_type == "int8":
        largest = np.abs(vectors).max(axis=-1, keepdims=True)
        scaled: np.ndarray = np.rint(vectors / np.maximum(largest, 1e-12) * 127.0).astype(np.int8)
        return scaled
    if number_type == "binary":
        packed: np.ndarray = np.packbits(vectors > 0, axis=-1)
        return packed
    return vectors


class _Embedder(TablePredictor):
    rows_at_once = 4096
    stage = "embed"

    def __init__(
        self,
        saved_model_dir: str | Path,
        *,
        normalize: bool,
        dimensions: int | None,
        number_type: NumberType,
        **options: Any,
    ) -> None:
        super().__init__(saved_model_dir, **options)
        self._normalize, self._dimensions = normalize, dimensions
        self._number_type: NumberType = number_type

    @property
    def settings(self) -> dict[str, Any]:
        return super().settings | {
            "normalize": self._normalize,
            "dimensions": self._dimensions,
            "number_type": self._number_type,
        }

    def _answers(self, texts: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        (only, values), *_ = texts.items()
        order = np.argsort([len(text) for text in values], kind="stable")
        answers = self.signature.answer(
            {only: [values[row] for row in order]}, batch_size=self.batch_size
        )
        if EMBEDDING not in answers:
            raise ValueError(
                f"{self.signature.name} must give an embedding. Received: "
                f"{', '.join(answers)}. Give another signature."
            )
        vectors = np.empty((len(order), len(answers[EMBEDDING][0])), np.float32)
        vectors[order] = answers[EMBEDDING]
        return {EMBEDDING: as_numbers(self._cut(vectors), self._number_type)}

    def _cut(self, vectors: np.ndarray) -> np.ndarray:
        if self._dimensions is not None and self._dimensions > vectors.shape[1]:
            raise ValueError(
                f"dimensions must be at most the embedding's, {vectors.shape[1]}. Received: "
                f"{self._dimensions}. Lower it."
            )
        vectors = vectors[:, : self._dimensions]
        if self._normalize or self._dimensions is not None:
            lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
            vectors = vectors / np.maximum(lengths, 1e-12)
        return vectors
