"""Labelled examples: a table in, what a task reads of each row out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from bert_tf.data.tables.splitting import text_key
from bert_tf.data.tables.table import Table
from bert_tf.data.tables.values import texts_of
from bert_tf.system.listing import listed
from bert_tf.system.lookalikes import alike_hints

TEXT, TEXT_PAIR = "text", "text_pair"
NO_LABEL = "(none)"
"""What is counted for examples that have none of several labels."""


@dataclass(frozen=True)
class TextFields:
    """The columns of the first and of the second text, as far as they are named."""

    text_field: str | None
    text_pair_field: str | None = None
    keys: tuple[str, str] = ("finetuning.text_field", "finetuning.text_pair_field")
    """The settings that name them, for errors."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Texts and targets of the rows of a table, which keeps all other columns."""

    table: Table
    inputs: Mapping[str, Sequence[str]]
    """A text a row under each name that the task's signatures take, such as `text`."""
    targets: Sequence[Any]
    """A value a row, as its task reads it: a name, names, a number."""

    def __len__(self) -> int:
        return len(self.targets)

    def where(self, row: int) -> str:
        """`path:line` of a row, as far as its table knows."""
        return self.table.where(row)

    def keys(self) -> list[str]:
        """What counts as the same example, whatever its target: see `splitting.text_key`."""
        return [text_key(*texts) for texts in zip(*self.inputs.values(), strict=True)]

    def take(self, rows: Sequence[int]) -> Self:
        """Some rows, in the order given."""
        return type(self)(
            self.table.take(rows),
            {name: [texts[row] for row in rows] for name, texts in self.inputs.items()},
            [self.targets[row] for row in rows],
        )


def read_inputs(table: Table, names: Sequence[str], fields: TextFields) -> dict[str, Sequence[str]]:
    """The texts of a table's rows under a signature's `names`: the first text, then the second.

    Raises:
        ValueError: no column is named for one, or there is no such column, or no text in a row.
    """
    found: dict[str, Sequence[str]] = {}
    columns = (fields.text_field, fields.text_pair_field)
    for name, field, key in zip(names, columns, fields.keys, strict=False):
        if field is None:
            raise ValueError(
                f"{table.where(0)}: {key} must name the column of {name}. Received: none. Set it."
            )
        found[name] = texts_of(table, field, key=key)
    return found


def check_targets(
    examples: Examples, names: Sequence[Sequence[str]], *, known: Sequence[str]
) -> None:
    """Raise ValueError, with the place of the first, if a row of `names` has one not in `known`."""
    is_known = frozenset(known)
    unknown = [(row, name) for row, own in enumerate(names) for name in own if name not in is_known]
    if not unknown:
        return
    received = sorted({name for _, name in unknown})
    row, first = unknown[0]
    are_all = len(unknown) == sum(map(len, names))
    question = " Is finetuning.label_field the right column?" if are_all else ""
    raise ValueError(
        f"{examples.where(row)}: every label must be one of the training data's: "
        f"{listed(known, max_items=20)}. "
        f"Received: {first!r}; in all {len(unknown)} record(s) with "
        f"{listed(map(repr, received))}. "
        f"Repair the data, or train with examples of every class.{question}"
        f"{alike_hints(received, known)}"
    )


def sorted_names(names: set[str]) -> list[str]:
    """In alphabetical order; by value if all are whole numbers, so that 10 comes after 9."""
    if all(name.removeprefix("-").isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)
