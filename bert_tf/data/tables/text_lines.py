"""A text file in, a table with a row for each of its lines out."""

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

from bert_tf.config import TableConfig
from bert_tf.data.tables.content_kind import check_is_text
from bert_tf.data.tables.decoding import open_text
from bert_tf.data.tables.origins import Origins, Source
from bert_tf.data.tables.table import Table

logger = logging.getLogger(__name__)

TEXT = "text"
"""The column."""


def read_text_lines(
    path: Path, *, config: TableConfig, key: str, batch_rows: int
) -> Iterator[Table]:
    """The lines of a file, column `text`; those of white space alone are left out and counted.

    What ends a line: see `parallel_lines.read_parallel_lines`.

    Raises:
        ValueError: it is no text, see `open_text`.
    """
    check_is_text(path, key=key)
    source = Source(str(path), has_lines=True)
    num_blank = 0
    with open_text(path, config=config, key=key) as lines:
        numbered = enumerate(lines, start=1)
        while batch := list(itertools.islice(numbered, batch_rows)):
            kept = [(number, content_of(line)) for number, line in batch if line.strip()]
            num_blank += len(batch) - len(kept)
            if kept:
                yield Table(
                    {TEXT: [text for _, text in kept]},
                    Origins.of(source, (number for number, _ in kept)),
                )
    if num_blank:
        logger.info("%s: lines without text left out: %s.", path, f"{num_blank:,}")


def content_of(line: str) -> str:
    """A line without its end, a line feed and maybe a carriage return before it."""
    return line.removesuffix("\n").removesuffix("\r")
