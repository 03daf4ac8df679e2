"""What a corpus is made of, and on which side of the held-out split it lies."""

import functools
import hashlib
import math
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Document:
    """Paragraphs (never empty, without line ends) and where the first one stands."""

    paragraphs: tuple[str, ...]
    source: str
    """`path:line`."""
    num_repaired_lines: int = 0
    """Lines with U+FFFD for bytes that were no UTF-8."""

    @property
    def text(self) -> str:
        """All paragraphs, one a line."""
        return "\n".join(self.paragraphs)

    @property
    def compared_text(self) -> str:
        """The text in NFC, by which documents are told apart. Never NFD: see Hangul."""
        return unicodedata.normalize("NFC", "\n".join(self.paragraphs))


def is_held_out(document: Document, *, share: float, seed: int) -> bool:
    """Whether a document belongs to evaluation: a function of its text and the seed only.

    So the same text is never on both sides, decomposed or not, and a grown corpus keeps its split.
    """
    return held_out_rule(share, seed)(document)


@functools.lru_cache(maxsize=1)
def held_out_rule(share: float, seed: int) -> Callable[[Document], bool]:
    """`is_held_out` of a share and a seed, prepared for many documents."""
    if share in (0, 1):
        return lambda document: bool(share)
    seeded = hashlib.blake2b(digest_size=8, key=str(seed).encode())
    limit = math.ceil(share * 2**64).to_bytes(8, "big")

    def is_below_limit(document: Document) -> bool:
        hasher = seeded.copy()
        hasher.update(document.compared_text.encode())
        return hasher.digest() < limit

    return is_below_limit
