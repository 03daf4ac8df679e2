"""What a corpus is made of, and on which side of the held-out split it lies."""

import hashlib
import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
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
        return unicodedata.normalize("NFC", self.text)


def is_held_out(document: Document, *, share: float, seed: int) -> bool:
    """Whether a document belongs to evaluation: a function of its text and the seed only.

    So the same text is never on both sides, decomposed or not, and a grown corpus keeps its split.
    """
    if not share:
        return False
    key = str(seed).encode()
    digest = hashlib.blake2b(document.compared_text.encode(), digest_size=8, key=key).digest()
    return int.from_bytes(digest, "big") < share * 2**64
