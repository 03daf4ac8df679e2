"""Labelled examples in, what is to be known of them before anything is trained.

How often each target is there, how long texts are and how many will be cut, which texts occur
twice, with different targets even, and which held-out ones are in the training data, too.
`page` writes it as text, `files` as a folder.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bert_tf.data.tables.splitting import SEPARATOR, find_leaks
from bert_tf.tasks.base import Task
from bert_tf.tasks.examples import NO_LABEL, Examples
from bert_tf.tasks.inspection.counts import (
    ExampleCounts,
    Target,
    count_examples,
    count_names,
    count_numbers,
    describe_target,
)

if TYPE_CHECKING:
    from bert_tf.data.text.tokenizer import Tokenizer

TRAIN, HELD_OUT = "train", "held-out"
MAX_PLACES = 10
"""Of each finding so many are listed."""
_NUM_EXTREMES = 3
_MAX_CHARACTERS = 80
_BATCH_TEXTS = 4096

OnProgress = Callable[[str, int, int | None], None]


class Shown(NamedTuple):
    """An example as people are shown it."""

    where: str
    """`path:line`."""
    target: str
    text: str
    """The beginning, on one line."""
    length: int


class Repeated(NamedTuple):
    """The same text at two places."""

    first: Shown
    second: Shown


@dataclass(frozen=True, eq=False)
class Part:
    """The training examples, or the held-out ones."""

    name: str
    num_examples: int
    lengths: np.ndarray
    """int64 (examples,), in the report's unit."""
    num_cut: int | None
    """Examples longer than the model reads; None of lengths in characters, as the next two."""
    num_tokens: int | None
    """Without [CLS] and [SEP]."""
    num_unknown: int | None
    """[UNK] among them."""
    num_duplicates: int
    num_conflicts: int
    conflicts: Sequence[Repeated]
    num_empty: int
    empty: Sequence[Shown]
    shortest: Sequence[Shown]
    """Of those with text."""
    longest: Sequence[Shown]
    numbers: np.ndarray | None
    """The targets, where they are numbers."""


@dataclass(frozen=True, eq=False)
class LabelledReport:
    """What `inspect_examples` found; of each finding the first `MAX_PLACES` are listed."""

    task: str
    unit: str
    """Of lengths: `tokens`, special ones counted, or `characters`."""
    max_seq_length: int
    parts: Sequence[Part]
    targets: Sequence[Target]
    """The most frequent first; of numbers in their order."""
    bin_edges: np.ndarray | None
    """float64 (targets + 1,): of bins of equal width; None where each target is one value."""
    num_leaks: int
    leaks: Sequence[Repeated]
    """In the training data, and in the held-out data."""
    notes: Sequence[str]

    @property
    def has_numbers(self) -> bool:
        """Whether targets are numbers, and `targets` bins of them."""
        return self.parts[0].numbers is not None

    @property
    def unseen_targets(self) -> list[str]:
        """Those that held-out examples alone have; none of numbers."""
        if self.has_numbers:
            return []
        return [of.name for of in self.targets if not of.counts[0] and of.name != NO_LABEL]


def inspect_examples(
    task: Task,
    train: Examples,
    held_out: Examples | None = None,
    *,
    max_seq_length: int,
    tokenizer: "Tokenizer | None" = None,
    notes: Sequence[str] = (),
    on_progress: OnProgress = lambda stage, done, total: None,
) -> LabelledReport:
    """Look at examples as `task` read them.

    Args:
        max_seq_length: what the model reads, [CLS] and [SEP] counted.
        tokenizer: the model's; without one lengths are in characters.
        notes: what was noticed when the tables were read.
    """
    examples = {TRAIN: train} | ({} if held_out is None else {HELD_OUT: held_out})
    keys = {name: of.keys() for name, of in examples.items()}
    counts = {name: count_examples(task, of, keys=keys[name]) for name, of in examples.items()}
    lengths = {
        name: _measure(
            task.parts_of_rows(of),
            tokenizer=tokenizer,
            stage=f"{name} texts",
            on_progress=on_progress,
        )
        for name, of in examples.items()
    }
    numbers = {name: task.target_numbers(of) for name, of in examples.items()}
    leaks = find_leaks(keys[TRAIN], keys.get(HELD_OUT, ()))
    targets, bin_edges = _count_targets([*counts.values()], [*numbers.values()])
    return LabelledReport(
        task=task.name,
        unit="characters" if tokenizer is None else "tokens",
        max_seq_length=max_seq_length,
        parts=[
            _make_part(
                *(name, of, keys[name], counts[name], lengths[name]),
                numbers=numbers[name],
                max_seq_length=max_seq_length,
            )
            for name, of in examples.items()
        ],
        targets=targets,
        bin_edges=bin_edges,
        num_leaks=len(leaks),
        leaks=[
            Repeated(
                _show(train, keys[TRAIN].index(keys[HELD_OUT][row]), lengths[TRAIN]),
                _show(examples[HELD_OUT], row, lengths[HELD_OUT]),
            )
            for row in leaks[:MAX_PLACES]
        ],
        notes=notes,
    )


class _Lengths(NamedTuple):
    of_examples: np.ndarray
    num_tokens: int | None = None
    num_unknown: int | None = None


def _measure(
    columns: Sequence[Sequence[Sequence[str]]],
    *,
    tokenizer: "Tokenizer | None",
    stage: str,
    on_progress: OnProgress,
) -> _Lengths:
    num_examples = len(columns[0])
    lengths = np.zeros(num_examples, np.int64)
    if tokenizer is None:
        for column in columns:
            lengths += np.fromiter((max(map(len, parts)) for parts in column), np.int64)
        return _Lengths(lengths)
    num_tokens = num_unknown = 0
    for start in range(0, num_examples, _BATCH_TEXTS):
        batch = slice(start, start + _BATCH_TEXTS)
        for column in columns:
            ids = tokenizer.tokenize([part for parts in column[batch] for part in parts])
            of_parts = ids.row_lengths().numpy()
            firsts = np.cumsum([0, *(len(parts) for parts in column[batch][:-1])])
            lengths[batch] += np.maximum.reduceat(of_parts, firsts)
            num_tokens += int(of_parts.sum())
            num_unknown += int((ids.flat_values.numpy() == tokenizer.unk_id).sum())
        on_progress(stage, min(start + _BATCH_TEXTS, num_examples), num_examples)
    # [CLS], and a [SEP] behind each text.
    return _Lengths(lengths + 1 + len(columns), num_tokens, num_unknown)


def _make_part(
    name: str,
    examples: Examples,
    keys: Sequence[str],
    counts: ExampleCounts,
    lengths: _Lengths,
    *,
    numbers: np.ndarray | None,
    max_seq_length: int,
) -> Part:
    def show(row: int) -> Shown:
        return _show(examples, row, lengths)

    of_examples = lengths.of_examples
    empty = [row for row, key in enumerate(keys) if "" in key.split(SEPARATOR)]
    is_empty = set(empty)
    order = [row for row in np.argsort(of_examples, kind="stable").tolist() if row not in is_empty]
    longest = sorted(order[-_NUM_EXTREMES:], key=lambda row: (-of_examples[row], row))
    is_cut = of_examples > max_seq_length
    return Part(
        name=name,
        num_examples=len(examples),
        lengths=of_examples,
        num_cut=None if lengths.num_tokens is None else int(is_cut.sum()),
        num_tokens=lengths.num_tokens,
        num_unknown=lengths.num_unknown,
        num_duplicates=counts.num_duplicates,
        num_conflicts=len(counts.conflicts),
        conflicts=[Repeated(*map(show, rows)) for rows in counts.conflicts[:MAX_PLACES]],
        num_empty=len(empty),
        empty=[show(row) for row in empty[:MAX_PLACES]],
        shortest=[show(row) for row in order[:_NUM_EXTREMES]],
        longest=[show(row) for row in longest],
        numbers=numbers,
    )


def _count_targets(
    counts: Sequence[ExampleCounts], numbers: Sequence[np.ndarray | None]
) -> tuple[list[Target], np.ndarray | None]:
    present = [of for of in numbers if of is not None]
    if len(present) == len(numbers):
        return count_numbers(present)
    return count_names([of.targets for of in counts]), None


def _show(examples: Examples, row: int, lengths: _Lengths) -> Shown:
    texts = [texts[row] for texts in examples.inputs.values()]
    room = _MAX_CHARACTERS // len(texts)
    return Shown(
        where=examples.where(row),
        target=_shortened(describe_target(examples.targets[row]), _MAX_CHARACTERS),
        text=" / ".join(_shortened(text, room) for text in texts),
        length=int(lengths.of_examples[row]),
    )


def _shortened(text: str, room: int) -> str:
    line = " ".join(text[: 4 * room].split())
    return line if len(line) <= room else line[: room - 1] + "…"
