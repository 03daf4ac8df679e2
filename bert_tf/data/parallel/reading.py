"""A table in, pairs of a source and a target out: both columns, or one that both are made from.

source "A dog runs.", target "Ein Hund läuft."  ->  "A dog runs.", "Ein Hund läuft."
text "개가 뛴다."  ->  "개가뛴다.", "개가 뛴다."
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bert_tf.data.parallel.spacing import without_spaces
from bert_tf.data.tables.cells import text_of
from bert_tf.data.tables.faults import Counted, ExampleError, Faults
from bert_tf.data.tables.table import Table

logger = logging.getLogger(__name__)

SOURCE_KEY = "finetuning.text_field"
TARGET_KEY = "finetuning.label_field"

FaultPolicy = Literal["error", "skip"]


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


def read_pairs(
    table: Table, *, source_field: str, target_field: str, faults: FaultPolicy = "error"
) -> ReadPairs:
    """The pairs of a table with a column for each side; texts stay as they are.

    Args:
        faults: `skip` leaves out, counts and logs rows with nothing to read on a side.

    Raises:
        ValueError: there is no such column, or one for both; file and line of the side that has
            nothing to read; or no row is good.
    """
    if source_field == target_field:
        raise ValueError(
            f"{SOURCE_KEY} and {TARGET_KEY} must name two columns. Received: {source_field!r} for "
            "both. Set one to another."
        )
    columns = (
        table.column(source_field, key=SOURCE_KEY),
        table.column(target_field, key=TARGET_KEY),
    )
    found = Faults(table, policy=faults, what="pairs")
    rows, sources, targets = [], [], []
    for row, values in enumerate(zip(*columns, strict=True)):
        texts = []
        for side, (value, field) in enumerate(
            zip(values, (source_field, target_field), strict=True)
        ):
            try:
                texts.append(text_of(value, field=field))
            except ExampleError as error:
                found.add(row, error, side=side)
                break
        else:
            rows.append(row)
            sources.append(texts[0])
            targets.append(texts[1])
    return ReadPairs(_kept(table, rows, found), sources, targets, found.counted)


def read_spacing_pairs(
    table: Table, *, text_field: str = "text", faults: FaultPolicy = "error"
) -> ReadPairs:
    """Of each text itself without its spaces as the source, and with single ones as the target.

    See `spacing.without_spaces`. `faults` and errors: see `read_pairs`.
    """
    found = Faults(table, policy=faults, what="texts")
    rows, pairs = [], []
    for row, value in enumerate(table.column(text_field, key=SOURCE_KEY)):
        try:
            text = text_of(value, field=text_field)
        except ExampleError as error:
            found.add(row, error)
            continue
        rows.append(row)
        pairs.append(without_spaces(text))
    return ReadPairs(
        _kept(table, rows, found),
        [source for source, _ in pairs],
        [target for _, target in pairs],
        found.counted,
    )


def _kept(table: Table, rows: Sequence[int], found: Faults) -> Table:
    """The rows without a fault; the log tells of the others."""
    found.check_some_left(len(rows))
    if found.num:
        logger.warning(
            "%s %s left out, of %s:%s",
            *(f"{found.num:,}", found.what, f"{len(table):,}", found.counted.describe()),
        )
        return table.take(rows)
    return table
