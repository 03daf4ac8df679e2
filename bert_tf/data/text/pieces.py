"""Texts in, batches of bounded size out: memory does not grow with the longest text.

A text beyond `PIECE_BYTES` is several pieces: cut behind the end of a sentence where the last
`LOOK_BACK_BYTES` of a piece have one, else behind white space, else between two characters. So the
sentences of running text are the same, and a text without an end of a sentence becomes several.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

PIECE_BYTES = 1 << 20
LOOK_BACK_BYTES = 1 << 16
SURE_END = re.compile(rb"(?:[a-z]{7}[.!?]|\xeb\x8b\xa4\.)\s")
"""No abbreviation, but the end of a sentence whatever is around it: in Korean behind "다."."""
SENTENCE_END = re.compile(rb"[.!?][\"')\]]*\s|(?:\xe3\x80\x82|\xef\xbc[\x81\x9f])+")
"""ASCII's stops before white space; "。", "！" and "？"."""
WHITE_SPACE = re.compile(rb"\s")


class Batch(NamedTuple):
    """Pieces, UTF-8, that are dealt with at once."""

    pieces: list[bytes]
    owners: list[int]
    """Of each piece, the number of the text that it is of: from 0, rising."""


def batches(texts: Iterable[bytes], *, piece_bytes: int = PIECE_BYTES) -> Iterator[Batch]:
    """All of `texts` in turn, at most about `piece_bytes` at a time."""
    batch, num_bytes = Batch([], []), 0
    for owner, text in enumerate(texts):
        for piece in cut(text, piece_bytes):
            if num_bytes and num_bytes + len(piece) > piece_bytes:
                yield batch
                batch, num_bytes = Batch([], []), 0
            batch.pieces.append(piece)
            batch.owners.append(owner)
            num_bytes += len(piece)
    if batch.pieces:
        yield batch


def cut(text: bytes, piece_bytes: int = PIECE_BYTES) -> Iterator[bytes]:
    """The pieces of a text, which together are all of it; a short one is its only piece."""
    start = 0
    while len(text) - start > piece_bytes:
        end = _end_of_piece(text, start, start + piece_bytes)
        yield text[start:end]
        start = end
    yield text[start:] if start else text


def _end_of_piece(text: bytes, start: int, limit: int) -> int:
    begin = max(limit - LOOK_BACK_BYTES, start + 1)
    for pattern in (SURE_END, SENTENCE_END, WHITE_SPACE):
        end = max((match.end() for match in pattern.finditer(text, begin, limit)), default=None)
        if end is not None:
            return end
    while limit > begin and text[limit] & 0xC0 == 0x80:  # Inside of a character.
        limit -= 1
    return limit
