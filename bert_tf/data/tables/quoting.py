"""A .csv or .tsv file in, its delimiter and whether quotes protect its cells out."""

import csv
import itertools
import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from bert_tf.config import TableConfig
from bert_tf.data.tables.decoding import open_text
from bert_tf.data.tables.long_cells import long_cells
from bert_tf.data.tables.settings import table_setting

logger = logging.getLogger(__name__)

DELIMITER_NAMES = {",": "Commas", ";": "Semicolons", "\t": "Tabs"}
LONGEST_QUOTED_CELL = 1 << 24
"""Characters. What is longer in a .tsv began with a quote that is text."""
QUOTED = re.compile(r'"(?:[^"]|"")*"')


def delimiter_of(path: Path, *, kind: str, config: TableConfig, key: str) -> str:
    """A tab in a .tsv; in a .csv a comma, unless its first record has semicolons or tabs alone.

    Spreadsheets write semicolons where a comma is the decimal point.
    """
    if kind == ".tsv":
        return "\t"
    with open_text(path, config=config, key=key) as lines:
        first = _first_record(lines, are_quoted=config.quoting != "none")
    if "," in first:
        return ","
    delimiter = max(";\t", key=first.count)
    if delimiter not in first:
        return ","
    logger.info(
        "%s: %s part columns, since its first line has no comma.",
        *(path, DELIMITER_NAMES[delimiter].lower()),
    )
    return delimiter


def are_quotes_protecting(
    path: Path, *, kind: str, delimiter: str, config: TableConfig, key: str
) -> bool:
    """What `TableConfig.quoting` says of a file; where that has to be seen, it is read once.

    A quoted cell with line breaks or tabs but no doubled quote counts only if its lines would not
    all have the number of columns without it: otherwise two lone quotes would make one record of
    all between them.
    """
    if config.quoting != "auto" or (kind == ".csv" and delimiter != "\t"):
        return config.quoting != "none"
    with open_text(path, config=config, key=key, newline="") as lines:
        answer = _need_quotes(lines, delimiter=delimiter)
    if answer is None:
        return False
    if answer:
        reason = "every cell that opens with a quote is well-formed, and some need their quotes"
        message = "quotes protect tabs and line breaks: %s; %s=none reads them as text."
    else:
        reason = "not every cell that opens with a quote is a quoted one, or none needs to be"
        message = "quotes are text: %s; %s=csv lets them protect tabs and line breaks."
    logger.info(f"%s: {message}", path, reason, table_setting("quoting", key=key))
    return answer


def _first_record(lines: Iterable[str], *, are_quoted: bool) -> str:
    """The first line that is not blank, without what stands in quotes."""
    parts: list[str] = []
    num_quotes = num_characters = 0
    for line in lines:
        parts.append(line)
        num_quotes += line.count('"')
        num_characters += len(line)
        if are_quoted and num_quotes % 2 and num_characters < LONGEST_QUOTED_CELL:
            continue
        if any(part.rstrip("\r\n") for part in parts):
            break
        parts.clear()
    record = "".join(parts)
    return QUOTED.sub("", record) if are_quoted else record


def _need_quotes(lines: Iterator[str], *, delimiter: str) -> bool | None:
    """Whether quotes protect; None where no cell opens with one."""
    answer: bool | None = None
    width = 0
    for line in lines:
        if not line.startswith('"') and delimiter + '"' not in line:
            width = width or _width(line, delimiter)
            continue
        answer = answer or False
        raw: list[str] = []
        following = itertools.chain([line], lines)
        reader = csv.reader(_kept(following, raw), delimiter=delimiter, strict=True)
        try:
            with long_cells(LONGEST_QUOTED_CELL):
                cells = next(reader)
        except csv.Error:
            return False
        width = width or len(cells)
        protected = [cell for cell in cells if delimiter in cell or "\n" in cell or "\r" in cell]
        if protected:
            has_doubled = any('"' in cell for cell in protected)
            if not has_doubled and all(_width(part, delimiter) == width for part in raw):
                return False
            answer = True
        elif any(
            cell.startswith('"') and '""' in cell[1:-1]
            for cell in line.rstrip("\r\n").split(delimiter)
        ):
            answer = True
    return answer


def _kept(lines: Iterable[str], raw: list[str]) -> Iterator[str]:
    for line in lines:
        raw.append(line)
        yield line


def _width(line: str, delimiter: str) -> int:
    """The number of cells where quotes are text; 0 of a blank line."""
    return line.count(delimiter) + 1 if line.rstrip("\r\n") else 0
