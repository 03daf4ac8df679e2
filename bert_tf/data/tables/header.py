"""The names of columns and some rows in; refused where the names look like a record.

    9976970 | worst film I ever saw. | 0        <- names?
    3819312 | hm... I liked it       | 1
    10265843| too childish, really   | 0        "0" occurs again below: it is no name

Names that are numbers by design are let pass: 0, 1, 2, … of pandas, and years.
"""

import itertools
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bert_tf.data.tables.canonical import canonical_text
from bert_tf.data.tables.settings import with_header
from bert_tf.data.tables.table import Table

logger = logging.getLogger(__name__)

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff]")
"""Kana and Han."""
REFUSED_FROM, TOLD_FROM = 2, 1
"""Weight of all that speaks for a record."""
MOST = 0.9
"""Share of a column's cells that makes it one of numbers, or of one shape."""
NUM_KINDS = 20
"""Different cells of a column that has few, such as labels."""
NUM_ROWS, LONGEST_CELL = 1000, 1000
"""Rows, and characters of a cell, that are looked at."""
LONGEST_KIND = 40
"""Characters of a label."""


MEMORY_ADVICE = (
    "Read the file without a header (pandas: header=None) and name the columns; if these are "
    "names, rename those that look like cells."
)


@dataclass(frozen=True)
class Sign:
    """What a name says of the first row."""

    name: str
    weight: int
    """Above 0 it speaks for a record, below for names."""
    reason: str = ""


def check_header(table: Table, *, place: str, advice: str) -> None:
    """Raise ValueError if the names look like a record; a warning where that is not sure.

    Args:
        table: the rows below.
        place: where the names stand.
        advice: what to do where they are a record, and where they are names.
    """
    signs = [sign for sign in signs_of(table) if sign.weight]
    total = sum(sign.weight for sign in signs)
    if total < TOLD_FROM:
        return
    received = "; ".join(f"{sign.name!r:.80} {sign.reason}" for sign in signs if sign.weight > 0)
    message = (
        f"{place}: the names of the columns must come first. Received: what looks like a record, "
        f"since {received}. {advice}"
    )
    if total >= REFUSED_FROM:
        raise ValueError(message)
    logger.warning("%s", message)


def check_no_header(table: Table, *, place: str, key: str) -> None:
    """Tell it if the first row of a table that was read without names looks like names.

    It does where a column of numbers begins with a word.
    """
    for values in table.columns.values():
        first, *rest = [_text(value) for value in values[:NUM_ROWS]]
        if _is_word(first) and len(rest) > 1 and _are_numbers(rest):
            logger.warning(
                "%s: the first row must be a record, as the table is read without names. "
                "Received: %r above numbers, which looks like a column's name. If it is, set %s.",
                *(place, first, with_header(key)),
            )
            return


def signs_of(table: Table) -> list[Sign]:
    """Of each name, in their order."""
    series = _series(table.names)
    return [
        Sign(name, 0)
        if number in series
        else _sign(
            name,
            [_text(value) for value in values[:NUM_ROWS] if value is not None],
            is_first=number == 0,
        )
        for number, (name, values) in enumerate(table.columns.items())
    ]


def _sign(name: str, cells: Sequence[str], *, is_first: bool) -> Sign:
    filled = [cell for cell in cells if cell]
    if not filled:
        return Sign(name, 0)
    are_numbers = _are_numbers(filled)
    if not name:
        return Sign(name, -4 if are_numbers and is_first else 0)
    text = canonical_text(name)
    is_again = text in filled and _are_kinds(filled)
    if NUMBER.fullmatch(text):
        if is_again:
            return Sign(name, 3, "is a number that occurs again below")
        is_code = _is_year(text) or _are_few(filled)
        weight = 2 if are_numbers and not is_code else 0
        return Sign(name, weight, "is a number above numbers")
    if are_numbers:
        return Sign(name, -4)
    if is_again:
        return Sign(name, 2, "occurs again below")
    shape = _shape(text)
    if "9" in shape and sum(_shape(cell) == shape for cell in filled) >= MOST * len(filled):
        return Sign(name, 3, "has the form of the cells below")
    return _sign_of_text(name, text, filled)


def _sign_of_text(name: str, text: str, cells: Sequence[str]) -> Sign:
    """A name above texts: a sentence is none, a single word probably is."""
    are_texts = sum(num_words(cell) > 2 for cell in cells) >= len(cells) / 2
    length = num_words(text)
    if not are_texts:
        return Sign(name, 0)
    if length > 5 or (length > 2 and text[-1] in ".!。…") or len(text) > 60:
        return Sign(name, 2, "is a sentence above texts")
    if length > 3:
        return Sign(name, 1, "is several words above texts")
    if length == 1 and len(cells) >= NUM_KINDS:
        num_words_alone = sum(num_words(cell) == 1 for cell in cells)
        if num_words_alone < (1 - MOST) * len(cells):
            return Sign(name, -4)  # No such text is there.
    # Above long texts two words are as little a text as one.
    is_short = length == 1 or sum(map(num_words, cells)) >= 4 * length * len(cells)
    return Sign(name, -int(is_short))


def _series(names: Sequence[str]) -> set[int]:
    """The places of numbers that count upwards from column to column, as years and classes do."""
    places: set[int] = set()
    whole = [int(name) if name.isdecimal() else None for name in names]
    for place, (low, high) in enumerate(itertools.pairwise(whole)):
        if low is not None and high is not None and high - low == 1:
            places |= {place, place + 1}
    return places


def _are_numbers(cells: Sequence[str]) -> bool:
    return sum(NUMBER.fullmatch(cell) is not None for cell in cells) >= MOST * len(cells)


def _are_kinds(cells: Sequence[str]) -> bool:
    """Whether a column has few different cells, and short ones."""
    kinds = set(cells)
    return len(kinds) <= max(NUM_KINDS, len(cells) // 10) and _mean_length(kinds) <= LONGEST_KIND


def _are_few(cells: Sequence[str]) -> bool:
    """Whether a column has so few different cells that its first one would come again."""
    return len(set(cells)) <= min(NUM_KINDS, len(cells) // 4)


def _mean_length(texts: Iterable[str]) -> float:
    lengths = [len(text) for text in texts]
    return sum(lengths) / len(lengths)


def _is_year(text: str) -> bool:
    return text.isdecimal() and 1900 <= int(text) <= 2100


def _is_word(text: str) -> bool:
    return bool(text) and not NUMBER.fullmatch(text) and any(map(str.isalpha, text))


def _shape(text: str) -> str:
    """`img_9.png` of `img_0012.png`."""
    return re.sub(r"\d+", "9", text)


def num_words(text: str) -> int:
    """Words between spaces; of scripts without spaces two characters are one."""
    return len(UNSPACED.sub("", text).split()) + len(UNSPACED.findall(text)) // 2


def _text(value: Any) -> str:
    return canonical_text(str(value)[:LONGEST_CELL])
