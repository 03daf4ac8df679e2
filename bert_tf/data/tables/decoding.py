"""A file in, its text out, whatever it is packed and encoded with."""

import codecs
import contextlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from bert_tf.config import TableConfig
from bert_tf.data.corpora.files import CHUNK_BYTES, damage_named, open_bytes
from bert_tf.data.tables.settings import table_setting

logger = logging.getLogger(__name__)

MARKS = {  # UTF-32's begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order mark -> the codec that reads it and leaves it out."""
LONGEST_MARK = 4


@contextlib.contextmanager
def open_text(
    path: Path, *, config: TableConfig, key: str, newline: str = "\n"
) -> Iterator[Iterator[str]]:
    """The lines of a file with their ends; `newline` as Python's `open` has it.

    Raises:
        ValueError: a packed file is damaged, or path and line of what is not in the encoding.
    """
    encoding = _encoding_of(path, config=config, key=key)
    with open_bytes(path) as stream:
        text = io.TextIOWrapper(cast("BinaryIO", stream), encoding=encoding, newline=newline)
        try:
            with damage_named(path):
                yield text
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path}:{_faulty_line(path, encoding)}: a table must be in its encoding, "
                f"{encoding}. Received: {error.reason}. Set "
                f"{table_setting('encoding', key=key)} (cp949 for Korean spreadsheets, cp1252 for "
                "Western European ones), or convert the file."
            ) from error


def _encoding_of(path: Path, *, config: TableConfig, key: str) -> str:
    with open_bytes(path) as stream, damage_named(path):
        start = stream.read(LONGEST_MARK)
    for mark, encoding in MARKS.items():
        if start.startswith(mark):
            if not encoding.startswith(_family(config.encoding)):
                logger.info(
                    "%s: read as %s, which its byte order mark says, not as %s (%s).",
                    *(path, encoding, config.encoding, table_setting("encoding", key=key)),
                )
            return encoding
    return config.encoding


def _family(encoding: str) -> str:
    """`utf-16` of `utf-16-le`."""
    return "-".join(codecs.lookup(encoding).name.split("-")[:2])


def _faulty_line(path: Path, encoding: str) -> int:
    """The line, from 1, of the first bytes that are no text."""
    decoder = codecs.getincrementaldecoder(encoding)()
    number = 1
    with open_bytes(path) as stream, damage_named(path):
        while chunk := stream.read(CHUNK_BYTES):
            try:
                number += decoder.decode(chunk).count("\n")
            except UnicodeDecodeError as error:
                # What the decoder kept of the chunk before stands in front of this one.
                num_good = error.start - (len(error.object) - len(chunk))
                return number + decoder.decode(chunk[: max(num_good, 0)]).count("\n")
    return number
