"""Lists names in messages: the first few, each of bounded length, and how many more there are."""

from collections.abc import Collection, Iterable
from typing import Any

MAX_ITEMS = 10
MAX_CHARACTERS = 80
AS_LINES: dict[str, Any] = {"max_items": 20, "max_characters": 300, "separator": "\n  "}
"""Options of `listed` for what is told on a line each."""


def listed(
    items: Iterable[Any],
    *,
    max_items: int = MAX_ITEMS,
    max_characters: int = MAX_CHARACTERS,
    separator: str = ", ",
) -> str:
    """`a, b and 190 more`: however many there are, and however long, people can read it.

    Nothing of no items. One item too many is shown rather than counted.
    """
    texts = [*map(str, items)]
    num_shown = max_items if len(texts) > max_items + 1 else len(texts)
    shown = separator.join(shortened(text, max_characters) for text in texts[:num_shown])
    if num_shown == len(texts):
        return shown
    return f"{shown}{_and(separator)}{len(texts) - num_shown:,} more"


def listed_unlike(names: Collection[str], others: Collection[str]) -> str:
    """`listed`, of many names those first that are not among `others`."""
    if len(names) <= MAX_ITEMS:
        return listed(names)
    known = set(others)
    lacking = [name for name in names if name not in known]
    return listed(dict.fromkeys((*lacking, *names)))


def shortened(text: str, max_characters: int = MAX_CHARACTERS) -> str:
    """`text`, or its beginning and "…"."""
    return text if len(text) <= max_characters else text[: max_characters - 1] + "…"


def _and(separator: str) -> str:
    """Of items on lines of their own the number has one, too."""
    return f"{separator}and " if "\n" in separator else " and "
