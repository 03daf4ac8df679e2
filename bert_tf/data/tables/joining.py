"""Tokens in, what stands between them in their text out.

[EU, rejects]  ->  a space        [경, 찰, " ", 은]  ->  nothing
"""

import itertools
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from bert_tf.system.listing import shortened

MOST = 0.9
"""Share of tokens of one character that makes a file one of characters."""


def joint_of(sentences: Iterable[Sequence[str]], *, joined: str, place: str, setting: str) -> str:
    """What stands between tokens: nothing where nine of ten are one character, else a space.

    Args:
        joined: as `TableConfig` has it.
        setting: its name, for the error.

    Raises:
        ValueError: tokens are words, but some are white space.
    """
    if joined != "auto":
        return "" if joined == "nothing" else " "
    counts = Counter(itertools.chain.from_iterable(sentences))
    num_characters = sum(count for token, count in counts.items() if _is_character(token))
    if num_characters >= MOST * counts.total():
        return ""
    blank = next((token for token in counts if not token.strip()), None)
    if blank is not None:
        word = next(token for token in counts if not _is_character(token))
        raise ValueError(
            f"{place}: tokens must be words, or characters with the spaces among them. Received: "
            f"{shortened(word)!r}, and {blank!r} as a token of its own. Set {setting}=nothing if "
            f"spaces between words are tokens, or {setting}=space if they are not."
        )
    return " "


def _is_character(token: str) -> bool:
    return len(token) == 1 or len(unicodedata.normalize("NFC", token)) == 1
