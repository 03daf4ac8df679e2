"""The section `finetuning.table`: how tables are read, their encoding, quotes and header."""

from typing import Literal

from bert_tf.config.section import Section, TextEncoding


class TableConfig(Section):
    """How .csv, .tsv, .jsonl and .json files are read; .parquet files say it themselves."""

    encoding: TextEncoding = "utf-8"
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
