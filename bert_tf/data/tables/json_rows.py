"""Objects in, tables out: a .jsonl file, a .json file with a list of objects, a list of dicts.

A .json file of articles with questions has a row a question, see `nested_questions`.
"""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bert_tf.config import TableConfig
from bert_tf.data.corpora.lines import Lines
from bert_tf.data.corpora.rows import LONE_SURROGATE, SURROGATE_ESCAPE, parse_lines
from bert_tf.data.tables.column_names import check_names
from bert_tf.data.tables.decoding import open_text
from bert_tf.data.tables.nested_questions import are_nested_questions, questions_of
from bert_tf.data.tables.origins import Origins, Source
from bert_tf.data.tables.table import Table
from bert_tf.system.json_files import JsonError, decode_json

ROWS_AT_ONCE = 256
LIST_FIELD = "data"
"""The field of an object, which a .json file may be, that holds the list."""

NumberedRow = tuple[int, Mapping[str, Any]]


def read_json_lines(path: Path, *, config: TableConfig, key: str) -> Iterator[Table]:
    """The objects of a .jsonl file, some at a time; blank lines are passed over.

    Its columns are all fields that any of its lines has; the value is None where a line has not.
    To know them, and every fault, the file is read once before.

    Raises:
        ValueError: path and line of what is no JSON object; or see `open_text`.
    """
    names: dict[str, None] = {}
    for _, record in _parse(path, config=config, key=key):
        names.update(dict.fromkeys(record))
    check_names(list(names), place=str(path))
    rows = _parse(path, config=config, key=key)
    return tables_of(rows, names=list(names), source=Source(str(path), has_lines=True))


def read_json_list(path: Path, *, config: TableConfig, key: str) -> Iterator[Table]:
    """The objects of a .json file, which is held whole: a list, or an object with it under `data`.

    Of articles with questions, the questions.

    Raises:
        ValueError: path and line or row of what is no such list; or see `open_text` and
            `questions_of`.
    """
    with open_text(path, config=config, key=key) as lines:
        text = "".join(lines)
    try:
        content = decode_json(text)
    except JsonError as error:
        place = path if error.lineno is None else f"{path}:{error.lineno}"
        raise ValueError(
            f"{place}: a .json file must be JSON. Received: {error}. Repair it; "
            "where each line is an object, rename it to .jsonl."
        ) from error
    rows = content.get(LIST_FIELD) if isinstance(content, dict) else content
    if not isinstance(rows, list):
        fields = f" with {', '.join(content)}" if isinstance(content, dict) else ""
        raise ValueError(
            f"{path}: a .json table must be a list of objects, or an object with such a list under "
            f"{LIST_FIELD!r}. Received: {type(content).__name__}{fields:.200}. Write it so."
        )
    has_escapes = SURROGATE_ESCAPE.search(text) is not None
    del text
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise ValueError(
                f"{path}:row {number}: every row of a .json table must be an object. Received: "
                f"{type(row).__name__}. Write each as {{...}}."
            )
        lone = has_escapes and LONE_SURROGATE.search(json.dumps(row, ensure_ascii=False))
        if lone:
            raise ValueError(
                f"{path}:row {number}: text must be Unicode. Received: half a surrogate pair, "
                f"{lone[0]!a}. Write the whole character."
            )
    if are_nested_questions(rows):
        names, source, questions = questions_of(rows, path=path)
        check_names(names, place=str(path))
        yield from tables_of(enumerate(questions, start=1), names=names, source=source)
        return
    yield from tables_of_records(rows, source=Source(str(path), has_lines=False))


def tables_of_records(records: Sequence[Mapping[str, Any]], *, source: Source) -> Iterator[Table]:
    """Objects in memory as tables; columns as of `read_json_lines`."""
    names = list(dict.fromkeys(name for record in records for name in record))
    if not all(isinstance(name, str) for name in names):
        records = [{str(name): value for name, value in record.items()} for record in records]
        names = [str(name) for name in names]
    check_names(names, place=source.name or "list of dicts")
    return tables_of(enumerate(records, start=1), names=names, source=source)


def tables_of(
    rows: Iterable[NumberedRow], *, names: Sequence[str], source: Source
) -> Iterator[Table]:
    """Numbered objects as tables with the columns `names`."""
    rows = iter(rows)
    while chunk := list(itertools.islice(rows, ROWS_AT_ONCE)):
        columns = {name: [record.get(name) for _, record in chunk] for name in names}
        yield Table(columns, Origins.of(source, (number for number, _ in chunk)))


def _parse(path: Path, *, config: TableConfig, key: str) -> Iterator[NumberedRow]:
    with open_text(path, config=config, key=key) as lines:
        for number, record, _ in parse_lines(_chunks(lines), path, encoding_errors="error"):
            yield number, record


def _chunks(lines: Iterator[str]) -> Iterator[Lines]:
    number = 1
    while chunk := list(itertools.islice(lines, ROWS_AT_ONCE)):
        yield Lines(number, chunk, is_repaired=False)
        number += len(chunk)
