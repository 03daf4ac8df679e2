"""A .csv or .tsv file in, its header and its records out, some at a time.

    id,text,label\\r\\n
    7,"He said ""no"", and\\n
    left",1\\r\\n
    ->  header [id, text, label]; line 2, cells ['7', 'He said "no", and\\nleft', '1']

Whether quotes protect what is inside of them: see `quoting`.
"""

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bert_tf.config import TableConfig
from bert_tf.data.tables.column_names import check_names
from bert_tf.data.tables.decoding import open_text
from bert_tf.data.tables.long_cells import long_cells
from bert_tf.data.tables.quoting import DELIMITER_NAMES, are_quotes_protecting, delimiter_of
from bert_tf.data.tables.settings import no_header, table_setting

ROWS_AT_ONCE = 256


class Record(NamedTuple):
    """One row of a file."""

    line: int
    """From 1, on which it begins."""
    cells: list[str]


def read_records(
    path: Path, *, kind: str, config: TableConfig, key: str
) -> Iterator[tuple[list[str], list[Record]]]:
    """The names of the columns with, each time, some records; blank lines are passed over.

    Args:
        kind: `.csv` or `.tsv`.

    Raises:
        ValueError: path and line of a record that has more or fewer cells than the header, repeats
            it, or has a quote out of place; of a name that two columns have; or see `open_text`.
    """
    delimiter = delimiter_of(path, kind=kind, config=config, key=key)
    is_quoted = are_quotes_protecting(path, kind=kind, delimiter=delimiter, config=config, key=key)
    with open_text(path, config=config, key=key, newline="" if is_quoted else "\n") as lines:
        if is_quoted:
            batches = _quoted_records(lines, path, delimiter=delimiter, key=key)
        else:
            batches = _plain_records(lines, delimiter=delimiter)
        header: list[str] | None = None
        for batch in batches:
            records = batch
            if header is None:
                header, records = _split_header(batch, path, config=config, key=key)
            for record in records:
                if len(record.cells) != len(header):
                    raise _wrong_length(
                        record, header, path, delimiter=delimiter, is_quoted=is_quoted, key=key
                    )
                if config.has_header and record.cells == header:
                    raise ValueError(
                        f"{path}:{record.line}: the header must stand in the first line alone. "
                        "Received: it again, as a record. If files were joined, remove the "
                        f"line; if the first line is a record, too, set {no_header(key)}."
                    )
            yield header, records


def _plain_records(lines: Iterator[str], *, delimiter: str) -> Iterator[list[Record]]:
    numbered = enumerate(lines, start=1)
    while chunk := list(itertools.islice(numbered, ROWS_AT_ONCE)):
        stripped = ((number, line.rstrip("\r\n")) for number, line in chunk)
        records = [Record(number, line.split(delimiter)) for number, line in stripped if line]
        if records:
            yield records


def _quoted_records(
    lines: Iterator[str], path: Path, *, delimiter: str, key: str
) -> Iterator[list[Record]]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        records = []
        with long_cells():
            for _ in range(ROWS_AT_ONCE):
                line = reader.line_num + 1
                try:
                    cells = next(reader, None)
                except csv.Error as error:
                    raise ValueError(
                        f"{path}:{line}: quotes must enclose a whole cell, with those inside of it "
                        f"doubled. Received: {error}, in the record that begins here. Repair it, "
                        f"or set {table_setting('quoting', key=key)}=none where quotes are text."
                    ) from error
                if cells is None:
                    break
                if cells:
                    records.append(Record(line, cells))
            is_end = cells is None
        if records:
            yield records
        if is_end:
            return


def _split_header(
    batch: list[Record], path: Path, *, config: TableConfig, key: str
) -> tuple[list[str], list[Record]]:
    first = batch[0]
    if not config.has_header:
        return [str(number) for number in range(1, len(first.cells) + 1)], batch
    names = _numbered(first.cells)
    check_names(
        names,
        place=f"{path}:{first.line}",
        advice=f"Rename the columns, or set {no_header(key)} where this line is no header",
    )
    return names, batch[1:]


def _numbered(names: list[str]) -> list[str]:
    """As pandas has it, `Unnamed: 2` for each of several columns without a name, from 0."""
    if names.count("") < 2:
        return names
    return [name or f"Unnamed: {place}" for place, name in enumerate(names)]


def _wrong_length(
    record: Record, header: list[str], path: Path, *, delimiter: str, is_quoted: bool, key: str
) -> ValueError:
    protect = "protect them inside of a cell" if is_quoted else "do not protect them"
    other = "none" if is_quoted else "csv"
    return ValueError(
        f"{path}:{record.line}: a record needs the {len(header)} cells of the first line "
        f"({', '.join(header):.200}). Received: {len(record.cells)}. "
        f"{DELIMITER_NAMES[delimiter]} part columns, quotes {protect}: repair the record, or set "
        f"{table_setting('quoting', key=key)}={other}."
    )
