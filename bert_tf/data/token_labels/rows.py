"""Holds what is read of the rows of a table that are not at fault."""

from dataclasses import dataclass, field

from bert_tf.data.tables.faults import NOTHING, Counted
from bert_tf.data.token_labels.schemes import TagForm
from bert_tf.data.token_labels.spans import Span

Words = tuple[tuple[int, int], ...]
"""Start and end of each, in the text."""


@dataclass
class Rows:
    """Of each row its number in the table, its text, spans, and words if these were tagged."""

    form: TagForm | None
    """How tags are written; None where spans are given."""
    numbers: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    spans: list[tuple[Span, ...]] = field(default_factory=list)
    words: list[Words | None] = field(default_factory=list)
    repaired: Counted = NOTHING
    """Runs of words whose tags are not as their scheme has them."""

    def append(self, number: int, text: str, spans: tuple[Span, ...], words: Words | None) -> None:
        """Add a row."""
        self.numbers.append(number)
        self.texts.append(text)
        self.spans.append(spans)
        self.words.append(words)
