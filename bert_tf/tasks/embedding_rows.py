"""Rows of a table in, the texts that an embedding learns from out: pairs, triplets, scored pairs.

anchor                 one text: it is its own positive
anchor, positive       a pair, such as a query and its passage
anchor, positive, …    the same with negatives, such as passages that were mined
anchor, other, score   how alike two texts are
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bert_tf.data.tables.canonical import canonical_text
from bert_tf.data.tables.cells import list_of, text_of
from bert_tf.data.tables.faults import ExampleError, Faults
from bert_tf.data.tables.table import Table
from bert_tf.data.tables.values import numbers_of

log = logging.getLogger(__name__)

NEGATIVES_KEY = "finetuning.task.negative_fields"


@dataclass(frozen=True)
class TextColumns:
    """Columns of a table by what their texts are."""

    anchor: str
    positive: str | None = None
    """The other text of a scored pair, too; None where there are single texts."""
    negatives: tuple[str, ...] = ()
    """A row may lack some, but not the first."""
    score: str | None = None
    keys: tuple[str, str, str] = (
        "finetuning.text_field",
        "finetuning.text_pair_field",
        "finetuning.label_field",
    )
    """The settings that name anchor, positive and score, for errors."""


@dataclass(frozen=True)
class TextGroups:
    """What rows without a fault hold."""

    table: Table
    columns: list[list[str]]
    """The anchors of all rows, their positives, their first negatives, and so on; "" where a row
    has none."""
    scores: list[float] | None


def read_groups(
    table: Table, columns: TextColumns, *, faults: Literal["error", "skip"]
) -> TextGroups:
    """The texts of a table's rows.

    Args:
        faults: what becomes of a row with an empty text, or whose texts are equal where they are
            no scored pair: the first is raised, or they are left out and told.

    Raises:
        ValueError: the place of what is wrong.
    """
    found = Faults(table, faults)
    scores = None
    if columns.score is not None:
        scores = numbers_of(table, columns.score, key=columns.keys[2])
    read = _reader(table, columns)
    rows, groups = [], []
    for row in range(len(table)):
        try:
            groups.append(read(row))
            rows.append(row)
        except ExampleError as fault:
            found.add(row, fault)
    found.check_some_left(len(rows))
    if found.num:
        log.warning("Rows at fault, left out: %s.%s", found.num, found.counted.describe())
    return TextGroups(
        table.take(rows),
        [list(texts) for texts in zip(*groups, strict=True)],
        None if scores is None else scores[np.asarray(rows)].tolist(),
    )


def check_scores(table: Table, values: Sequence[float], *, span: tuple[float, float]) -> None:
    """Raise ValueError, with the place of the first, of scores outside of `score_range`."""
    least, greatest = span
    outside = [row for row, value in enumerate(values) if not least <= value <= greatest]
    if outside:
        raise ValueError(
            f"{table.where(outside[0])}: a score must be from {least:g} to {greatest:g} "
            f"(finetuning.task.score_range). Received: {values[outside[0]]:g}; in all "
            f"{len(outside)} outside. Repair them, or widen the range."
        )


def read_embeddings(table: Table, field: str, *, key: str) -> list[tuple[float, ...]]:
    """Vectors of a table's rows, of one length: lists of numbers, or these as JSON.

    Raises:
        ValueError: the place of the first that is none.
    """
    vectors: list[tuple[float, ...]] = []
    for row, cell in enumerate(table.column(field, key=key)):
        try:
            vectors.append(_vector(cell, field=field))
            if len(vectors[-1]) != len(vectors[0]):
                raise ExampleError(
                    f"embeddings in {field!r} must be of one length, {len(vectors[0])}. Received: "
                    f"{len(vectors[-1])} numbers. Repair it."
                )
        except ExampleError as fault:
            raise ValueError(f"{Faults(table, 'error').where(row)}: {fault}") from fault
    return vectors


def _vector(cell: Any, *, field: str) -> tuple[float, ...]:
    cell = cell.tolist() if isinstance(cell, np.ndarray) else cell
    items = list_of(cell, field=field, what="an embedding")
    is_number = [isinstance(it, int | float) and math.isfinite(it) for it in items]
    if not items or not all(is_number):
        raise ExampleError(
            f"an embedding in {field!r} must be finite numbers. Received: {items!r:.80}. Repair it."
        )
    return tuple(map(float, items))


def _reader(table: Table, columns: TextColumns) -> Callable[[int], list[str]]:
    fields = [columns.anchor, *([columns.positive] if columns.positive else [])]
    keys = [*columns.keys[: len(fields)], *[NEGATIVES_KEY] * len(columns.negatives)]
    num_needed = len(fields) + bool(columns.negatives)
    fields += columns.negatives
    cells = [table.column(field, key=key) for field, key in zip(fields, keys, strict=True)]
    is_scored = columns.score is not None

    def read(row: int) -> list[str]:
        texts = [
            _text(cell[row], field=field, is_needed=number < num_needed)
            for number, (cell, field) in enumerate(zip(cells, fields, strict=True))
        ]
        if not is_scored:
            _check_unlike(texts, fields)
        return texts

    return read


def _text(value: Any, *, field: str, is_needed: bool) -> str:
    is_missing = value is None or value != value or value == ""
    return "" if is_missing and not is_needed else text_of(value, field=field)


def _check_unlike(texts: Sequence[str], fields: Sequence[str]) -> None:
    """What has to be told apart must differ: nothing is learnt from a text beside itself."""
    known: dict[str, str] = {}
    for text, field in zip(texts, fields, strict=True):
        key = canonical_text(text)
        if key and known.setdefault(key, field) != field:
            raise ExampleError(
                f"the texts of an example must differ. Received: {text!r:.80} in {known[key]!r} "
                f"and in {field!r}. Take the row out."
            )
