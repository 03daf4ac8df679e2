"""Labelled spans of a text, and what must hold of them.

"서울에 갔다", Span(0, 2, "LOC")  ->  "서울" is a LOC
"""

from collections.abc import Iterable
from typing import NamedTuple

from bert_tf.data.tables.faults import ExampleError
from bert_tf.data.text.characters import parts_character


class Span(NamedTuple):
    """A label of the characters `start` to `end`, which is the first behind them.

    Offsets count code points of the text, as Python's `text[start:end]` does.
    """

    start: int
    end: int
    label: str

    def __str__(self) -> str:
        return f"{self.label} {self.start}-{self.end}"


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
