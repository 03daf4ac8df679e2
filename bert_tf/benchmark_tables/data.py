"""The files of a set in, tables that a fine-tuning reads out: as they are, converted, or split."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bert_tf.benchmark_tables.finding import HELD_OUT, TRAIN, FoundSet
from bert_tf.config import Config, TableConfig
from bert_tf.data.tables.decoding import open_text
from bert_tf.data.tables.delimited import read_records
from bert_tf.data.tables.finding import is_text
from bert_tf.data.tables.origins import Origins, Source
from bert_tf.data.tables.reading import read_table
from bert_tf.data.tables.splitting import are_held_out, text_key
from bert_tf.data.tables.table import Table
from bert_tf.data.tables.values import texts_of
from bert_tf.system.files import file_sha256, write_whole
from bert_tf.tasks.table import open_task

log = logging.getLogger(__name__)

HELD_OUT_SHARE = 0.2
SPLIT_SEED = 0
"""Of sets with one part. A split depends on the texts alone, not on a run's seed."""


@dataclass(frozen=True)
class SetData:
    """What the runs of a set read."""

    found: FoundSet
    paths: Mapping[str, Path]
    """By part, as in `FoundSet.files`; `train` and `held_out` are both there."""
    num_examples: Mapping[str, int]
    note: str | None
    """What the table must say of them."""

    def sha256(self) -> dict[str, str]:
        """Of the files of each part."""
        return {part: file_sha256(path) for part, path in self.paths.items()}


def prepare_data(found: FoundSet, config: Config, directory: Path) -> SetData:
    """Read all parts of a set once, with a run's `config`, so that what is wrong is known before
    anything is trained; write those that are not read as they are below `directory`.

    Raises:
        ValueError: path and line of what is wrong with a file.
    """
    section = config.finetuning
    task = open_task(section)
    paths, notes = dict(found.files), []
    if _is_rewritten(found):
        tables = {}
        for part in paths:
            tables[part], num_short = _read(found, part, section.table)
            if num_short:
                notes.append(f"{num_short:,} records without all cells are left out of {part}.")
        if found.layout.converted:
            tables = {part: found.layout.converted(table) for part, table in tables.items()}
        tables, split_note = _split(found, tables)
        notes += [split_note] if split_note else []
        paths = {
            part: _write(table, directory / found.spec.name / f"{part}.jsonl")
            for part, table in tables.items()
        }
    counts = {}
    for part, path in paths.items():
        table = read_table(path, config=section.table, key="--data")
        counts[part] = len(task.read(table, section))
    log.info(
        "%s: %s. %s",
        found.spec.name,
        ", ".join(f"{count:,} examples of {part}" for part, count in counts.items()),
        " ".join(notes) or f"Read from {', '.join(map(str, found.files.values()))}.",
    )
    return SetData(found, paths, counts, " ".join(notes) or None)


def _is_rewritten(found: FoundSet) -> bool:
    """Whether a fine-tuning cannot read the files as they are."""
    layout, files = found.layout, found.files
    is_split = len({TRAIN, HELD_OUT} & files.keys()) < 2
    has_text = any(is_text(path) for path in files.values())
    return is_split or has_text or layout.skips_short_rows or layout.converted is not None


def _read(found: FoundSet, part: str, config: TableConfig) -> tuple[Table, int]:
    """A part's rows, and how many are left out; a .txt is a .tsv, as MRPC and NSMC have it."""
    path = found.files[part]
    if found.layout.skips_short_rows:
        return _read_whole_records(path, config)
    if not is_text(path):
        return read_table(path, config=config, key="--data"), 0
    records = [
        (header, record)
        for header, some in read_records(path, kind=".tsv", config=config, key="--data")
        for record in some
    ]
    header = records[0][0] if records else []
    return _table(path, header, [(record.line, record.cells) for _, record in records]), 0


def _read_whole_records(path: Path, config: TableConfig) -> tuple[Table, int]:
    """Of a file whose cells tabs part and no quotes protect, the lines that have all of them."""
    with open_text(path, config=config, key="--data", newline="\n") as lines:
        records = [
            (number, cells)
            for number, line in enumerate(lines, start=1)
            if (cells := line.rstrip("\r\n").split("\t")) != [""]
        ]
    header = records[0][1] if records else []
    whole = [record for record in records[1:] if len(record[1]) == len(header)]
    num_short = sum(len(cells) < len(header) for _, cells in records[1:])
    if num_long := len(records) - 1 - len(whole) - num_short:
        line = next(line for line, cells in records[1:] if len(cells) > len(header))
        raise ValueError(
            f"{path}:{line}: a record must have the header's {len(header)} cells at most. "
            f"Received: more, in {num_long:,} record(s). Copy the file again."
        )
    return _table(path, header, whole), num_short


def _table(path: Path, header: Sequence[str], records: Sequence[tuple[int, list[str]]]) -> Table:
    if not records:
        raise ValueError(
            f"{path}: a table needs at least one record. Received: none. Copy the file again."
        )
    columns = zip(*(cells for _, cells in records), strict=True)
    return Table(
        {name: list(values) for name, values in zip(header, columns, strict=True)},
        Origins.of(Source(str(path), has_lines=True), (line for line, _ in records)),
    )


def _split(found: FoundSet, tables: dict[str, Table]) -> tuple[dict[str, Table], str | None]:
    """Both parts where there was one, by a digest of the text; and a sentence that says so."""
    if TRAIN in tables and HELD_OUT in tables:
        return tables, None
    (part,) = {TRAIN, HELD_OUT} & tables.keys()
    table, field = tables[part], found.layout.split_field
    keys = [text_key(text) for text in texts_of(table, field, key="--data")]
    flags = are_held_out(keys, share=HELD_OUT_SHARE, seed=SPLIT_SEED)
    rows = {
        TRAIN: [row for row, flag in enumerate(flags) if not flag],
        HELD_OUT: [row for row, flag in enumerate(flags) if flag],
    }
    path = found.files[part]
    if not all(rows.values()):
        raise ValueError(
            f"{path}: a set with one part must have texts for training and for measuring. "
            f"Received: {len(set(keys))} different ones in {field!r}. Add the other part's file."
        )
    note = (
        f"Only {path.name} is there ({'no training part' if part == HELD_OUT else 'no dev part'}): "
        f"a fifth of its texts, chosen by a digest of each, is held out. The numbers are of no "
        "published split."
    )
    return {name: table.take(own) for name, own in rows.items()} | {
        name: other for name, other in tables.items() if name not in rows
    }, note


def _write(table: Table, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [table.columns[name] for name in table.names]
    lines = (
        json.dumps(dict(zip(table.names, values, strict=True)), ensure_ascii=False)
        for values in zip(*columns, strict=True)
    )
    return write_whole(path, "".join(f"{line}\n" for line in lines))
