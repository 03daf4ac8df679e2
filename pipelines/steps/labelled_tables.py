"""`flow.labelled_paths` in, the tables that they name out, each with its files."""

from pathlib import Path
from typing import NamedTuple

from bert_tf.config import Config
from bert_tf.data.tables.finding import table_files
from bert_tf.data.tables.parallel_lines import find_parallel_files, is_parallel

KEY = "flow.labelled_paths"


class LabelledTable(NamedTuple):
    """A table, or two text files whose lines belong together."""

    name: str
    """By which `read_table` reads it: a path, with braces where it is of two files."""
    files: tuple[Path, ...]


def labelled_tables(config: Config) -> list[LabelledTable]:
    """Those of two files first.

    Raises:
        FileNotFoundError: a name stands for nothing.
        ValueError: see `find_parallel_files`.
    """
    pairs = [
        pair
        for name in config.flow.labelled_paths
        if is_parallel(name)
        for pair in find_parallel_files(name, key=KEY)
    ]
    found = [LabelledTable(it.name, (it.source, it.target)) for it in pairs]
    if (names := single_names(config)) or not found:
        found += [LabelledTable(str(path), (path,)) for path in table_files(names, key=KEY)]
    return found


def single_names(config: Config) -> list[str]:
    """Files, folders and globs."""
    return [name for name in config.flow.labelled_paths if not is_parallel(name)]
