"""The section `finetuning.table`: how tables are read, their encoding, quotes and header."""

import codecs
import io
from typing import Literal

import pydantic

from bert_tf.config.section import Section


class TableConfig(Section):
    """How .csv, .tsv, .jsonl and .json files are read; .parquet files say it themselves."""

    encoding: str = "utf-8"
    """Any text encoding of Python's: `cp949` and `cp1252` are those of Korean and Western European
    spreadsheets. A file that begins with the byte order mark of UTF-8, UTF-16 or UTF-32 is read as
    what the mark says."""
    quoting: Literal["auto", "csv", "none"] = "auto"
    """Whether quotes protect the delimiters, line breaks and doubled quotes inside of a cell.
    `csv`: they do (RFC 4180). `none`: they are characters like all others, a line is a record.
    `auto`: they do in a .csv; where tabs part columns they do if every cell that opens with a quote
    is a well-formed quoted cell and at least one of them needs its quotes."""
    has_header: bool = True
    """Whether the first record of a .csv or .tsv holds the names of the columns. Without one they
    are "1", "2", … from the left, as `cut` counts them."""

    check_header: bool = True
    """Whether names of columns that look like a record, of a .csv or .tsv without a header or of a
    DataFrame, are refused. `false` takes them for names."""

    @pydantic.field_validator("encoding")
    @classmethod
    def _is_a_text_encoding(cls, encoding: str) -> str:
        try:
            codecs.lookup(encoding)
            io.TextIOWrapper(io.BytesIO(), encoding=encoding)  # refuses base64 and its like
        except (LookupError, ValueError) as error:
            raise ValueError(
                f"encoding must be a text encoding that Python knows. Received: {encoding!r} "
                f"({error}). Give one such as utf-8, cp949, euc-kr, utf-16 or cp1252."
            ) from error
        return encoding
