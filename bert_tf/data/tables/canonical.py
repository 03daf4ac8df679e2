"""The one spelling of texts that look the same."""

import re
import unicodedata

ZERO_WIDTH = re.compile("[\u200b-\u200d\u2060\ufeff]")
"""Characters that take no room: zero-width space, joiners, word joiner, byte order mark."""


def canonical_text(text: str) -> str:
    """NFC, without zero-width characters, every run of white space as one space, stripped.

    White space is Unicode's: no-break and ideographic spaces, tabs and line ends are some.
    """
    if text.isascii():
        return " ".join(text.split())
    return " ".join(unicodedata.normalize("NFC", ZERO_WIDTH.sub("", text)).split())
