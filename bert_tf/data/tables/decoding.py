"""A file in, its text out, whatever it is packed and encoded with."""

import codecs
import contextlib
import functools
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from bert_tf.config import TableConfig
from bert_tf.data.corpora.encodings import (
    begun,
    check_unmarked,
    ends_with_carriage_returns,
    is_utf8,
    likely_encoding,
    marked_encoding,
)
from bert_tf.data.corpora.files import damage_named, open_bytes
from bert_tf.data.corpora.lines import CHUNK_BYTES
from bert_tf.data.tables.settings import table_setting

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def open_text(
    path: Path, *, config: TableConfig, key: str, newline: str | None = "\n"
) -> Iterator[Iterator[str]]:
    """The lines of a file with their ends; `newline` as Python's `open` has it.

    Raises:
        ValueError: a packed file is damaged, or path and line of what is not in the encoding.
    """
    start = _start_of(path)
    encoding = _encoding_of(path, start, config=config, key=key)
    if newline == "\n" and _ends_with_carriage_returns(start, encoding):
        newline = None  # each of the three ends a line
    with open_bytes(path) as stream:
        text = io.TextIOWrapper(cast("BinaryIO", stream), encoding=encoding, newline=newline)
        try:
            with damage_named(path):
                yield text
        except UnicodeDecodeError as error:
            line, sample = _fault(path, encoding)
            setting = table_setting("encoding", key=key)
            likely = likely_encoding(sample) if is_utf8(encoding) else None
            advice = f"{setting} (cp949 for Korean spreadsheets, cp1252 for Western European ones)"
            raise _refusal(
                f"{path}:{line}", encoding, error.reason, likely, advice=advice
            ) from error


def _start_of(path: Path) -> bytes:
    with open_bytes(path) as stream, damage_named(path):
        return begun(stream.read)[0]


def _encoding_of(path: Path, start: bytes, *, config: TableConfig, key: str) -> str:
    setting = table_setting("encoding", key=key)
    marked = marked_encoding(start)
    if marked is not None:
        if not marked.startswith(_family(config.encoding)):
            logger.info(
                "%s: read as %s, which its byte order mark says, not as %s (%s).",
                *(path, marked, config.encoding, setting),
            )
        return marked
    refusal = functools.partial(_refusal, f"{path}:1", config.encoding, advice=setting)
    check_unmarked(start, config.encoding, name=path, refusal=refusal)
    return config.encoding


def _refusal(
    place: str, encoding: str, received: str, likely: str | None, *, advice: str
) -> ValueError:
    return ValueError(
        f"{place}: a table must be in its encoding, {encoding}. Received: {received}"
        f"{f', likely {likely}' if likely else ''}. Set {advice}, or convert the file."
    )


def _ends_with_carriage_returns(start: bytes, encoding: str) -> bool:
    """Whether its first lines end with these alone: see `with_line_feeds`."""
    return ends_with_carriage_returns(
        codecs.getincrementaldecoder(encoding)("replace").decode(start)
    )


def _family(encoding: str) -> str:
    """`utf-16` of `utf-16-le`."""
    return "-".join(codecs.lookup(encoding).name.split("-")[:2])


def _fault(path: Path, encoding: str) -> tuple[int, bytes]:
    """The line, from 1, of the first bytes that are no text, and some bytes around them."""
    decoder = codecs.getincrementaldecoder(encoding)()
    number = 1
    with open_bytes(path) as stream, damage_named(path):
        while chunk := stream.read(CHUNK_BYTES):
            try:
                number += decoder.decode(chunk).count("\n")
            except UnicodeDecodeError as error:
                # What the decoder kept of the chunk before stands in front of this one.
                num_kept = len(error.object) - len(chunk)
                num_good = max(error.start - num_kept, 0)
                return number + decoder.decode(chunk[:num_good]).count("\n"), error.object
    return number, b""
