"""An answer as data has it and its context in, where it stands out.

Written("서울", 4), "수도는 서울이다."  ->  Answer(4, 6)
"""

import itertools
from typing import Any, NamedTuple

from bert_tf.data.tables.faults import ExampleError
from bert_tf.data.text.characters import parts_character

UNITS = {"UTF-16 units": ("utf-16-le", 2), "UTF-8 bytes": ("utf-8", 1)}
"""What offsets may count other than code points: the encoding, and the bytes of a unit of it."""


class Answer(NamedTuple):
    """The code points `start` to `end` of a context; `end` is the first behind them.

    Its text is `context[start:end]`.
    """

    start: int
    end: int


class Written(NamedTuple):
    """An answer as data has it."""

    text: str
    start: Any
    """`answer_start`: where the text begins, if it is a whole number from 0."""

    @property
    def place(self) -> int | None:
        """`start` if a text may have such a place."""
        is_whole = isinstance(self.start, int) and not isinstance(self.start, bool)
        return self.start if is_whole and self.start >= 0 else None


def find_at_start(answer: Written, context: str, *, unit: str | None = None) -> Answer | None:
    """Where an answer is if its text stands at its start; None if it does not.

    Args:
        unit: what the start counts, one of `UNITS`; None is code points.
    """
    start = answer.place
    if start is not None and unit is not None:
        start = _code_points(context, start, unit=unit)
    if start is None or not answer.text or not context.startswith(answer.text, start):
        return None
    return Answer(start, start + len(answer.text))


def find_near_start(answer: Written, context: str) -> Answer | None:
    """Where the text stands nearest to its start, with or without white space at its ends.

    Of a start that is no place in the context, the one place where the text stands. None if there
    is no such place, or if there are several.
    """
    texts = dict.fromkeys((answer.text, answer.text.strip()))
    found = [
        [Answer(start, start + len(text)) for start in _occurrences(text, context)]
        for text in texts
    ]
    place = answer.place
    if place is not None and place <= len(context):
        anywhere = itertools.chain.from_iterable(found)
        return min(anywhere, key=lambda other: abs(other.start - place), default=None)
    return next((answers[0] for answers in found if len(answers) == 1), None)


def parts_characters(answer: Answer, context: str) -> bool:
    """Whether an end of the answer is inside of one character, as people see it."""
    return any(parts_character(context, position) for position in answer)


def check_text(answer: Written) -> None:
    """Raise ExampleError of an answer of nothing but white space."""
    if not answer.text.strip():
        raise ExampleError(
            f"an answer must have a text. Received: {answer.text!r:.60} at {answer.start!r:.20}. "
            "Fill it in, or write [] for a question that its context does not answer."
        )


def _code_points(context: str, offset: int, *, unit: str) -> int | None:
    """An offset in code points; None if it is behind the text or inside of a code point."""
    encoding, num_bytes = UNITS[unit]
    encoded = context.encode(encoding, "surrogatepass")
    if offset * num_bytes > len(encoded):
        return None
    try:
        return len(encoded[: offset * num_bytes].decode(encoding))
    except UnicodeDecodeError:
        return None


def _occurrences(text: str, context: str) -> list[int]:
    starts: list[int] = []
    start = context.find(text) if text else -1
    while start >= 0:
        starts.append(start)
        start = context.find(text, start + 1)
    return starts
