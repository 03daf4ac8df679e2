"""The bytes of a text file in, its decoded lines out, many at a time."""

import codecs
import functools
import io
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from bert_tf.data.corpora.encodings import (
    FAULT_BYTES,
    as_utf8,
    begun,
    check_unmarked,
    is_utf8,
    likely_encoding,
    marked_encoding,
    with_line_feeds,
)

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 14
"""Of text, read and decoded at a time."""


class Line(NamedTuple):
    """A line of a text file without its line feed, or the text of a row."""

    number: int
    """From 1, of the line or row."""
    text: str
    is_repaired: bool
    """Whether U+FFFD stands in it for bytes that were no UTF-8."""


class Lines(NamedTuple):
    """Lines of a text file in a row. One that is repaired comes alone."""

    number: int
    """Of the first."""
    texts: list[str]
    is_repaired: bool

    def numbered(self) -> Iterable[tuple[int, str]]:
        """Each line with its number."""
        return enumerate(self.texts, self.number)


def decode_lines(
    read: Callable[[int], bytes],
    name: str | Path,
    *,
    encoding_errors: str,
    encoding: str = "utf-8",
    section: str | None = "corpus",
) -> Iterator[Lines]:
    """Lines as text, numbered from 1; the log says how many were repaired.

    A byte order mark goes before `encoding`. Many lines are decoded at once, those of a chunk with
    a fault one by one: the faulty one is named, after all before it.

    Args:
        section: of the configuration, whose `encoding` an error names; None where there is none.
    """
    start, read = begun(read)
    marked = marked_encoding(start)
    if marked is not None and not is_utf8(marked) and marked != encoding:
        logger.info("%s: read as %s, which its byte order mark says.", name, marked)
    encoding = marked or encoding
    policy = Policy(encoding, encoding_errors, section)
    if marked is None or is_utf8(marked):  # UTF-8's says nothing of zero bytes behind it.
        refusal = functools.partial(policy.refusal, f"{name}:1")
        check_unmarked(start, encoding, name=name, refusal=refusal)
    if not is_utf8(encoding):
        read = as_utf8(read, encoding)
    yield from _decode_chunks(_read_chunks(with_line_feeds(read)), name, policy=policy)


def _decode_chunks(
    chunks: Iterable[bytes], name: str | Path, *, policy: "Policy"
) -> Iterator[Lines]:
    number, num_repaired, likely = 1, 0, None
    for chunk in chunks:
        if number == 1:
            chunk = chunk.removeprefix(codecs.BOM_UTF8)
        try:
            texts = chunk.decode("utf-8").removesuffix("\n").split("\n")
        except UnicodeDecodeError:
            if not num_repaired and is_utf8(policy.encoding):
                likely = likely_encoding(chunk)
            for raw in io.BytesIO(chunk):
                line = decode(raw, name, number=number, policy=policy, likely=likely)
                num_repaired += line.is_repaired
                yield Lines(number, [line.text.removesuffix("\n")], line.is_repaired)
                number += 1
        else:
            yield Lines(number, texts, False)
            number += len(texts)
    if num_repaired:
        logger.warning(
            "%s: invalid %s replaced by U+FFFD in %d line(s).%s",
            name,
            policy.shown,
            num_repaired,
            policy.hint(likely),
        )


class Policy(NamedTuple):
    """What text must be encoded in, and what becomes of bytes that are not."""

    encoding: str
    errors: str
    """`corpus.encoding_errors`."""
    section: str | None
    """Of the configuration, with the settings that an error may name."""
    is_settable: bool = True
    """Whether its `encoding` counts for this kind of file."""

    @property
    def shown(self) -> str:
        """The encoding's name in messages."""
        return "UTF-8" if is_utf8(self.encoding) else self.encoding

    def hint(self, likely: str | None) -> str:
        """What the text may be in; nothing where that is not known or cannot be set."""
        if likely is None or not self.is_settable:
            return ""
        if self.section is None:
            return f" It is likely {likely}."
        return f" It is likely {likely}: set {self.section}.encoding={likely} if it is."

    def refusal(self, place: str, received: str, likely: str | None = None) -> ValueError:
        """The error of text that is not in its encoding."""
        ways = ["convert the text"]
        if self.section is not None:
            if self.is_settable and likely is None:
                ways.append(f"set {self.section}.encoding to what it is written in")
            damaged = f"set {self.section}.encoding_errors=replace"
            ways.append(f", where some bytes are damaged, {damaged}")
        what_to_do = ", or ".join(ways).replace("or ,", "or,")
        return ValueError(
            f"{place}: text must be {self.shown}. Received: {received}.{self.hint(likely)} "
            f"{what_to_do[0].upper()}{what_to_do[1:]}."
        )


UTF8_ONLY = {errors: Policy("utf-8", errors, "corpus", False) for errors in ("error", "replace")}
"""Of rows whose format is UTF-8's: for each `corpus.encoding_errors`."""


def decode(
    raw: bytes, name: str | Path, *, number: int, policy: Policy, likely: str | None = None
) -> Line:
    """Bytes that are no text raise ValueError ("error") or become U+FFFD ("replace").

    `raw`: UTF-8, or what `as_utf8` made of another encoding.
    """
    try:
        return Line(number, raw.decode("utf-8"), False)
    except UnicodeDecodeError as error:
        if policy.errors == "error":
            received = f"{error.reason} at byte {error.start} of the line"
            if not is_utf8(policy.encoding):
                received = "bytes that are none of it"
            raise policy.refusal(f"{name}:{number}", received, likely=likely) from error
        raw = raw.replace(FAULT_BYTES, "\N{REPLACEMENT CHARACTER}".encode())
        return Line(number, raw.decode("utf-8", errors="replace"), True)


def _read_chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """About `CHUNK_BYTES` at a time, of whole lines."""
    held: list[bytes] = []
    while piece := read(CHUNK_BYTES):
        *whole, rest = piece.rpartition(b"\n")
        if whole[1]:
            chunk = b"".join(held + whole)
            held = []
            yield chunk
            del chunk  # A long line is held once.
        held.append(rest)
    if any(held):
        yield b"".join(held)
