"""A table's columns in; the choices of each row, and the number of the right one, out.

Choices are one column (a list, JSON as text, or a line each), or a column each. What the labels are
is seen in them and told: numbers from 0, letters from A, or the text of the right choice.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from bert_tf.data.tables.canonical import canonical_text
from bert_tf.data.tables.faults import ExampleError, Faults
from bert_tf.data.tables.table import Table
from bert_tf.data.tables.values import texts_of
from bert_tf.system.json_files import JsonError, decode_json
from bert_tf.system.listing import listed
from bert_tf.tasks.choice_lines import LEAST_CHOICES, one_line

log = logging.getLogger(__name__)

LabelKind = Literal["number", "number_from_1", "letter", "text"]
CHOICES_KEY, COLUMNS_KEY = "finetuning.task.choices_field", "finetuning.task.choice_fields"
PREFIX_KEY, KIND_KEY = "finetuning.task.choice_prefix_field", "finetuning.task.label_is"
TEXT_KEY, LABEL_KEY = "finetuning.text_field", "finetuning.label_field"
_LEAST_TO_WARN = 20
_TOLD = {
    "number": "numbers from 0",
    "number_from_1": "numbers from 1",
    "letter": "letters from A",
    "text": "texts of choices",
}


@dataclass(frozen=True)
class ChoiceColumns:
    """Which columns have the choices, and how many there may be."""

    field: str | None
    """Of all of them; None where `fields` has one each."""
    fields: tuple[str, ...] = ()
    prefix_field: str | None = None
    """What every choice begins with, such as the first words of all endings."""
    max_choices: int = 100
    key: str = CHOICES_KEY
    """The setting that named `field`."""


class ChoiceRows(NamedTuple):
    """Rows of a table that have no fault."""

    table: Table
    choices: list[list[str]]
    targets: list[int]
    """Numbers of the right choices, from 0."""


def choices_of(table: Table, columns: ChoiceColumns) -> list[list[str]]:
    """The choices of every row.

    Raises:
        ValueError: the place of the first row at fault.
    """
    read, begin = _reader(table, columns), _beginner(table, columns)
    found = []
    for row in range(len(table)):
        try:
            found.append(begin(row, read(row)))
        except ExampleError as fault:
            place = Faults(table, "error").where(row)
            raise ValueError(f"{place}: {fault}") from fault
    return found


def read_choice_rows(
    table: Table,
    columns: ChoiceColumns,
    *,
    label_field: str,
    label_is: LabelKind | Literal["auto"],
    faults: Literal["error", "skip"],
) -> ChoiceRows:
    """The choices of rows and which one is right.

    Args:
        faults: what becomes of a row whose choices or label do not do: the first one is raised, or
            they are left out, and the log says which.

    Raises:
        ValueError: the place of the first row at fault; or what labels are cannot be seen.
    """
    found = Faults(table, faults)
    labels, begin = table.column(label_field, key=LABEL_KEY), _beginner(table, columns)
    rows, choices = _without_faults(range(len(table)), _reader(table, columns), found)
    kind = label_is
    if kind == "auto":
        kind = _kind_of([labels[row] for row in rows], choices, where=table.where)
        log.info("Labels in %r are %s.", label_field, _TOLD[kind])
    of_row = dict(zip(rows, choices, strict=True))
    rows, targets = _without_faults(
        rows, lambda row: _target(labels[row], of_row[row], kind=kind, field=label_field), found
    )
    found.check_some_left(len(rows))
    if found.num:
        log.warning("Rows at fault, left out: %s.%s", found.num, found.counted.describe())
    if kind == "number" and len(targets) >= _LEAST_TO_WARN and 0 not in targets:
        log.warning(
            "No label in %r is 0, the first choice: where labels count from 1, set %s.",
            *(label_field, f"{KIND_KEY}=number_from_1"),
        )
    return ChoiceRows(table.take(rows), [begin(row, of_row[row]) for row in rows], targets)


def _without_faults(
    rows: Sequence[int], read: Callable[[int], Any], faults: Faults
) -> tuple[list[int], list[Any]]:
    kept, values = [], []
    for row in rows:
        try:
            values.append(read(row))
            kept.append(row)
        except ExampleError as fault:
            faults.add(row, fault)
    return kept, values


def _reader(table: Table, columns: ChoiceColumns) -> Callable[[int], list[str]]:
    """Of a row its choices, checked. Raises ExampleError with what is wrong with them."""
    own = [table.column(field, key=COLUMNS_KEY) for field in columns.fields]
    cells = None if columns.field is None else table.column(columns.field, key=columns.key)

    def read(row: int) -> list[str]:
        if cells is None:
            return _checked(_of_columns([column[row] for column in own]), columns.max_choices)
        return _checked(_of_cell(cells[row], field=str(columns.field)), columns.max_choices)

    return read


def _beginner(table: Table, columns: ChoiceColumns) -> Callable[[int, list[str]], list[str]]:
    """A row and its choices -> these with what all of them begin with."""
    if columns.prefix_field is None:
        return lambda row, choices: choices
    prefixes = texts_of(table, columns.prefix_field, key=PREFIX_KEY)
    return lambda row, choices: [one_line(f"{prefixes[row]} {choice}") for choice in choices]


def _of_columns(cells: Sequence[Any]) -> list[Any]:
    """Cells behind the last one that is filled are choices that a row does not have."""
    cells = [*cells]
    while cells and (cells[-1] is None or cells[-1] != cells[-1] or cells[-1] == ""):
        cells.pop()
    return cells


def _of_cell(value: Any, *, field: str) -> list[Any]:
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            try:
                items = decode_json(value)
            except JsonError:
                items = None
            if isinstance(items, list):
                return items
        return value.strip("\r\n").split("\n")
    if not isinstance(value, list):
        raise ExampleError(
            f"choices in {field!r} must be a list, JSON, or text with a choice a line. Received: "
            f"{value!r:.80}. Write one, or name a column for each choice ({COLUMNS_KEY})."
        )
    return value


def _checked(items: Sequence[Any], max_choices: int) -> list[str]:
    if not LEAST_CHOICES <= len(items) <= max_choices:
        raise ExampleError(
            f"an example must have from {LEAST_CHOICES} to {max_choices} choices. Received: "
            f"{len(items)}. Repair it, or set finetuning.task.max_choices."
        )
    choices: dict[str, int] = {}
    lines = []
    for number, item in enumerate(items):
        is_text = isinstance(item, str) or (isinstance(item, int) and not isinstance(item, bool))
        line = one_line(str(item)) if is_text else ""
        key = canonical_text(line)
        if not key:
            raise ExampleError(
                f"every choice must be text. Received: {item!r:.80}, number {number}. Fill it in, "
                "or take it out."
            )
        if choices.setdefault(key, number) != number:
            raise ExampleError(
                f"choices must differ. Received: {line!r:.80} as numbers {choices[key]} and "
                f"{number}. Take one out."
            )
        lines.append(line)
    return lines


def _target(label: Any, choices: Sequence[str], *, kind: str, field: str) -> int:
    number = _number(label, choices, kind=kind)
    if number is None:
        wanted = {
            "number": f"a number from 0 to {len(choices) - 1}",
            "number_from_1": f"a number from 1 to {len(choices)}",
            "letter": f"a letter from A to {chr(ord('A') + min(len(choices), 26) - 1)}",
            "text": f"one of {listed(map(repr, choices), max_characters=200)}",
        }[kind]
        raise ExampleError(
            f"a label in {field!r} must be {wanted}. Received: {label!r:.80}. Repair it, or say "
            f"what labels are ({KIND_KEY})."
        )
    return number


def _number(label: Any, choices: Sequence[str], *, kind: str) -> int | None:
    """Which choice a label is; None of one that is none."""
    if isinstance(label, bool) or not isinstance(label, str | int | float):
        return None
    if isinstance(label, float):
        if label != label or not label.is_integer():
            return None
        label = int(label)
    text = canonical_text(str(label))
    number = -1
    if kind == "text":
        same = [place for place, choice in enumerate(choices) if canonical_text(choice) == text]
        number = same[0] if same else -1
    elif kind == "letter" and len(text) == 1 and text.isascii():
        number = ord(text.upper()) - ord("A")
    elif kind.startswith("number") and text.isascii() and text.isdecimal():
        number = int(text) - (kind == "number_from_1")
    return number if 0 <= number < len(choices) else None


def _kind_of(
    labels: Sequence[Any], choices: Sequence[Sequence[str]], *, where: Callable[[int], str]
) -> LabelKind:
    """What all labels can be, or most of them where some are at fault."""
    kinds: tuple[LabelKind, ...] = ("number", "letter", "text")
    found = {
        kind: [
            _number(label, of_row, kind=kind) for label, of_row in zip(labels, choices, strict=True)
        ]
        for kind in kinds
    }
    counts = {kind: sum(it is not None for it in numbers) for kind, numbers in found.items()}
    most = max(counts.values())
    best = [kind for kind in kinds if counts[kind] == most]
    if most and any(found[kind] != found[best[0]] for kind in best):
        raise ValueError(
            f"{where(0)}: labels must be of one kind. Received: labels that are "
            f"{' or '.join(_TOLD[kind] for kind in best)}. Set {KIND_KEY} to {' or '.join(best)}."
        )
    return best[0]
