"""The bytes of a text file in, the same text as UTF-8 with line feeds out; what an encoding may be.

A byte order mark says what a file is written in. Without one it is what the configuration says, and
nothing is converted on a guess: a guess is only told, in the error or a warning.
"""

import codecs
import logging
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger(__name__)

Read = Callable[[int], bytes]
"""Bytes, at most so many; none at the end."""
Refusal = Callable[[str, str | None], Exception]
"""The error of what was received and the likely encoding."""

MARKS = {  # UTF-32's begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order mark -> the codec that reads it and leaves it out."""
LONGEST_MARK = 4
START_BYTES, LONGEST_START = 1 << 14, 1 << 20
"""What is looked at before the first line is read; most, where that line does not end."""
LIKELY = (
    *("utf-16-le", "utf-16-be", "cp949", "cp1252", "cp932", "euc-jp", "gb18030", "big5"),
    *("cp1251", "koi8-r", "cp1250", "latin-1"),
)
"""What may be told to be likely; of those that fit alike the first. cp949 has all of EUC-KR, cp1252
the letters of Latin-1."""
FAULT, FAULT_ERRORS = "\udfff", "bert_tf.fault"
"""What stands for bytes that are none of the encoding, which no UTF-8 can hold, and the name of the
error handler that puts it there."""
FAULT_BYTES = FAULT.encode("utf-8", "surrogatepass")


def marked_encoding(start: bytes) -> str | None:
    """The codec that a file's byte order mark names."""
    return next((name for mark, name in MARKS.items() if start.startswith(mark)), None)


def is_utf8(encoding: str) -> bool:
    """Whether that is another name of UTF-8, with or without a mark."""
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def check_unmarked(start: bytes, encoding: str, *, name: str | Path, refusal: Refusal) -> None:
    """Refuse a file that cannot be in `encoding`; no mark of UTF-16 or UTF-32 begins it.

    A warning tells of one that seems to be UTF-8 and is read as something else.
    """
    if codecs.lookup(encoding).name in ("utf-16", "utf-32"):
        received = f"no byte order mark, without which it is {encoding}-le or {encoding}-be"
        raise refusal(received, wide_encoding(start, "utf-8"))
    wide = wide_encoding(start, encoding)
    if wide is not None:
        raise refusal("zero bytes between the letters", wide)
    if not is_utf8(encoding) and looks_like_utf8(start):
        logger.warning("%s: read as %s, but it looks like UTF-8.", name, encoding)


def looks_like_utf8(start: bytes) -> bool:
    """Whether bytes beyond ASCII are there, and all of them valid UTF-8."""
    if start.isascii():
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return True


def wide_encoding(start: bytes, encoding: str) -> str | None:
    """UTF-16 or UTF-32 without a mark, by its zero bytes, where `encoding` is neither.

    English in UTF-16 is valid UTF-8, a zero behind every letter.
    """
    if codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):
        return None
    start = start.rstrip(b"\0")  # What is left of a crash is no text.
    if start.count(0) < max(2, len(start) // 10):
        return None
    zeros = [start[place::4].count(0) for place in range(4)]
    if min(zeros[1:3]) > 0.9 * len(start) // 4:
        return "utf-32-le" if zeros[3] > zeros[0] else "utf-32-be"
    return "utf-16-le" if zeros[1] + zeros[3] > zeros[0] + zeros[2] else "utf-16-be"


def likely_encoding(sample: bytes) -> str | None:
    """What text that is not UTF-8 is most likely written in; None for UTF-8 with a few faults."""
    from charset_normalizer import from_bytes  # Slow to import, and needed for an error alone.

    if len(sample) > START_BYTES:
        head, end, _ = sample[:START_BYTES].rpartition(b"\n")
        sample = head + end or sample[:START_BYTES]
    wide = wide_encoding(sample, "utf-8")
    if wide is not None:
        return wide
    kept = sample.decode("utf-8", "ignore").encode()
    if 2 * _num_beyond_ascii(kept) > _num_beyond_ascii(sample):
        return None
    # Lines of ASCII would outvote the others.
    sample = b"\n".join(line for line in sample.split(b"\n") if not line.isascii())
    # A sample that ends in the middle of a character would be none of the encoding.
    for size in (len(sample), len(sample) - 1):
        found = list(from_bytes(sample[:size], cp_isolation=list(LIKELY)))
        if found:
            break
    else:
        return None
    clear = [match for match in found if match.chaos <= min(m.chaos for m in found) + 0.01]
    best = max(match.coherence for match in clear)
    fitting = [match for match in clear if match.coherence >= best - 0.1]
    names = {codecs.lookup(name).name for m in fitting for name in m.could_be_from_charset}
    return next((name for name in LIKELY if codecs.lookup(name).name in names), None)


def _num_beyond_ascii(content: bytes) -> int:
    return len(content) - len(content.translate(None, bytes(range(128, 256))))


def as_utf8(read: Read, encoding: str) -> Read:
    """`read` of a file in `encoding`, as UTF-8 with `FAULT_BYTES` for what is none of it."""
    codecs.register_error(FAULT_ERRORS, lambda error: (FAULT, error.end))  # type: ignore[attr-defined]
    decoder = codecs.getincrementaldecoder(encoding)(FAULT_ERRORS)

    def read_utf8(size: int) -> bytes:
        while content := read(size):
            if text := decoder.decode(content):
                return text.encode("utf-8", "surrogatepass")
        return decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")

    return read_utf8


def begun(read: Read, size: int = START_BYTES) -> tuple[bytes, Read]:
    """The first bytes, and `read` with these before it.

    They end behind a line feed, or behind `size` bytes with a carriage return among them, or where
    a line that has neither would be too long.
    """
    start = b""
    while (
        len(start) < LONGEST_MARK
        or start.endswith(b"\r")
        or (b"\n" not in start and len(start) < (size if b"\r" in start else LONGEST_START))
    ):
        content = read(size)
        if not content:
            break
        start += content
    rest = [start]
    return start, lambda size: rest.pop() if rest and rest[0] else read(size)


def ends_with_carriage_returns(start: bytes | str) -> bool:
    """Whether most of the first lines end with carriage returns alone."""
    text = start.decode("latin-1") if isinstance(start, bytes) else start
    return text.count("\r") - text.count("\r\n") > text.count("\n")


def with_line_feeds(read: Read) -> Read:
    """`read` of UTF-8; where most of its first lines end with a carriage return, these end lines.

    Other files keep the carriage returns inside of their lines.
    """
    start, read = begun(read)
    if not ends_with_carriage_returns(start):
        return read
    held = b""

    def read_lines(size: int) -> bytes:
        nonlocal held
        while content := read(size):
            content = held + content
            held = b"\r" if content.endswith(b"\r") else b""  # A line feed may come behind it.
            content = content[: len(content) - len(held)]
            if content:
                return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        content, held = held, b""
        return content.replace(b"\r", b"\n")

    return read_lines
