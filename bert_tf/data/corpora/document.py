"""The document, of which a corpus is made, and its side of the held-out split."""

import functools
import hashlib
import math
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Document:
    """Paragraphs (never empty, without line ends) and where the first one stands."""

    paragraphs: tuple[str, ...]
    file: str
    """Its path, or the name of what is no file."""
    number: int = 1
    """Of its first line, or of its row."""
    num_repaired_lines: int = 0
    """Lines with U+FFFD for bytes that were no UTF-8."""

    @property
    def source(self) -> str:
        """`path:line`."""
        return f"{self.file}:{self.number}"

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
    return held_out_rule(share, seed)([document.compared_text.encode()])[0]


@functools.lru_cache(maxsize=1)
def held_out_rule(share: float, seed: int) -> Callable[[Sequence[bytes]], list[bool]]:
    """`is_held_out` of a share and a seed for many documents, given their compared texts."""
    if share in (0, 1):
        return lambda contents: [bool(share)] * len(contents)
    copy_seeded = hashlib.blake2b(digest_size=8, key=str(seed).encode()).copy
    limit = math.ceil(share * 2**64).to_bytes(8, "big")

    def are_below_limit(contents: Sequence[bytes]) -> list[bool]:
        answers = []
        for content in contents:
            hasher = copy_seeded()
            hasher.update(content)
            answers.append(hasher.digest() < limit)
        return answers

    return are_below_limit


def encode_documents(documents: Iterable[Document]) -> tuple[list[bytes], list[bytes]]:
    """The texts of documents and their compared texts, as UTF-8.

    Most texts are NFC: with short documents, half of the time is in encoding no text twice.
    """
    texts = [document.text for document in documents]
    compared_texts = [unicodedata.normalize("NFC", text) for text in texts]
    contents = [text.encode() for text in texts]
    if compared_texts == texts:
        return contents, contents
    return contents, [text.encode() for text in compared_texts]
