"""Any table in, its columns with the origin of each row out.

    "train.csv", "part-*.parquet", "hub:NAME::train", a DataFrame, …  ->  `Table`

`read_table` holds all of it, `iter_tables` some rows at a time.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from glob import has_magic
from pathlib import Path
from typing import Any

from bert_tf.config import TableConfig
from bert_tf.data.corpora.files import COMPRESSIONS
from bert_tf.data.corpora.folders import file_key
from bert_tf.data.corpora.hub import PREFIX, read_hub_records
from bert_tf.data.tables.column_names import check_names
from bert_tf.data.tables.content_kind import check_content, check_parted
from bert_tf.data.tables.delimited import read_records
from bert_tf.data.tables.finding import (
    TOKEN_COLUMNS,
    check_kind,
    has_token_columns,
    is_delimited,
    is_text,
    missing,
    table_files,
    table_kind,
)
from bert_tf.data.tables.frames import FRAME, is_dataset, is_frame, read_dataset, read_frame
from bert_tf.data.tables.header import MEMORY_ADVICE, check_header, check_no_header
from bert_tf.data.tables.json_rows import (
    read_json_lines,
    read_json_list,
    tables_of,
    tables_of_records,
)
from bert_tf.data.tables.origins import Origins, Source
from bert_tf.data.tables.parallel_lines import (
    ParallelFiles,
    find_parallel_files,
    is_parallel,
    read_parallel_lines,
)
from bert_tf.data.tables.parquet import read_parquet
from bert_tf.data.tables.settings import header_advice
from bert_tf.data.tables.table import Table
from bert_tf.data.tables.text_lines import read_text_lines
from bert_tf.data.tables.token_columns import read_token_columns

__all__ = ["check_frame", "iter_tables", "named_files", "read_table", "table_files"]

ROWS_AT_ONCE = 4096


def read_table(source: Any, *, config: TableConfig | None = None, key: str) -> Table:
    """All rows of a source.

    Args:
        source: a file (.csv, .tsv, .jsonl, .json, .parquet, .conll, .bio, .iob, .iob2, each also
            .gz or .zst; .txt with the layout `token_columns` or `lines`; a .json of SQuAD's form
            has a row a question, see `nested_questions`), a glob, two files whose lines belong
            together (`train.{en,de}.gz`, see `parallel_lines`), a
            `hub:NAME[@REVISION][:CONFIG[:SPLIT]]` (extra `datasets`), several of these; a pandas
            DataFrame, a `datasets.Dataset`, a `Table`, or a list of dicts.
        config: how text files are read. Default: as `TableConfig` has it.
        key: the setting that names the source, such as "finetuning.train_path", for errors.

    Raises:
        FileNotFoundError: there is no such file, or a glob matches none.
        ValueError: path and line or row of what is wrong with a file; it has no record; several
            differ in their columns; or the source is of another kind.
        ImportError: a hub name without the package `datasets`.
    """
    if isinstance(source, Table):
        return source
    tables = iter_tables(source, config=config, key=key, batch_rows=ROWS_AT_ONCE)
    return Table.concatenate(list(tables))


def iter_tables(
    source: Any, *, config: TableConfig | None = None, key: str, batch_rows: int
) -> Iterator[Table]:
    """The rows of `read_table`, at most `batch_rows` at a time, all with the same columns.

    Memory is that of a batch, but a .json file and token columns are held whole. A .jsonl file is
    read twice, and a .tsv whose quoting is "auto".

    Raises:
        See `read_table`, when the row at fault is reached.
    """
    config = config or TableConfig()
    names: set[str] | None = None
    first: Table | None = None
    for part in _parts(source, key=key):
        is_empty = True
        for table in _of_size(
            _read(part, config=config, key=key, batch_rows=batch_rows), batch_rows
        ):
            if is_empty:
                _check_header(part, table, config=config, key=key)
            if first is None or names is None:
                first, names = table.take([0]), set(table.names)
            elif is_empty and names != set(table.names):
                Table.concatenate([first, table.take([0])])  # raises
            is_empty = False
            yield table
        if is_empty:
            raise ValueError(
                f"{_name(part)}: a table needs at least one record. Received: none. Set {key} to "
                "one with records."
            )


def check_frame(frame: Any) -> None:
    """Raise ValueError as `read_table` does of a DataFrame's columns, by its first rows."""
    first = next(read_frame(frame, batch_rows=ROWS_AT_ONCE), None)
    if first is not None:
        _check_names_in_memory(frame, first, place=FRAME)


def named_files(source: Any, *, key: str = "the source") -> list[Path]:
    """The files that `read_table` reads of a source; none of what is in memory or on a hub."""
    is_names = isinstance(source, list | tuple) and all(
        isinstance(name, str | Path) for name in source
    )
    if not is_names and not isinstance(source, str | Path):
        return []
    parts = _parts(source, key=key)
    pairs = [part[1:] if isinstance(part, ParallelFiles) else [part] for part in parts]
    return [part for pair in pairs for part in pair if isinstance(part, Path)]


def _parts(source: Any, *, key: str) -> list[Any]:
    """What is read one after the other: files, hub names, or what is in memory."""
    if isinstance(source, str | Path):
        return _named_parts(source, key=key)
    is_list = isinstance(source, Sequence) and not isinstance(source, bytes)
    if is_list and source and all(isinstance(name, str | Path) for name in source):
        parts = [part for name in source for part in _named_parts(name, key=key)]
        first: dict[Any, Any] = {}
        for part in parts:
            first.setdefault(file_key(part) if isinstance(part, Path) else part, part)
        return list(first.values())
    is_records = is_list and source and all(isinstance(row, Mapping) for row in source)
    if is_records or isinstance(source, Table) or is_frame(source) or is_dataset(source):
        return [source]
    received = "an empty list" if is_list and not source else type(source).__name__
    raise ValueError(
        f"{key} must be a file, a glob or a hub name, several of these, a DataFrame, a Dataset, a "
        f"Table or a list of dicts. Received: {received}. Give one of them."
    )


def _named_parts(name: str | Path, *, key: str) -> list[Any]:
    if isinstance(name, str) and name.startswith(PREFIX):
        return [name]
    path = Path(name)
    if is_parallel(path):
        return list(find_parallel_files(path, key=key))
    if path.is_file():
        return [path if is_text(path) else check_kind(path, key=key)]
    if path.is_dir():
        raise ValueError(
            f"{path}: {key} must name a file or a glob. Received: a folder. Set it to "
            f"{path}/*.csv, or whatever its files are."
        )
    if not has_magic(str(path)):
        raise missing(path, key=key)
    return list(table_files([path], key=key, with_text=is_text(path)))


def _read(part: Any, *, config: TableConfig, key: str, batch_rows: int) -> Iterator[Table]:
    if isinstance(part, Path):
        return _read_file(part, config=config, key=key, batch_rows=batch_rows)
    if isinstance(part, ParallelFiles):
        return read_parallel_lines(part, config=config, key=key, batch_rows=batch_rows)
    if isinstance(part, str):
        return _read_hub(part, key=key)
    if isinstance(part, Table):
        return iter([part])
    if is_frame(part):
        return read_frame(part, batch_rows=batch_rows)
    if is_dataset(part):
        return read_dataset(part, batch_rows=batch_rows)
    return tables_of_records(part, source=Source("", has_lines=False))


def _read_file(path: Path, *, config: TableConfig, key: str, batch_rows: int) -> Iterator[Table]:
    is_packed = path.suffix.lower() in COMPRESSIONS  # An empty one is a damaged one.
    if not is_packed and not path.stat().st_size:
        raise ValueError(
            f"{path}: a table needs at least one record. Received: a file of 0 bytes. Write it "
            f"again, or set {key} to another."
        )
    if has_token_columns(path, layout=config.layout):
        check_content(path, kind=TOKEN_COLUMNS[0], config=config, key=key)
        return read_token_columns(path, config=config, key=key)
    if config.layout == "lines" and is_text(path):
        return read_text_lines(path, config=config, key=key, batch_rows=batch_rows)
    kind = table_kind(check_kind(path, key=key))
    check_content(path, kind=str(kind), config=config, key=key)
    if kind == ".parquet":
        return read_parquet(path, batch_rows=batch_rows)
    if kind == ".jsonl":
        return read_json_lines(path, config=config, key=key)
    if kind == ".json":
        return read_json_list(path, config=config, key=key)
    return _read_delimited(path, kind=str(kind), config=config, key=key)


def _read_delimited(path: Path, *, kind: str, config: TableConfig, key: str) -> Iterator[Table]:
    source = Source(str(path), has_lines=True)
    for header, records in read_records(path, kind=kind, config=config, key=key):
        if records:
            cells = zip(*(record.cells for record in records), strict=True)
            columns = {name: list(values) for name, values in zip(header, cells, strict=True)}
            yield Table(columns, Origins.of(source, (record.line for record in records)))


def _read_hub(name: str, *, key: str) -> Iterator[Table]:
    rows = read_hub_records(name, key=key)
    first = next(rows, None)
    if first is not None:
        check_names(list(first), place=name)
        numbered = enumerate(itertools.chain([first], rows), start=1)
        yield from tables_of(numbered, names=list(first), source=Source(name, has_lines=False))


def _check_header(part: Any, table: Table, *, config: TableConfig, key: str) -> None:
    """Of what has a header that may be none: delimited files, and what is made from them."""
    if is_frame(part) or is_dataset(part):
        if config.check_header:
            _check_names_in_memory(part, table, place=type(part).__name__)
    elif (
        isinstance(part, Path)
        and is_delimited(part)
        and not has_token_columns(part, layout=config.layout)
    ):
        if not config.has_header:
            check_no_header(table, place=f"{part}:1", key=key)
        elif config.check_header:
            check_header(table, place=f"{part}:1", advice=header_advice(key))


def _check_names_in_memory(part: Any, table: Table, *, place: str) -> None:
    check_parted(table.names, place=place)
    # A first line that was taken for names has made texts of them.
    texts = [str(name) for name in getattr(part, "columns", ()) if isinstance(name, str)]
    columns = {name: table.columns[name] for name in (texts if is_frame(part) else table.names)}
    if columns:
        named = Table(columns, table.origins)
        check_header(named, place=place, advice=MEMORY_ADVICE)


def _of_size(tables: Iterable[Table], num_rows: int) -> Iterator[Table]:
    """The same rows, `num_rows` in each table but the last."""
    held: list[Table] = []
    num_held = 0
    for table in tables:
        start = 0
        while num_held + len(table) - start >= num_rows:
            end = start + num_rows - num_held
            yield Table.concatenate([*held, _slice(table, start, end)])
            held, num_held, start = [], 0, end
        if start < len(table):
            held.append(_slice(table, start, len(table)))
            num_held += len(table) - start
    if held:
        yield Table.concatenate(held)


def _slice(table: Table, start: int, end: int) -> Table:
    return table if (start, end) == (0, len(table)) else table.take(range(start, end))


def _name(part: Any) -> str:
    if isinstance(part, ParallelFiles):
        return part.name
    return str(part) if isinstance(part, str | Path) else type(part).__name__
