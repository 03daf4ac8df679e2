"""Names in, the files with tables that they stand for out."""

import logging
from collections.abc import Iterable
from pathlib import Path

from bert_tf.data.corpora.files import COMPRESSIONS
from bert_tf.data.corpora.folders import Rule, find_files
from bert_tf.data.tables.settings import token_columns_question
from bert_tf.system.lookalikes import path_hint

logger = logging.getLogger(__name__)

TOKEN_COLUMNS = (".conll", ".bio", ".iob", ".iob2")
"""Endings of files with a token and its tag a line."""
KINDS = (".csv", ".tsv", ".jsonl", ".json", ".parquet", *TOKEN_COLUMNS)
DELIMITED = (".csv", ".tsv")
TEXT = ".txt"


def is_delimited(path: str | Path) -> bool:
    """Whether it is a .csv or .tsv, whose first line may be names or a record."""
    return table_kind(path) in DELIMITED


def table_kind(path: str | Path) -> str | None:
    """One of `KINDS`, whatever the file is packed with and its ending's case; None of others."""
    kind = _ending(path)
    return kind if kind in KINDS else None


def is_text(path: str | Path) -> bool:
    """Whether it is a .txt, packed or not, which is a table only by `TableConfig.layout`."""
    return _ending(path) == TEXT


def has_token_columns(path: str | Path, *, layout: str) -> bool:
    """Whether a file is read as token columns; `layout` as `TableConfig` has it."""
    kind = _ending(path)
    if layout == "token_columns":
        return kind in (*TOKEN_COLUMNS, ".tsv", TEXT)
    return layout in ("auto", "lines") and kind in TOKEN_COLUMNS


def table_files(names: Iterable[str | Path], *, key: str, with_text: bool = False) -> list[Path]:
    """Every file with a table that `names` stand for, sorted, each once.

    What a name may be and what is left out: see `folders`. The log counts the latter.

    Args:
        key: the setting that holds the names, for errors.
        with_text: also .txt files.

    Raises:
        FileNotFoundError: nothing is there, or a folder or glob holds no table.
        ValueError: no name at all, or a file that was named itself is of another kind.
    """
    found = find_files(names, _rule(key, with_text=with_text))
    if not found.files:
        raise ValueError(
            f"{key} must name at least one file, folder or glob. Received: nothing. Set {key}."
        )
    if found.left_out:
        logger.info("%s, %s.", key, found.describe())
    return found.files


def count_left_out(names: Iterable[str | Path], *, key: str) -> dict[str, int]:
    """What `table_files` leaves out: reason -> number of files and folders."""
    return find_files(names, _rule(key)).left_out


def _rule(key: str, *, with_text: bool = False) -> Rule:
    return Rule(
        lambda path: table_kind(path) is not None or (with_text and is_text(path)),
        not_wanted=lambda path: _not_wanted(path, key=key),
        missing=lambda path: missing(path, key=key),
        empty=lambda path, received: FileNotFoundError(
            f"{path}: {key} must name at least one table ({', '.join(KINDS)}, each also .gz or "
            f".zst). Received: {received}. Set {key} to a folder or glob with such files."
            f"{path_hint(path)}"
        ),
    )


def check_kind(path: Path, *, key: str) -> Path:
    """`path`. Raises ValueError if its name is not that of a table."""
    if table_kind(path) is None:
        raise _not_wanted(path, key=key)
    return path


def _not_wanted(path: Path, *, key: str) -> ValueError:
    columns = f" {token_columns_question(key)}" if is_text(path) else ""
    return ValueError(
        f"{path}: a table must be one of {', '.join(KINDS)}, each also .gz or .zst. Received: "
        f"{path.name!r}. Convert or rename the file, or set {key} to another.{columns}"
    )


def _ending(path: str | Path) -> str:
    """In small letters, whatever the file is packed with."""
    name = Path(path).name.lower()
    for packing in COMPRESSIONS:
        name = name.removesuffix(packing)
    return Path(name).suffix


def missing(path: Path, *, key: str) -> FileNotFoundError:
    """The error of a path where nothing is."""
    return FileNotFoundError(
        f"{path}: {key} must name an existing file. Received: no such file. "
        f"Set {key} to one, or to a glob.{path_hint(path)}"
    )
