"""Examples in, counts out: of each target, of repeated texts, of texts with different targets."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bert_tf.data.tables.splitting import count_duplicates
from bert_tf.tasks.base import Task
from bert_tf.tasks.examples import NO_LABEL, Examples

MAX_TARGETS = 40
_NUM_BINS = 20


@dataclass(frozen=True)
class ExampleCounts:
    """How often targets and texts are there."""

    targets: Mapping[str, int]
    num_duplicates: int
    """Examples with the text of one before them, see `splitting.text_key`."""
    conflicts: Sequence[tuple[int, int]]
    """Of each text with different targets the first row, and the first that differs from it."""


class Target(NamedTuple):
    """A target, or a bin of targets that are numbers."""

    name: str
    counts: tuple[int, ...]
    """Examples of each set that have it."""


def count_examples(task: Task, examples: Examples, *, keys: Sequence[str]) -> ExampleCounts:
    """Count targets and repeated texts; `keys` are `examples.keys()`."""
    first_rows: dict[str, int] = {}
    conflicts: dict[str, tuple[int, int]] = {}
    for row, key in enumerate(keys):
        first = first_rows.setdefault(key, row)
        if key not in conflicts and examples.targets[first] != examples.targets[row]:
            conflicts[key] = (first, row)
    return ExampleCounts(
        task.target_counts(examples), count_duplicates(keys), [*conflicts.values()]
    )


def describe_target(target: Any) -> str:
    """A target as text, whatever its task has: a name, several names, a number."""
    if isinstance(target, list | tuple):
        return ", ".join(map(str, target)) or NO_LABEL
    return f"{target:.12g}" if isinstance(target, float) else str(target)


def count_names(counts: Sequence[Mapping[str, int]]) -> list[Target]:
    """The targets of several sets of examples beside each other, the most frequent first."""
    names = {name: tuple(of.get(name, 0) for of in counts) for of in counts for name in of}
    ranked = sorted(names, key=lambda name: (*(-count for count in names[name]), name))
    return [Target(name, names[name]) for name in ranked]


def pooled(targets: Sequence[Target]) -> Sequence[Target]:
    """The 40 most frequent; of more 39, and all others as one."""
    if len(targets) <= MAX_TARGETS:
        return targets
    shown, rest = targets[: MAX_TARGETS - 1], targets[MAX_TARGETS - 1 :]
    counts = tuple(sum(column) for column in zip(*(t.counts for t in rest), strict=True))
    return [*shown, Target(f"other ({len(rest):,} targets)", counts)]


def count_numbers(numbers: Sequence[np.ndarray]) -> tuple[list[Target], np.ndarray | None]:
    """Each value; of more than 20 different ones 20 bins of equal width, the same in all sets."""
    everything = np.concatenate(numbers)
    values = np.unique(everything)
    if len(values) <= _NUM_BINS:
        counted = [(values == of[:, np.newaxis]).sum(axis=0) for of in numbers]
        return _targets([describe_target(float(value)) for value in values], counted), None
    edges = np.histogram_bin_edges(everything, _NUM_BINS)
    counted = [np.histogram(of, edges)[0] for of in numbers]
    names = [f"{low} – {high}" for low, high in itertools.pairwise(_describe_edges(edges))]
    return _targets(names, counted), edges


def _describe_edges(edges: np.ndarray) -> list[str]:
    """Numbers with four digits, or with as many as no two of them share."""
    described: list[str] = []
    for num_digits in range(4, 18):
        described = [f"{edge:.{num_digits}g}" for edge in edges]
        if len(set(described)) == len(described):
            break
    return described


def _targets(names: Sequence[str], counted: Sequence[np.ndarray]) -> list[Target]:
    rows = np.stack(counted, axis=1).tolist()
    return [Target(name, tuple(row)) for name, row in zip(names, rows, strict=True)]
