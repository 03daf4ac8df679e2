"""What a benchmark is: its sets, how each is published and measured, and the numbers of others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bert_tf.data.tables.table import Table

MAIN = ""
"""The held-out part that a set has anyway; MNLI has another beside it."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Files that a set is published in, and how they are read.

    A file is named by the end of its path, in small letters and with wildcards. Where there are no
    training or no held-out files, those of the other part are split.
    """

    train: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    beside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Further held-out parts, by their names."""
    finetuning: Mapping[str, Any] = field(default_factory=dict)
    """Columns and how the table is read: settings of the section `finetuning`."""
    split_field: str = "text"
    """The column by whose text a single part is split: the same text is never on both sides."""
    skips_short_rows: bool = False
    """Whether the published file has records without all cells, which are left out and counted."""
    converted: Callable[[Table], Table] | None = None
    """The rows as the task reads them, where it does not read those of the files."""


@dataclass(frozen=True)
class Score:
    """An official metric of a set."""

    title: str
    key: str
    """In `metrics.json`."""
    part: str = MAIN
    """Of the held-out parts, which."""

    @property
    def name(self) -> str:
        """In `results.json`."""
        return f"{self.part} {self.key}" if self.part else self.key


@dataclass(frozen=True, kw_only=True)
class BenchmarkSet:
    """A set: a row of the benchmark's table in code, a column of the one that is printed."""

    name: str
    """In options and results."""
    title: str
    layouts: tuple[Layout, ...]
    """The first that is there is read."""
    task: Mapping[str, Any]
    """`finetuning.task`."""
    recipe: Mapping[str, Any]
    """Other settings of `finetuning`: epochs, rate, batch, length."""
    scores: tuple[Score, ...]
    """By the first of them the best of several settings is chosen."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A row of numbers that others have published."""

    model: str
    split: str
    """On what they are measured."""
    source: str
    values: Mapping[str, tuple[float | None, ...]]
    """Of each set, in percent and in the order of its scores."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A benchmark, and sets that may be measured beside it where they are asked for."""

    name: str
    title: str
    sets: tuple[BenchmarkSet, ...]
    further_sets: tuple[BenchmarkSet, ...] = ()
    published: tuple[Published, ...]
    recipe_source: str


def recipe(
    *,
    learning_rate: float,
    num_epochs: float,
    batch_size: int = 32,
    max_seq_length: int = 128,
    optimizer: Mapping[str, Any] | None = None,
    **finetuning: Any,
) -> dict[str, Any]:
    """Settings of `finetuning`."""
    return {
        "num_epochs": num_epochs,
        "max_seq_length": max_seq_length,
        "training": {
            "batch_size": batch_size,
            "optimizer": {"learning_rate": learning_rate, **(optimizer or {})},
        },
        **finetuning,
    }
