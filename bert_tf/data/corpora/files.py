"""Corpus paths in, the files they name out; a text file in, its lines out.

Compressed files are unpacked while they are read, so nothing but a buffer is held. A file that was
cut short is refused at its end: half of a corpus is no corpus.
"""

import contextlib
import functools
import gzip
import io
import logging
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from bert_tf.data.corpora.folders import Found, Rule, find_files
from bert_tf.data.corpora.lines import CHUNK_BYTES, Lines, decode_lines
from bert_tf.system.lookalikes import path_hint

logger = logging.getLogger(__name__)

COMPRESSIONS = (".gz", ".zst")
SUFFIXES = (
    *(kind + packing for packing in ("", *COMPRESSIONS) for kind in (".txt", ".jsonl")),
    ".parquet",
)
PACKED_CHUNK_BYTES = 1 << 11
"""Read at a time of a .zst: text that repeats itself may unpack to thousands of times as much."""


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


def read_lines(
    path: Path, *, encoding_errors: str, encoding: str = "utf-8"
) -> Iterator[tuple[int, str]]:
    """Line numbers (from 1) and lines, as `read_text`."""
    for lines in read_text(path, encoding_errors=encoding_errors, encoding=encoding):
        yield from lines.numbered()


def read_text(path: Path, *, encoding_errors: str, encoding: str = "utf-8") -> Iterator[Lines]:
    """Lines of a plain, .gz or .zst file.

    Only a line feed ends a line: U+2028 and its like stay inside. A file whose lines end with
    carriage returns alone is read by these.

    Raises:
        ValueError: a packed file is cut short or damaged, or see `decode`.
    """
    with open_bytes(path) as stream:
        read = functools.partial(_read_whole, path, stream)
        yield from decode_lines(read, path, encoding_errors=encoding_errors, encoding=encoding)


@contextlib.contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Raise ValueError with the path where unpacking finds a file cut short or damaged."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, received: object) -> ValueError:
    return ValueError(
        f"{path}: a {path.suffix} file must be whole. Received: {received}. Write the file again."
    )


@contextlib.contextmanager
def open_bytes(path: Path) -> Iterator[io.BufferedIOBase]:
    """A plain, .gz or .zst file as unpacked bytes. Raises ValueError for a packed one of none."""
    is_packed = path.suffix.lower() in COMPRESSIONS
    with path.open("rb") as stream:
        if is_packed and not os.fstat(stream.fileno()).st_size:
            raise _damaged(path, "a file of 0 bytes")
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
        f"Set corpus.paths to an existing file, folder or glob.{path_hint(path)}"
    )


def _empty(path: Path, received: str) -> FileNotFoundError:
    return FileNotFoundError(
        f"{path}: a corpus path must hold at least one of {', '.join(SUFFIXES)}. "
        f"Received: {received}. Set corpus.paths to a folder or glob with such files."
        f"{path_hint(path)}"
    )
