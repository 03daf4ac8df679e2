"""The section `finetuning.table`: how tables are read, their encoding, quotes and header."""

from typing import Literal, Self

import pydantic

from bert_tf.config.section import Section, TextEncoding


class TableConfig(Section):
    """How .csv, .tsv, .jsonl, .json and column files are read; .parquet files say it themselves."""

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
    layout: Literal["auto", "table", "token_columns", "lines"] = "auto"
    """What a line of a text file is. `token_columns`: a token with its tag, as CoNLL has it, and a
    blank line ends a sentence; so are .tsv and .txt files read. `table`: a record. `auto`: .conll,
    .bio, .iob and .iob2 have token columns, all others records. `lines`: of .txt files a text, the
    column `text`; all others as `auto`."""
    token_column: pydantic.PositiveInt | None = None
    """Of token columns, that of the tokens, from 1. Default: the first, or the second behind one
    that counts the tokens of a sentence."""
    tag_column: pydantic.PositiveInt | None = None
    """Of token columns, that of the tags, from 1. Default: the last."""
    joined: Literal["auto", "space", "nothing"] = "auto"
    """What stands between tokens in the text that they make. `auto`: nothing where nine tokens of
    ten are one character, else a space."""

    @pydantic.model_validator(mode="after")
    def _columns_differ(self) -> Self:
        if self.token_column is not None and self.token_column == self.tag_column:
            raise ValueError(
                "token_column and tag_column must be two columns. Received: "
                f"{self.token_column} for both. Set one to another column."
            )
        return self
