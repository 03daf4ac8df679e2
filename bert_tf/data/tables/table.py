"""Columns of equal length in memory, and where each of their rows stands."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bert_tf.data.tables.finding import is_delimited
from bert_tf.data.tables.origins import Origins, Source
from bert_tf.data.tables.settings import no_header
from bert_tf.system.listing import listed, listed_unlike
from bert_tf.system.lookalikes import alike_hint, alike_hints


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns, with the values that a file has.

    A value is a str where the file is .csv or .tsv, else what JSON, Arrow or pandas say it is:
    str, int, float, bool, None, list or dict.

    Memory: a Python object a cell, about 50 bytes and 1 to 4 a character of text (numbers up to
    256 and texts of one Latin character are shared), 8 bytes for its place in the column, and 8 to
    12 bytes a row for its origin.
    """

    columns: Mapping[str, Sequence[Any]]
    origins: Origins

    @classmethod
    def from_columns(cls, columns: Mapping[str, Iterable[Any]]) -> "Table":
        """A table that is of no file.

        Raises:
            ValueError: there is no column, or they differ in length.
        """
        lists = {
            str(name): values.tolist() if isinstance(values, np.ndarray) else list(values)
            for name, values in columns.items()
        }
        lengths = {name: len(values) for name, values in lists.items()}
        if len(set(lengths.values())) != 1:
            described = listed(f"{name} ({length})" for name, length in lengths.items())
            raise ValueError(
                "The columns of a table must have the same length. Received: "
                f"{described or 'no column'}. Give each of them one value a row."
            )
        num_rows = next(iter(lengths.values()))
        return cls(lists, Origins.of(Source("", has_lines=False), range(1, num_rows + 1)))

    @staticmethod
    def concatenate(tables: Sequence["Table"]) -> "Table":
        """All rows of `tables`, in their order, with the first one's order of columns.

        Raises:
            ValueError: no table, or one has other columns than the first; names a row of both.
        """
        if not tables:
            raise ValueError(
                "Tables to be joined must be at least one. Received: none. Give a table."
            )
        first = tables[0]
        if len(tables) == 1:
            return first
        for table in tables[1:]:
            if set(table.names) != set(first.names):
                raise ValueError(
                    f"{_place(table)}: tables that are read together must have the same columns. "
                    f"Received: {listed_unlike(table.names, first.names)}; at {_place(first)}: "
                    f"{listed_unlike(first.names, table.names)}. Rename the columns, or give the "
                    "files one by one."
                    f"{alike_hints(table.names, first.names)}"
                )
        return Table(
            {
                name: [value for table in tables for value in table.columns[name]]
                for name in first.names
            },
            Origins.concatenate([table.origins for table in tables]),
        )

    def __len__(self) -> int:
        return len(self.origins.numbers)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns, in the file's order."""
        return tuple(self.columns)

    def where(self, row: int, *, side: int | None = None) -> str:
        """`path:line` on which a record begins; `path:row N` where there are no lines.

        `path:question ID` of a file of questions. `side`: see `Origins.describe`.
        """
        return self.origins.describe(row, side=side)

    def take(self, rows: Sequence[int] | np.ndarray) -> "Table":
        """Some rows, in the order of `rows`."""
        indices = [int(row) for row in rows]
        return Table(
            {name: [values[row] for row in indices] for name, values in self.columns.items()},
            self.origins.take(indices),
        )

    def column(self, name: str, *, key: str) -> Sequence[Any]:
        """The values of a column; `a.b` is field b of the objects in column a.

        A list of one object is that object; None has only fields that are None.

        Args:
            key: the setting that named the column, for the error.

        Raises:
            ValueError: there is no such column, or a row's object has no such field.
        """
        if name in self.columns:
            return self.columns[name]
        parts = name.split(".")
        for length in range(len(parts) - 1, 0, -1):
            start = ".".join(parts[:length])
            if start in self.columns:
                return [
                    self._walk(row, value, parts[length:], name=name, key=key)
                    for row, value in enumerate(self.columns[start])
                ]
        nearest = difflib.get_close_matches(name, self.names, n=1)
        hint = f" The nearest name is {nearest[0]!r}." if nearest else ""
        raise ValueError(
            f"{_place(self)}: there must be a column {name!r}. Received: columns "
            f"{listed(map(repr, self.names), max_items=20)}.{hint} Set {key} to one of them."
            f"{self._header_hint(key)}{alike_hint(name, self.names)}"
        )

    def _header_hint(self, key: str) -> str:
        """What may be wrong with names that a file's first line gave."""
        sources = self.origins.sources
        are_numbers = self.names == tuple(str(place + 1) for place in range(len(self.names)))
        are_token_columns = {"text", "tokens", "tags"} <= set(self.names)
        are_named = are_numbers or are_token_columns
        if are_named or not any(is_delimited(source.name) for source in sources):
            return ""
        table_key = "--file" if key.startswith("--") else key
        return f" If the first line is a record, set {no_header(table_key)}."

    def _walk(self, row: int, value: Any, fields: Sequence[str], *, name: str, key: str) -> Any:
        for field in fields:
            if isinstance(value, list) and len(value) == 1:
                value = value[0]
            if value is None:
                return None
            if not isinstance(value, dict) or field not in value:
                received = (
                    f"an object with {listed(map(repr, value))}"
                    if isinstance(value, dict)
                    else f"{value!r:.80}"
                )
                alike = alike_hint(field, value) if isinstance(value, dict) else ""
                raise ValueError(
                    f"{self.where(row)}: {name!r} must lead to a field {field!r} of an object (or "
                    f"of a list of one). Received: {received}. Set {key} to another name, or "
                    f"repair the row.{alike}"
                )
            value = value[field]
        return value


def _place(table: Table) -> str:
    """What a table is called as a whole."""
    names = [source.name for source in table.origins.sources if source.name]
    if not names:
        return "table"
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
