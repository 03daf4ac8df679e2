"""Labels in, labels out of which no two look equal.

"좋음" (NFC), "좋음" (NFD), "좋음\\u200b", " 좋음"  ->  "좋음"
"0" beside "0.0"                                   ->  refused
"""

import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from bert_tf.data.tables.canonical import canonical_text
from bert_tf.data.tables.label_kinds import regression_question
from bert_tf.system.listing import MAX_ITEMS, listed, shortened
from bert_tf.system.lookalikes import alike_pairs, tell_apart

logger = logging.getLogger(__name__)

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")
NUM_SHOWN = 5


def unify_labels(labels: Sequence[str], *, where: Callable[[int], str], key: str) -> list[str]:
    """Each label in the one spelling of those that look like it, see `canonical_text`.

    Spellings that are merged are told once, with counts and code points; so are labels that differ
    by case alone, which stay as they are.

    Args:
        where: of a row, `path:line`.
        key: the setting that named the labels' column, for messages.

    Raises:
        ValueError: two labels are the same number, such as 0 and 0.0; names the first row of each.
    """
    first_rows: dict[str, int] = {}
    for row, label in enumerate(labels):
        first_rows.setdefault(label, row)
    canonical = {label: canonical_text(label) for label in first_rows}
    if any(label != name for label, name in canonical.items()):
        _tell_merged(labels, canonical, key=key)
    rows: dict[str, int] = {}
    for label, row in first_rows.items():
        rows.setdefault(canonical[label], row)
    _refuse_equal_numbers(rows, where=where, key=key)
    _tell_equal_but_for_case(rows, where=where, key=key)
    for other, label in alike_pairs(rows):
        logger.warning(
            "Labels that print alike stay two (%s): at %s and %s.%s",
            *(key, where(rows[other]), where(rows[label]), tell_apart(other, label)),
        )
    return [canonical[label] for label in labels]


def _tell_merged(labels: Sequence[str], canonical: Mapping[str, str], *, key: str) -> None:
    """Spaces of ASCII around a label are no spelling of its own."""
    counts: dict[str, Counter[str]] = {}
    for label, count in Counter(labels).items():
        counts.setdefault(canonical[label], Counter())[label.strip(" \t\r\n")] += count
    merged = {name: spellings for name, spellings in counts.items() if len(spellings) > 1}
    for name, spellings in [*merged.items()][:MAX_ITEMS]:
        described = [
            f"{count} of {' '.join(f'U+{ord(character):04X}' for character in spelling)}"
            for spelling, count in spellings.most_common(NUM_SHOWN)
        ]
        logger.warning(
            "Labels that look equal are one label, %r (%s): %s.",
            shortened(name),
            key,
            listed(described, max_characters=200, separator="; "),
        )
    _tell_more(len(merged), "Labels that look equal are one label", key=key)


def _refuse_equal_numbers(
    rows: Mapping[str, int], *, where: Callable[[int], str], key: str
) -> None:
    names: dict[Decimal, str] = {}
    for label, row in rows.items():
        if NUMBER.fullmatch(label):
            other = names.setdefault(Decimal(label), label)
            if other != label:
                raise ValueError(
                    f"{where(row)}: labels that are the same number must be spelled alike. "
                    f"Received: {label!r}, and {other!r} at {where(rows[other])}. Write one of the "
                    f"two in all rows, or set {key} to another column."
                    f"{regression_question(list(rows))}"
                )


def _tell_equal_but_for_case(
    rows: Mapping[str, int], *, where: Callable[[int], str], key: str
) -> None:
    names: dict[str, str] = {}
    pairs = [
        (other, label)
        for label in rows
        if (other := names.setdefault(label.casefold(), label)) != label
    ]
    for pair in pairs[:MAX_ITEMS]:
        places = [text for label in pair for text in (shortened(label), where(rows[label]))]
        logger.warning(
            "Labels that differ by case alone stay two (%s): %r at %s, %r at %s.", key, *places
        )
    _tell_more(len(pairs), "Labels that differ by case alone stay two", key=key)


def _tell_more(num: int, what: str, *, key: str) -> None:
    """How many were not told one by one."""
    if num > MAX_ITEMS:
        logger.warning("%s (%s): %d more.", what, key, num - MAX_ITEMS)
