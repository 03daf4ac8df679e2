"""Decides which texts count as the same, for duplicates, leaks and the held-out split."""

from collections.abc import Iterable, Sequence

from bert_tf.data.corpora.document import held_out_rule
from bert_tf.data.tables.canonical import canonical_text

SEPARATOR = "\t"
"""White space: no canonical text has it."""


def text_key(*texts: str | None) -> str:
    """A text, or a pair of texts, as they are compared; None is left out.

    Equal for what differs only in normalisation (NFC, NFD), zero-width characters and white space.
    """
    return SEPARATOR.join(canonical_text(text) for text in texts if text is not None)


def count_duplicates(keys: Sequence[str]) -> int:
    """How many rows have the text of one before them."""
    return len(keys) - len(set(keys))


def find_leaks(train_keys: Iterable[str], held_out_keys: Sequence[str]) -> list[int]:
    """The rows of the held-out texts that are training texts, too."""
    trained_on = set(train_keys)
    return [row for row, key in enumerate(held_out_keys) if key in trained_on]


def are_held_out(keys: Iterable[str], *, share: float, seed: int) -> list[bool]:
    """Which rows belong to evaluation: a function of the text (see `text_key`) and the seed only.

    So the same text is never on both sides, and data that grow keep their split.
    """
    contents = [key.encode("utf-8", errors="surrogatepass") for key in keys]
    return held_out_rule(share, seed)(contents)
