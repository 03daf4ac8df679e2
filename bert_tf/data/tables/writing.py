"""Rows in, batch by batch; a .csv, .jsonl or .parquet file out that appears whole or not at all.

Until then `.NAME.partial/` beside it holds what is written, in `rows` (or in a part a batch of
.parquet), and `state.json`: how much of that counts. A batch is on the disk before the state says
so; so after a kill at any moment the rows that the state counts are there, and a writer with the
same settings goes on behind them.
"""

import contextlib
import csv
import io
import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pydantic

from bert_tf.config import Section
from bert_tf.data.tables.parquet_parts import ParquetParts
from bert_tf.system.files import write_whole
from bert_tf.system.folder_lock import lock_folder
from bert_tf.system.json_files import read_model
from bert_tf.system.listing import listed
from bert_tf.system.lookalikes import alike_hints

KINDS = (".csv", ".jsonl", ".parquet")
STATE_FILE = "state.json"
ROWS_FILE = "rows"


class _State(Section):
    """What `state.json` holds."""

    settings: dict[str, Any]
    names: list[str] | None
    num_rows: pydantic.NonNegativeInt
    num_bytes: pydantic.NonNegativeInt
    num_parts: pydantic.NonNegativeInt


class TableWriter:
    """Appends batches of rows to a table, also to one that a killed process began.

    .csv is RFC 4180 in UTF-8: CRLF, quotes where they are needed, lists and objects as JSON text,
    None and NaN as an empty cell. .jsonl is an object a line, NaN and infinities are null; dates
    are text in both. .parquet is typed by its values, integers beside floats become floats.

    `num_rows` is what is written already: give the rows from there on. Inside of a `with` block;
    `finish` ends it. Without it what is written stays for the next writer.

    Args:
        path: of the finished file; one that is there is replaced at the end.
        settings: JSON values that the rows are a function of. What was begun with others is
            refused.
        resume: go on with what was begun; otherwise it is thrown away.
        key: the setting that named `path`, for errors.

    Raises:
        ValueError: `path` is of another kind, was begun with other settings, or is being written
            by another process.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        settings: Mapping[str, Any],
        resume: bool = True,
        key: str = "--output",
    ) -> None:
        self.path = Path(path)
        self.num_rows = 0
        self._kind = output_kind(self.path, key=key)
        self._folder = self.path.with_name(f".{self.path.name}.partial")
        self._settings = dict(settings)
        self._resume = resume
        self._num_bytes = 0
        self._parts = ParquetParts(self._folder, self.path)
        self._names: list[str] | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(lock_folder(self._folder, command="write a table"))
        try:
            if self._resume:
                self._restore()
            else:
                self._clear()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._stack.close()
        with contextlib.suppress(OSError):
            self._folder.rmdir()  # where nothing was written

    def append(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Write rows, for good when it returns.

        A column is a sequence, or an array (rows, width): lists of that width.

        Raises:
            ValueError: the columns are not those of the rows before, or hold what the kind of
                file cannot.
        """
        names = list(columns)
        if self._names is not None and names != self._names:
            raise ValueError(
                f"{self.path}: all rows must have the same columns. Received: {listed(names)}, "
                f"after rows with {listed(self._names)}. Give every batch the same."
                f"{alike_hints(names, self._names)}"
            )
        if self._kind == ".parquet":
            self._parts.append(columns)
        else:
            self._append_text(columns, is_first=self._names is None)
        self._names = names
        self.num_rows += len(next(iter(columns.values())))
        self._note()

    def finish(self) -> Path:
        """Let the file appear. Raises ValueError if nothing was written."""
        if self._names is None:
            raise ValueError(
                f"{self.path}: a table needs at least one row. Received: none. Append some."
            )
        if self._kind == ".parquet":
            self._parts.join()
        else:
            (self._folder / ROWS_FILE).replace(self.path)
        shutil.rmtree(self._folder)
        return self.path

    def _append_text(self, columns: Mapping[str, Sequence[Any]], *, is_first: bool) -> None:
        columns = {name: getattr(it, "tolist", lambda it=it: it)() for name, it in columns.items()}
        if self._kind == ".csv":
            text = csv_text(columns, with_header=is_first)
        else:
            text = "".join(f"{line}\n" for line in json_lines(columns))
        raw = text.encode("utf-8")
        with (self._folder / ROWS_FILE).open("ab") as file:
            file.truncate(self._num_bytes)
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        self._num_bytes += len(raw)

    def _note(self) -> None:
        state = {
            "settings": self._settings,
            "names": self._names,
            "num_rows": self.num_rows,
            "num_bytes": self._num_bytes,
            "num_parts": self._parts.num_parts,
        }
        write_whole(self._folder / STATE_FILE, json.dumps(state, ensure_ascii=False))

    def _restore(self) -> None:
        path = self._folder / STATE_FILE
        if not path.is_file():
            return
        state = read_model(path, _State, what="the state of a table that was begun")
        settings = json.loads(json.dumps(self._settings))
        if state.settings != settings:
            before = state.settings
            different = sorted(
                name for name in {*before, *settings} if before.get(name) != settings.get(name)
            )
            described = ", ".join(
                f"{name}={settings.get(name)!r} (before: {before.get(name)!r})"
                for name in different
            )
            raise ValueError(
                f"{self._folder}: a table that was begun must go on with the same settings. "
                f"Received: {described}. Give the former ones, or remove the folder to start anew."
            )
        rows = self._folder / ROWS_FILE
        num_bytes = rows.stat().st_size if rows.is_file() else 0
        parts = ParquetParts(self._folder, self.path, num_parts=state.num_parts)
        if num_bytes < state.num_bytes or not parts.are_whole():
            self._clear()  # The machine stopped before all was on the disk.
            return
        self._names, self.num_rows = state.names, state.num_rows
        self._num_bytes, self._parts = state.num_bytes, parts

    def _clear(self) -> None:
        for name in (STATE_FILE, ROWS_FILE):
            (self._folder / name).unlink(missing_ok=True)


def output_kind(path: Path, *, key: str) -> str:
    """One of `KINDS`. Raises ValueError for another."""
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise ValueError(
            f"{path}: {key} must end in one of {', '.join(KINDS)}. Received: {path.name!r}. "
            "Give it such a name."
        )
    return kind


def csv_text(columns: Mapping[str, Sequence[Any]], *, with_header: bool) -> str:
    """Rows as RFC 4180 has them."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    if with_header:
        writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        writer.writerow([_to_cell(value) for value in row])
    return text.getvalue()


def json_lines(columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """Rows as JSON objects."""
    return [
        _to_json(dict(zip(columns, row, strict=True)))
        for row in zip(*columns.values(), strict=True)
    ]


def _to_cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        return _to_json(value)
    return None if isinstance(value, float) and math.isnan(value) else value


def _to_json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=_without_type, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, default=_without_type)


def _finite(value: Any) -> Any:
    """The same with None for every number that JSON cannot hold."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _without_type(value: Any) -> str:
    """Dates and times as ISO 8601, bytes and decimals as text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value.isoformat() if hasattr(value, "isoformat") else value)
