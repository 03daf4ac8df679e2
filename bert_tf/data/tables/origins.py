"""Where the rows of a table stand: a source and a number each, 12 bytes a row at most."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True, eq=False)
class RecordNames:
    """What the records of a file are called in it."""

    kind: str
    """What each is, such as "question"."""
    names: Sequence[str | None]
    """Of each record; None of one without a name."""

    def describe(self, number: int) -> str:
        """`question NAME` of a record, by its number from 1; `row N` of one without a name."""
        name = self.names[number - 1]
        return f"row {number}" if name is None else f"{self.kind} {name}"


class Source(NamedTuple):
    """What rows come from."""

    name: str
    """A path, or a hub name; empty for what is in memory."""
    has_lines: bool
    """Whether a row's number is that of the line on which it begins."""
    record_names: RecordNames | None = None
    """Where rows are named instead of their numbers."""
    sides: tuple[str, str] | None = None
    """Of rows that are lines of two files, side by side, their paths; `name` has both."""


@dataclass(frozen=True, eq=False)
class Origins:
    """Of each row, its source and its line or number, from 1."""

    sources: tuple[Source, ...]
    numbers: np.ndarray
    """uint64 (rows)."""
    source_ids: np.ndarray | None = None
    """uint32 (rows), indices of `sources`; None where all rows are of the first."""

    @classmethod
    def of(cls, source: Source, numbers: Iterable[int]) -> "Origins":
        """Rows of one source."""
        return cls((source,), np.fromiter(numbers, np.uint64))

    def describe(self, row: int, *, side: int | None = None) -> str:
        """`path:line`, `path:row N`, `path:question NAME`, or `row N` of what is no file.

        `side`: of lines of two files, which one's path: 0 or 1. Default: the name of both.
        """
        source = self.source(row)
        number = int(self.numbers[row])
        if side is not None and source.sides is not None:
            source = source._replace(name=source.sides[side])
        if not source.name:
            return f"row {number}"
        if source.record_names is not None:
            return f"{source.name}:{source.record_names.describe(number)}"
        return f"{source.name}:{number}" if source.has_lines else f"{source.name}:row {number}"

    def is_named(self, row: int) -> bool:
        """Whether `describe` says a name that the file itself has for the record."""
        names = self.source(row).record_names
        return names is not None and names.names[int(self.numbers[row]) - 1] is not None

    def take(self, rows: Sequence[int] | np.ndarray) -> "Origins":
        """Of some rows, in their order."""
        rows = np.asarray(rows, np.int64)
        ids = None if self.source_ids is None else self.source_ids[rows]
        return Origins(self.sources, self.numbers[rows], ids)

    @staticmethod
    def concatenate(parts: Sequence["Origins"]) -> "Origins":
        """Of all rows of all parts."""
        sources = list(dict.fromkeys(source for part in parts for source in part.sources))
        numbers = np.concatenate([part.numbers for part in parts])
        if len(sources) == 1:
            return Origins(tuple(sources), numbers)
        places = {source: place for place, source in enumerate(sources)}
        ids = []
        for part in parts:
            own = np.array([places[source] for source in part.sources], np.uint32)
            of_rows = part.source_ids
            ids.append(own[np.zeros(len(part.numbers), np.int64) if of_rows is None else of_rows])
        return Origins(tuple(sources), numbers, np.concatenate(ids))

    def source(self, row: int) -> Source:
        """What a row is of."""
        return self.sources[0 if self.source_ids is None else int(self.source_ids[row])]
