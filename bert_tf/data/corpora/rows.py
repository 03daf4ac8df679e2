"""A file of records in, its rows or their texts out: .jsonl and .parquet, streaming."""

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bert_tf.data.corpora.files import kind_of, read_text
from bert_tf.data.corpora.lines import UTF8_ONLY, Line, Lines, decode
from bert_tf.system.json_files import JsonError, decode_json
from bert_tf.system.listing import listed
from bert_tf.system.lookalikes import alike_hint

logger = logging.getLogger(__name__)

PARQUET_BATCH_ROWS, PARQUET_BATCH_BYTES = 1024, 1 << 22
"""At most, by the size that a row group's texts have on average."""
PARQUET_BUFFER_BYTES = 1 << 20
SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")

MarkedRecord = tuple[int, dict[str, Any], bool]
"""Row number (from 1), fields, and whether U+FFFD was put in."""


def read_rows(
    path: Path, *, text_field: str, encoding_errors: str, encoding: str = "utf-8"
) -> Iterator[Line]:
    """The text of each row of a .jsonl or .parquet file; `encoding` is that of the former.

    Raises:
        ValueError: path and row of what has no text in `text_field`; and as `read_json_lines`.
    """
    if kind_of(path) == ".parquet":
        return _read_parquet(path, text_field=text_field, encoding_errors=encoding_errors)
    lines = read_text(path, encoding_errors=encoding_errors, encoding=encoding)
    return json_texts(lines, path, text_field=text_field, encoding_errors=encoding_errors)


def json_texts(
    lines: Iterable[Lines], name: str | Path, *, text_field: str, encoding_errors: str
) -> Iterator[Line]:
    """The text of each line of JSON."""
    for number, record, is_repaired in parse_lines(lines, name, encoding_errors=encoding_errors):
        yield Line(number, text_of(record, text_field, name=name, number=number), is_repaired)


def text_of(record: Mapping[str, Any], text_field: str, *, name: str | Path, number: int) -> str:
    """The text of a row. Raises ValueError if there is none."""
    text = record.get(text_field)
    if not isinstance(text, str):
        raise ValueError(
            f"{name}:{number}: a document needs text in field {text_field!r}. Received: "
            f"{text!r:.200}, with fields [{listed(map(repr, sorted(record)))}]. "
            f"Set corpus.text_field.{alike_hint(text_field, record)}"
        )
    return text


def read_json_lines(path: Path, *, encoding_errors: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers (from 1) and objects of a .jsonl file; blank lines are passed over.

    Half a surrogate pair (`"\\ud83d"` alone) is dealt with as invalid UTF-8 is.

    Raises:
        ValueError: path and line of what is no JSON object or, under "error", no UTF-8.
    """
    lines = read_text(path, encoding_errors=encoding_errors)
    for number, record, _ in parse_lines(lines, path, encoding_errors=encoding_errors):
        yield number, record


def parse_lines(
    lines: Iterable[Lines], name: str | Path, *, encoding_errors: str
) -> Iterator[MarkedRecord]:
    """As `read_json_lines`, of lines that are decoded already."""
    num_replaced = 0
    for chunk in lines:
        for number, line in chunk.numbered():
            if not line or line.isspace():
                continue
            record = _parse_json_line(line, name=name, number=number)
            is_repaired = chunk.is_repaired
            if "\\u" in line and SURROGATE_ESCAPE.search(line):
                text = json.dumps(record, ensure_ascii=False)
                lone = LONE_SURROGATE.search(text)
                if lone and encoding_errors == "error":
                    raise ValueError(
                        f"{name}:{number}: text must be UTF-8. Received: half a surrogate pair, "
                        f"{lone[0]!a}. Write the whole character, or, in a corpus, set "
                        "corpus.encoding_errors=replace."
                    )
                if lone:
                    record = json.loads(LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text))
                    num_replaced += 1
                    is_repaired = True
            yield number, record, is_repaired
    if num_replaced:
        logger.warning(
            "%s: half surrogate pairs replaced by U+FFFD in %d line(s).", name, num_replaced
        )


def _parse_json_line(line: str, *, name: str | Path, number: int) -> dict[str, Any]:
    try:
        record = decode_json(line)
    except JsonError as error:
        raise ValueError(
            f"{name}:{number}: a .jsonl line must be one JSON object. Received: {error}. "
            "Repair the line."
        ) from error
    if not isinstance(record, dict):
        raise ValueError(
            f"{name}:{number}: a .jsonl line must be one JSON object. Received: "
            f"{type(record).__name__}. Write each record as {{...}} on its own line."
        )
    return record


def _read_parquet(path: Path, *, text_field: str, encoding_errors: str) -> Iterator[Line]:
    """The texts of a column of strings or bytes, a batch of rows held at a time."""
    num_repaired = 0
    for number, value in enumerate(_parquet_column(path, text_field), start=1):
        if value is None:
            raise ValueError(
                f"{path}:{number}: a document needs text in column {text_field!r}. Received: null. "
                "Fill it in, or leave the row out."
            )
        line = decode(value, path, number=number, policy=UTF8_ONLY[encoding_errors])
        num_repaired += line.is_repaired
        yield line
    if num_repaired:
        logger.warning("%s: invalid UTF-8 replaced by U+FFFD in %d row(s).", path, num_repaired)


def _parquet_column(path: Path, text_field: str) -> Iterator[bytes | None]:
    # Slow to import, and needed for this kind of file only.
    import pyarrow
    import pyarrow.parquet

    with path.open("rb") as stream:
        try:
            # Without its threads and with a buffer, Arrow's memory stays flat.
            table = pyarrow.parquet.ParquetFile(
                stream, pre_buffer=False, buffer_size=PARQUET_BUFFER_BYTES
            )
            _check_column(path, table.schema_arrow, text_field)
            for group in range(table.num_row_groups):
                num_rows = _rows_at_once(table.metadata.row_group(group), text_field)
                for batch in table.iter_batches(
                    num_rows, row_groups=[group], columns=[text_field], use_threads=False
                ):
                    # Bytes, so that what is no UTF-8 can be told by its row.
                    yield from batch.column(0).cast(pyarrow.large_binary()).to_pylist()
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(
                f"{path}: a .parquet file must be whole. Received: {error}. Write the file again."
            ) from error


def _rows_at_once(group: Any, text_field: str) -> int:
    """As many rows as have about `PARQUET_BATCH_BYTES` of text."""
    columns = (group.column(number) for number in range(group.num_columns))
    sizes = [c.total_uncompressed_size for c in columns if c.path_in_schema == text_field]
    num_rows = PARQUET_BATCH_BYTES * group.num_rows // max(1, sum(sizes))
    return max(1, min(num_rows, PARQUET_BATCH_ROWS))


def _check_column(path: Path, schema: Any, text_field: str) -> None:
    import pyarrow.types as types

    kinds = [field.type for field in schema if field.name == text_field]
    kinds = [kind.value_type if types.is_dictionary(kind) else kind for kind in kinds]
    texts = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")
    if [str(kind) in texts for kind in kinds] != [True]:
        columns = listed(f"{field.name} ({field.type})" for field in schema)
        raise ValueError(
            f"{path}:1: a document needs text in column {text_field!r}. Received: columns "
            f"{columns}. Set corpus.text_field to a column of strings."
            f"{alike_hint(text_field, schema.names)}"
        )
