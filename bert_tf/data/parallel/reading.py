"""A table in, pairs of a source and a target out: both columns, or one that both are made from.

    columns  "A dog runs.", "Ein Hund läuft."  ->  "A dog runs.", "Ein Hund läuft."
    spacing  "개가 뛴다."                         ->  "개가뛴다.", "개가 뛴다."
    text     "개가 뛴다."                         ->  "", "개가 뛴다."

A row with nothing to read on a side is at fault.
"""

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from bert_tf.data.parallel.spacing import without_spaces
from bert_tf.data.tables.cells import text_of
from bert_tf.data.tables.faults import FAULTS_SETTING, Counted, ExampleError, Faults
from bert_tf.data.tables.table import Table

logger = logging.getLogger(__name__)

FaultPolicy = Literal["error", "skip"]
MadeBy = Literal["columns", "spacing", "text"]


class PairColumns(NamedTuple):
    """Where the pairs of a table are, and what is done with those at fault."""

    source_field: str = "source"
    target_field: str = "target"
    made_by: MadeBy = "columns"
    """`spacing`: the source is the target without its spaces, which has single ones then (see
    `spacing.without_spaces`). `text`: there are targets alone and sources are empty, which
    infilling makes (`data.batches.infilling`). With both `source_field` is not looked at."""
    faults: FaultPolicy = "error"
    """`skip` leaves out, counts and logs rows with nothing to read on a side."""
    keys: tuple[str, str, str] = (
        "finetuning.text_field",
        "finetuning.label_field",
        FAULTS_SETTING,
    )
    """The settings that name the columns and the policy, for errors."""


@dataclass(frozen=True, eq=False)
class ReadPairs:
    """Sources and targets, a pair a row."""

    table: Table
    """The rows that were kept, with all of their columns."""
    sources: Sequence[str]
    targets: Sequence[str]
    skipped: Counted
    """Rows that were left out."""

    def __len__(self) -> int:
        return len(self.sources)


def read_pairs(table: Table, columns: PairColumns | None = None) -> ReadPairs:
    """The pairs of a table; texts of columns stay as they are.

    Raises:
        ValueError: there is no such column, or one for both; file and line of the side that has
            nothing to read; or no row is good.
    """
    (pairs,) = iter_pairs([table], columns)
    return pairs


def iter_pairs(tables: Iterable[Table], columns: PairColumns | None = None) -> Iterator[ReadPairs]:
    """The pairs of each table, of which one may have none. Errors: see `read_pairs`."""
    columns = columns or PairColumns()
    num_rows = num_kept = 0
    found: Faults | None = None
    for table in tables:
        before = found or Faults(table, columns.faults, what="pairs", setting=columns.keys[2])
        found = dataclasses.replace(before, table=table)
        pairs = _read(table, columns, found)
        num_rows, num_kept = num_rows + len(table), num_kept + len(pairs)
        yield pairs
    if found is not None:
        found.check_some_left(num_kept)
        if found.num:
            logger.warning(
                "%s pairs left out, of %s:%s",
                *(f"{found.num:,}", f"{num_rows:,}", found.counted.describe()),
            )


def _read(table: Table, columns: PairColumns, found: Faults) -> ReadPairs:
    num_before = found.num
    fields = columns[:2] if columns.made_by == "columns" else (columns.target_field,)
    if len(set(fields)) < len(fields):
        raise ValueError(
            f"{columns.keys[0]} and {columns.keys[1]} must name two columns. Received: "
            f"{fields[0]!r} for both. Set one to another."
        )
    keys = columns.keys[2 - len(fields) : 2]
    values = [table.column(field, key=key) for field, key in zip(fields, keys, strict=True)]
    rows, kept = [], []
    for row, cells in enumerate(zip(*values, strict=True)):
        texts = _texts(row, cells, fields, found)
        if texts is not None:
            rows.append(row)
            if columns.made_by == "spacing":
                texts = without_spaces(*texts)
            kept.append(("", *texts)[-2:])
    num_skipped = found.num - num_before
    return ReadPairs(
        table.take(rows) if num_skipped else table,
        [texts[0] for texts in kept],
        [texts[1] for texts in kept],
        Counted(num_skipped, tuple(found.first[num_before:])),
    )


def _texts(
    row: int, cells: Sequence[Any], fields: Sequence[str], found: Faults
) -> tuple[str, ...] | None:
    """The texts of a row; None of one at fault, which is counted."""
    texts = []
    for side, (cell, field) in enumerate(zip(cells, fields, strict=True)):
        try:
            texts.append(text_of(cell, field=field))
        except ExampleError as error:
            found.add(row, error, side=side if len(fields) > 1 else None)
            return None
    return tuple(texts)
