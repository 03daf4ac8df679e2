"""Labelled spans of a text, and what must hold of them.

"서울에 갔다", Span(0, 2, "LOC")  ->  "서울" is a LOC
"""

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

ZERO_WIDTH_JOINER = "\u200d"
VIRAMA = 9
"""Canonical_Combining_Class of Unicode."""


class Span(NamedTuple):
    """A label of the characters `start` to `end`, which is the first behind them.

    Offsets count code points of the text, as Python's `text[start:end]` does.
    """

    start: int
    end: int
    label: str

    def __str__(self) -> str:
        return f"{self.label} {self.start}-{self.end}"


class ExampleError(ValueError):
    """What is wrong with an example, without its place."""


def check_spans(spans: Iterable[Span], *, text: str) -> tuple[Span, ...]:
    """The spans in the order of the text.

    Raises:
        ExampleError: one is empty, outside of the text, parts a character as people see it (see
            `parts_character`), has an empty label, or overlaps another.
    """
    ordered = sorted(spans)
    end = 0
    before: Span | None = None
    for span in ordered:
        _check_place(span, text=text)
        if before is not None and span.start < end:
            raise ExampleError(
                f"spans must not overlap. Received: {_shown(before, text)}, and "
                f"{_shown(span, text)}. Keep one of them."
            )
        before, end = span, span.end
    return tuple(ordered)


def parts_character(text: str, position: int) -> bool:
    """Whether one character, as people see it, goes on at `position`.

    It does at a combining mark, a variation selector, a modifier of an emoji, a zero-width joiner
    and the emoji or the Indic letter that it joins, inside of a flag of two letters, of a Hangul
    syllable that is written in letters (NFD), and between a carriage return and its line feed.

    Source: Unicode Standard Annex 29, section 3.1.1, without what people's spans do part: the
    zero-width non-joiner between parts of a Persian word, prepended marks, and letters of Hangul
    that stand alone beside whole syllables, as in "ᄃᄃ유리" and "글자ᅳᅳ".
    """
    if not 0 < position < len(text):
        return False
    before, after = text[position - 1], text[position]
    if before.isascii() and after.isascii():
        return (before, after) == ("\r", "\n")
    if unicodedata.category(before) in ("Cc", "Zl", "Zp"):
        return False
    if _is_extending(after):
        return True
    if before == ZERO_WIDTH_JOINER:
        return _is_joined(text[position - 2 : position - 1], after)
    if _is_flag_letter(before) and _is_flag_letter(after):
        letters = text[:position]
        return (len(letters) - len(letters.rstrip(_FLAG_LETTERS))) % 2 == 1
    return _is_inside_syllable(before, after)


_FLAG_LETTERS = "".join(map(chr, range(0x1F1E6, 0x1F200)))


def _check_place(span: Span, *, text: str) -> None:
    start, end, label = span
    if not label:
        raise ExampleError(
            f"a span must have a label. Received: none at {start} to {end}. Name it, or take the "
            "span out."
        )
    if not 0 <= start < end <= len(text):
        raise ExampleError(
            f"a span must lie inside of its text, with start < end <= {len(text)}. Received: start "
            f"{start}, end {end} ({label}). Count code points from 0, the end behind the last."
        )
    for position in (start, end):
        if parts_character(text, position):
            raise ExampleError(
                f"a span must not part a character. Received: {_shown(span, text)}, but at "
                f"{position} {text[max(position - 2, 0) : position + 2]!a} is one character to "
                "the eye. Move the span's end, or write the text in NFC."
            )


def _shown(span: Span, text: str) -> str:
    return f"{text[span.start : span.end]!r:.60} at {span.start} to {span.end} ({span.label})"


def _is_joined(before: str, after: str) -> bool:
    """Whether a joiner joins two emoji, or a letter to one with a virama: Persian ends with one."""
    is_virama = bool(before) and unicodedata.combining(before) == VIRAMA
    return unicodedata.category(after) == "So" or (is_virama and after.isalpha())


def _is_extending(character: str) -> bool:
    return (
        unicodedata.category(character) in ("Mn", "Mc", "Me")
        or character in (ZERO_WIDTH_JOINER, "\u0e33", "\u0eb3")  # vowels of Thai and Lao
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # tones of skin
        or "\U000e0020" <= character <= "\U000e007f"  # letters of flags of regions
    )


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _is_inside_syllable(before: str, after: str) -> bool:
    """Of Hangul: a leading consonant before a vowel, or a vowel before a trailing consonant."""
    pair = (_hangul_kind(before), _hangul_kind(after))
    return pair in (("L", "V"), ("V", "T"), ("LV", "T"))


def _hangul_kind(character: str) -> str:
    """Hangul_Syllable_Type of Unicode, of those that may go on; empty of others."""
    code = ord(character)
    if 0x1100 <= code <= 0x115F or 0xA960 <= code <= 0xA97C:
        return "L"
    if 0x1160 <= code <= 0x11A7 or 0xD7B0 <= code <= 0xD7C6:
        return "V"
    if 0x11A8 <= code <= 0x11FF or 0xD7CB <= code <= 0xD7FB:
        return "T"
    if 0xAC00 <= code <= 0xD7A3:
        return "" if (code - 0xAC00) % 28 else "LV"
    return ""
