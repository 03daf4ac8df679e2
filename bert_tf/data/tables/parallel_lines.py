"""Two files whose lines belong together in, a table with a row for each pair of lines out.

    train.{en,de}.gz: "A dog runs." is line 1 of train.en.gz, "Ein Hund läuft." of train.de.gz
    ->  row train.{en,de}.gz:1, source "A dog runs.", target "Ein Hund läuft."

Of the names between braces the first makes the source's file, the second the target's. There may
be several braces, and wildcards beside them: `{en,de}/part-*.{en,de}`.
"""

import functools
import itertools
import re
from collections.abc import Iterator
from glob import has_magic
from pathlib import Path
from typing import NamedTuple

from bert_tf.config import TableConfig
from bert_tf.data.corpora.folders import Rule, find_files
from bert_tf.data.tables.content_kind import check_is_text
from bert_tf.data.tables.decoding import open_text
from bert_tf.data.tables.finding import missing, table_kind
from bert_tf.data.tables.origins import Origins, Source
from bert_tf.data.tables.table import Table
from bert_tf.data.tables.text_lines import content_of
from bert_tf.system.listing import listed

SOURCE, TARGET = "source", "target"
"""The columns."""
BRACES = re.compile(r"\{([^{}]*)\}")
WILDCARD = re.compile(r"(\*\*/|\*|\?|\[!?[^\]]+\])")
WILDCARDS = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
"""What a wildcard of a glob stands for, as a regular expression."""


class ParallelFiles(NamedTuple):
    """Two files with as many lines."""

    name: str
    """Of both, with the braces."""
    source: Path
    target: Path


def is_parallel(name: str | Path) -> bool:
    """Whether a name has braces, which is no file's own name."""
    return BRACES.search(str(name)) is not None and not Path(name).is_file()


def find_parallel_files(name: str | Path, *, key: str) -> list[ParallelFiles]:
    """The pairs of files that a name with braces stands for, sorted.

    Args:
        key: the setting that holds the name, for errors.

    Raises:
        FileNotFoundError: a file is not there, or not the one beside it.
        ValueError: braces without two names, or files that are tables themselves.
    """
    name = str(Path(name))
    for group in BRACES.findall(name):
        if len(group.split(",")) != 2 or WILDCARD.search(group):
            raise ValueError(
                f"{name}: {key} must name the source's and the target's file with two names "
                "between braces and no wildcard there, such as train.{en,de}.gz. Received: "
                f"{{{group}}}. Repair it."
            )
    sides = [Path(_of_side(name, side)) for side in (0, 1)]
    if sides[0] == sides[1]:
        raise ValueError(
            f"{name}: {key} must name two files. Received: {sides[0]} for both. Repair the names "
            "between braces."
        )
    if not any(has_magic(str(side)) for side in sides):
        for side in sides:
            if not side.is_file():
                raise missing(side, key=key)
        found = [ParallelFiles(name, *sides)]
    else:
        found = _matched(name, sides, key=key)
    for path in (path for files in found for path in (files.source, files.target)):
        if table_kind(path) is not None:
            raise ValueError(
                f"{path}: files whose lines belong together must have a text a line. Received: "
                f"{path.name!r}, a table. Set {key} to tables with a column for each side, or to "
                "text files."
            )
    return found


def read_parallel_lines(
    files: ParallelFiles, *, config: TableConfig, key: str, batch_rows: int
) -> Iterator[Table]:
    """The lines of two files side by side, columns `source` and `target`.

    Only a line feed ends a line, a carriage return before it is left out; a file whose lines end
    with carriage returns alone is read by these. Empty lines are texts, too.

    Raises:
        ValueError: a file has more lines than the other; or it is no text (see `open_text`).
    """
    for path in (files.source, files.target):
        check_is_text(path, key=key)
    sides = (str(files.source), str(files.target))
    source = Source(files.name, has_lines=True, sides=sides)
    with (
        open_text(files.source, config=config, key=key) as first,
        open_text(files.target, config=config, key=key) as second,
    ):
        number = 0
        pairs = itertools.zip_longest(first, second)
        while batch := list(itertools.islice(pairs, batch_rows)):
            last = batch[-1]
            if None in last:
                _check_as_many(files, batch, number=number, rest=pairs)
            yield Table(
                {
                    column: [content_of(pair[side]) for pair in batch]
                    for side, column in enumerate((SOURCE, TARGET))
                },
                Origins.of(source, range(number + 1, number + len(batch) + 1)),
            )
            number += len(batch)


def _check_as_many(files: ParallelFiles, batch: list, *, number: int, rest: Iterator) -> None:
    """Raise the error of lines that have none beside them; `number` lines were read before."""
    num_pairs = number + sum(None not in pair for pair in batch)
    num_all = number + len(batch) + sum(1 for _ in rest)
    is_source_shorter = batch[-1][0] is None
    shorter, longer = (
        (files.source, files.target) if is_source_shorter else (files.target, files.source)
    )
    raise ValueError(
        f"{shorter}:{num_pairs + 1}: files whose lines belong together must have as many lines. "
        f"Received: {num_pairs:,} lines, while {longer} has {num_all:,}: from line "
        f"{num_pairs + 1:,} on it has none beside it. Look for the line that one of them lacks, "
        "and write it."
    )


def _of_side(name: str, side: int) -> str:
    return BRACES.sub(lambda found: found[1].split(",")[side], name)


def _matched(name: str, sides: list[Path], *, key: str) -> list[ParallelFiles]:
    """The pairs of a name with wildcards; every file that they match has one beside it."""
    found = []
    expected = set()
    pattern = re.compile(_pattern(name))
    for path in _matches(sides[0], key=key):
        parts = pattern.fullmatch(str(path))
        if parts is None:  # such as what ends with `**`
            raise ValueError(
                f"{path}: {key} must tell which file stands beside which by *, **/, ? and [...] "
                f"alone. Received: {name}. Name the files one by one."
            )
        # Literal texts, braces and wildcards follow one another as in the name.
        kept = iter(parts.groups())
        pieces = [next(kept) if WILDCARD.fullmatch(piece) else piece for piece in _pieces(name)]
        beside = Path("".join(_of_side(piece, 1) for piece in pieces))
        if not beside.is_file():
            raise FileNotFoundError(
                f"{path}: {key} must have a target beside every source. Received: no file "
                f"{beside}. Write it, or name the files one by one."
            )
        expected.add(beside)
        found.append(ParallelFiles("".join(pieces), path, beside))
    alone = sorted(set(_matches(sides[1], key=key)) - expected)
    if alone:
        raise FileNotFoundError(
            f"{alone[0]}: {key} must have a source beside every target. Received: "
            f"{len(alone)} without one: {listed(alone)}. Write them, or name the files one by one."
        )
    return found


def _matches(path: Path, *, key: str) -> list[Path]:
    rule = Rule(
        lambda found: True,
        not_wanted=functools.partial(missing, key=key),
        missing=functools.partial(missing, key=key),
        empty=lambda named, received: FileNotFoundError(
            f"{named}: {key} must name at least one file. Received: {received}. Repair the name."
        ),
    )
    return find_files([path], rule).files


def _pieces(name: str) -> list[str]:
    """Wildcards, and what stands between them."""
    return [piece for piece in WILDCARD.split(name) if piece]


def _pattern(name: str) -> str:
    """What matches a source's path, with a group for each wildcard."""
    return "".join(
        f"({_regex(piece)})" if WILDCARD.fullmatch(piece) else re.escape(_of_side(piece, 0))
        for piece in _pieces(name)
    )


def _regex(wildcard: str) -> str:
    return WILDCARDS.get(wildcard) or wildcard.replace("[!", "[^", 1)
