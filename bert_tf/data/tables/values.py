"""A table's column in; texts, numbers, labels, flags or lists of names out, or the row at fault.

`field` is a column, or `column.field` of the objects in it; `key` is the setting that named it,
such as "finetuning.text_field". All raise ValueError with the row (see `Table.where`) and what it
holds, or where there is no such column (see `Table.column`).
"""

import math
from decimal import Decimal
from typing import Any

import numpy as np

from bert_tf.data.tables.canonical import canonical_text
from bert_tf.data.tables.labels import unify_labels
from bert_tf.data.tables.table import Table
from bert_tf.system.json_files import JsonError, decode_json

__all__ = ["flags_of", "labels_of", "names_of", "numbers_of", "texts_of", "unify_labels"]

MISSING = ("", "nan", "NaN", "None", "null", "N/A", "<NA>")
"""What programs write where there is no value."""
FLAGS = {"0": False, "1": True, "false": False, "true": True}


def texts_of(table: Table, field: str, *, key: str) -> list[str]:
    """Texts as they are, an empty one, too; whole numbers become text."""
    texts = []
    for row, value in enumerate(table.column(field, key=key)):
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            texts.append(str(value))
        else:
            raise _fault(table, row, field, value, needs="text or a whole number", key=key)
    return texts


def numbers_of(table: Table, field: str, *, key: str) -> np.ndarray:
    """Finite numbers, float64 (rows), of numbers or of text with a decimal point."""
    values = table.column(field, key=key)
    numbers = np.empty(len(values), np.float64)
    for row, value in enumerate(values):
        number = _number(value)
        if number is None:
            advice = "Fill it in or leave the row out"
            if isinstance(value, str) and "," in value:
                advice = "Write a decimal point and no thousands separators (1.5, 1200)"
            raise _fault(table, row, field, value, needs="a finite number", key=key, advice=advice)
        numbers[row] = number
    return numbers


def labels_of(table: Table, field: str, *, key: str) -> list[str]:
    """Labels, stripped, those that look equal spelled alike (see `unify_labels`).

    A whole number is a label, so is 1.0 (as 1: what pandas makes of a column of whole numbers
    with gaps) and any other finite float. A bool is "True" or "False", as in a .csv that Python
    wrote. Refused as missing: None, NaN, empty text and the texts of `MISSING`.
    """
    known: dict[Any, str] = {}
    labels = []
    for row, value in enumerate(table.column(field, key=key)):
        label = known.get(value) if isinstance(value, str) else None
        if label is None:
            label = _label(value)
            if label is None:
                advice = "Fill it in or leave the row out"
                raise _fault(table, row, field, value, needs="a label", key=key, advice=advice)
            if isinstance(value, str):
                known[value] = label
        labels.append(label)
    return unify_labels(labels, where=table.where, key=key)


def flags_of(table: Table, field: str, *, key: str) -> np.ndarray:
    """Yes or no, bool (rows): 1 and 0, true and false, as numbers, JSON or text."""
    values = table.column(field, key=key)
    flags = np.empty(len(values), np.bool_)
    for row, value in enumerate(values):
        flag = None
        if isinstance(value, str):
            flag = FLAGS.get(value.strip().lower())
        elif isinstance(value, bool | int | float) and value in (0, 1):
            flag = bool(value)
        if flag is None:
            raise _fault(table, row, field, value, needs="0 or 1 (or true or false)", key=key)
        flags[row] = flag
    return flags


def names_of(table: Table, field: str, *, key: str, separator: str) -> list[list[str]]:
    """Any number of names a row, each once, spelled as `labels_of` spells labels.

    A cell is a list, a JSON list as text, or names with `separator` between them; None, NaN and
    empty text are no name.
    """
    rows: list[list[str]] = []
    for row, value in enumerate(table.column(field, key=key)):
        names = [_label(item) for item in _items(value, separator=separator)]
        if None in names:
            raise _fault(
                table, row, field, value, key=key, needs=f"names with {separator!r} between them"
            )
        rows.append([name for name in names if name is not None])
    row_of = [row for row, names in enumerate(rows) for _ in names]
    flat = [name for names in rows for name in names]
    unified = iter(unify_labels(flat, where=lambda place: table.where(row_of[place]), key=key))
    return [list(dict.fromkeys(next(unified) for _ in names)) for names in rows]


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    if isinstance(value, str) and "_" in value:  # Python reads 1_000
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _label(value: Any) -> str | None:
    """None where it is missing or cannot be a label."""
    if isinstance(value, str):
        return None if canonical_text(value) in MISSING else value.strip(" \t\r\n")
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value) if isinstance(value, bool | int) else None


def _items(value: Any, *, separator: str) -> list[Any]:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return []
    if not isinstance(value, str):
        return value if isinstance(value, list) else [value]
    text = value.strip()
    if text.startswith("[") and text.endswith("]"):
        try:
            return list(decode_json(text))
        except JsonError:
            pass  # names in brackets
    return [part for part in text.split(separator) if canonical_text(part)]


def _fault(
    table: Table,
    row: int,
    field: str,
    value: Any,
    *,
    needs: str,
    key: str,
    advice: str = "Repair it",
) -> ValueError:
    return ValueError(
        f"{table.where(row)}: a record needs {needs} in {field!r}. Received: {value!r:.80}. "
        f"{advice}, or set {key} to another column."
    )
