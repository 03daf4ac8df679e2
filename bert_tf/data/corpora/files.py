"""Corpus paths in, the files they name out; a text file in, its decoded lines out.

Compressed files are unpacked while they are read, so nothing but a buffer is held. A file that was
cut short is refused at its end: half of a corpus is no corpus.
"""

import codecs
import contextlib
import functools
import gzip
import io
import logging
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import zstandard

from bert_tf.data.corpora.folders import Found, Rule, find_files

logger = logging.getLogger(__name__)

COMPRESSIONS = (".gz", ".zst")
SUFFIXES = (
    *(kind + packing for packing in ("", *COMPRESSIONS) for kind in (".txt", ".jsonl")),
    ".parquet",
)
CHUNK_BYTES = 1 << 14
"""Of text, read and decoded at a time."""
PACKED_CHUNK_BYTES = 1 << 11
"""Read at a time of a .zst: text that repeats itself may unpack to thousands of times as much."""


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


def list_files(paths: Iterable[str | Path]) -> list[Path]:
    """Every corpus file that `paths` name, sorted, each once; the log says what is left out.

    Raises:
        FileNotFoundError: nothing is there, or a folder or glob holds no corpus file.
        ValueError: no path at all, or a file that was named itself is of another kind.
    """
    found = find_corpus_files(paths)
    if not found.files:
        raise ValueError(
            "corpus.paths must name at least one file, folder or glob. Received: nothing. "
            "Set corpus.paths, such as corpus.paths=[corpus/]."
        )
    if found.left_out:
        logger.info("corpus.paths, %s.", found.describe())
    return found.files


def find_corpus_files(paths: Iterable[str | Path]) -> Found:
    """As `list_files`, with what is left out, and nothing for no path at all."""
    rule = Rule(_is_corpus_file, not_wanted=_not_wanted, missing=_missing, empty=_empty)
    return find_files(paths, rule)


def kind_of(path: Path) -> str:
    """`.txt`, `.jsonl` or `.parquet`, whatever it is packed with and its ending's case."""
    name = path.name.lower()
    for packing in COMPRESSIONS:
        name = name.removesuffix(packing)
    return Path(name).suffix


def read_lines(path: Path, *, encoding_errors: str) -> Iterator[tuple[int, str]]:
    """Line numbers (from 1) and lines, as `read_text`."""
    for lines in read_text(path, encoding_errors=encoding_errors):
        yield from lines.numbered()


def read_text(path: Path, *, encoding_errors: str) -> Iterator[Lines]:
    """Lines of a plain, .gz or .zst file; a UTF-8 byte order mark is dropped.

    Only a line feed ends a line: U+2028 and its like stay inside.

    Raises:
        ValueError: a packed file is cut short or damaged, or see `decode`.
    """
    with open_bytes(path) as stream:
        read = functools.partial(_read_whole, path, stream)
        yield from decode_lines(read, path, encoding_errors=encoding_errors)


def decode_lines(
    read: Callable[[int], bytes], name: str | Path, *, encoding_errors: str
) -> Iterator[Lines]:
    """Lines as text, numbered from 1; the log says how many were repaired.

    Many are decoded at once, those of a chunk that is no UTF-8 one by one: the faulty one is named,
    after all before it.
    """
    number, num_repaired = 1, 0
    for chunk in _read_chunks(read):
        if number == 1:
            chunk = chunk.removeprefix(codecs.BOM_UTF8)
        try:
            texts = chunk.decode("utf-8").removesuffix("\n").split("\n")
        except UnicodeDecodeError:
            for raw in io.BytesIO(chunk):
                line = decode(raw, name, number=number, encoding_errors=encoding_errors)
                num_repaired += line.is_repaired
                yield Lines(number, [line.text.removesuffix("\n")], line.is_repaired)
                number += 1
        else:
            yield Lines(number, texts, False)
            number += len(texts)
    if num_repaired:
        logger.warning("%s: invalid UTF-8 replaced by U+FFFD in %d line(s).", name, num_repaired)


def decode(raw: bytes, name: str | Path, *, number: int, encoding_errors: str) -> Line:
    """Bytes that are not UTF-8 raise ValueError ("error") or become U+FFFD ("replace")."""
    try:
        return Line(number, raw.decode("utf-8"), False)
    except UnicodeDecodeError as error:
        if encoding_errors == "error":
            raise ValueError(
                f"{name}:{number}: text must be UTF-8. Received: {error.reason} at byte "
                f"{error.start} of the line. Convert the file, or, in a corpus, set "
                "corpus.encoding_errors=replace."
            ) from error
        return Line(number, raw.decode("utf-8", errors="replace"), True)


@contextlib.contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Raise ValueError with the path where unpacking finds a file cut short or damaged."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise ValueError(
            f"{path}: a {path.suffix} file must be whole. Received: {error}. Write the file again."
        ) from error


@contextlib.contextmanager
def open_bytes(path: Path) -> Iterator[io.BufferedIOBase]:
    """A plain, .gz or .zst file as unpacked bytes."""
    with path.open("rb") as stream:
        if path.suffix.lower() == ".gz":
            yield gzip.GzipFile(fileobj=stream)
        elif path.suffix.lower() == ".zst":
            yield io.BufferedReader(_ZstStream(stream), CHUNK_BYTES)
        else:
            yield stream


class _ZstStream(io.RawIOBase):
    """The content of one or more Zstandard frames in a row.

    `zstandard`'s own reader takes a frame that was cut short for finished.
    """

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._is_inside = False
        self._rest = b""
        self._unpacked = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._unpacked:
            packed = self._rest or self._packed.read(PACKED_CHUNK_BYTES)
            if not packed:
                if self._is_inside:
                    raise EOFError("the file ends before its last frame does")
                return 0
            if self._frame.eof:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._unpacked = memoryview(self._frame.decompress(packed))
            self._rest = self._frame.unused_data if self._frame.eof else b""
            self._is_inside = not self._frame.eof
        size = min(len(buffer), len(self._unpacked))
        buffer[:size] = self._unpacked[:size]
        self._unpacked = self._unpacked[size:]
        return size


def _read_chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """About `CHUNK_BYTES` at a time, of whole lines."""
    begun: list[bytes] = []
    while piece := read(CHUNK_BYTES):
        *whole, rest = piece.rpartition(b"\n")
        if whole[1]:
            yield b"".join(begun + whole)
            begun = []
        begun.append(rest)
    if any(begun):
        yield b"".join(begun)


def _read_whole(path: Path, stream: io.BufferedIOBase, size: int) -> bytes:
    """What can be had at once, so that all before a damaged place is used."""
    with damage_named(path):
        return stream.read1(size)


def _is_corpus_file(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES)


def _not_wanted(path: Path) -> ValueError:
    return ValueError(
        f"{path}: a corpus file must be one of {', '.join(SUFFIXES)}. Received: {path.name!r}. "
        "Convert or rename it."
    )


def _missing(path: Path) -> FileNotFoundError:
    return FileNotFoundError(
        f"{path}: a corpus path must exist. Received: no such file or folder. "
        "Set corpus.paths to an existing file, folder or glob."
    )


def _empty(path: Path, received: str) -> FileNotFoundError:
    return FileNotFoundError(
        f"{path}: a corpus path must hold at least one of {', '.join(SUFFIXES)}. "
        f"Received: {received}. Set corpus.paths to a folder or glob with such files."
    )
