"""Names in, the files with tables that they stand for out."""

import itertools
from collections.abc import Iterable
from glob import has_magic
from pathlib import Path

from bert_tf.data.corpora.files import COMPRESSIONS, matching_files
from bert_tf.system.lookalikes import path_hint

KINDS = (".csv", ".tsv", ".jsonl", ".json", ".parquet")


DELIMITED = (".csv", ".tsv")


def is_delimited(path: str | Path) -> bool:
    """Whether it is a .csv or .tsv, whose first line may be names or a record."""
    return table_kind(path) in DELIMITED


def table_kind(path: str | Path) -> str | None:
    """One of `KINDS`, whatever the file is packed with and its ending's case; None of others."""
    name = Path(path).name.lower()
    for packing in COMPRESSIONS:
        name = name.removesuffix(packing)
    kind = Path(name).suffix
    return kind if kind in KINDS else None


def table_files(names: Iterable[str | Path], *, key: str) -> list[Path]:
    """Every file with a table that `names` stand for, sorted, each once.

    A name is a file, a folder (read recursively) or a glob (`**` crosses folders). What is of
    another kind, or has a name or folder that begins with a dot, is left out, unless it is a file
    that was named itself.

    Args:
        key: the setting that holds the names, for errors.

    Raises:
        FileNotFoundError: nothing is there, or a folder or glob holds no table.
        ValueError: no name at all, or a file that was named itself is of another kind.
    """
    found: set[Path] = set()
    for name in names:
        found.update(_files_of(Path(name), key=key))
    if not found:
        raise ValueError(
            f"{key} must name at least one file, folder or glob. Received: nothing. Set {key}."
        )
    return sorted(found)


def _files_of(path: Path, *, key: str) -> list[Path]:
    if path.is_file():
        return [check_kind(path, key=key)]
    if path.is_dir():
        matches, base = [file for file in path.rglob("*") if file.is_file()], path
    elif has_magic(str(path)):
        matches, base = matching_files(path), _before_magic(path)
    else:
        raise missing(path, key=key)
    files = [
        file
        for file in matches
        if table_kind(file) is not None and not _is_hidden(file.relative_to(base))
    ]
    if not files:
        raise FileNotFoundError(
            f"{path}: {key} must name at least one table ({', '.join(KINDS)}, each also .gz or "
            f".zst). Received: none there. Set {key} to a folder or glob with such files."
            f"{path_hint(path)}"
        )
    return files


def check_kind(path: Path, *, key: str) -> Path:
    """`path`. Raises ValueError if its name is not that of a table."""
    if table_kind(path) is None:
        raise ValueError(
            f"{path}: a table must be one of {', '.join(KINDS)}, each also .gz or .zst. Received: "
            f"{path.name!r}. Convert or rename the file, or set {key} to another."
        )
    return path


def missing(path: Path, *, key: str) -> FileNotFoundError:
    """The error of a path where nothing is."""
    return FileNotFoundError(
        f"{path}: {key} must name an existing file. Received: no such file. "
        f"Set {key} to one, or to a glob.{path_hint(path)}"
    )


def _before_magic(pattern: Path) -> Path:
    """The folder that a glob begins with, which is named even where it is hidden."""
    return Path(*itertools.takewhile(lambda part: not has_magic(part), pattern.parts))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") and part != ".." for part in path.parts)
