"""Steps that read the files people drop in folders: find what is new, set damaged files aside.

    corpus files    -> corpus.json (the whole files), documents.jsonl (what an encoder that has
                       read before has not read yet, and some of what it has),
                       read_documents.bin (digests of all that it then has read)
    labelled files  -> train.jsonl, eval.jsonl

A text lies on its side of the held-out split by a hash of itself and the seed: however the files
grow, no version was trained on what it is judged by.
"""

import contextlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from bert_tf.config import Config
from bert_tf.data.corpora.corpus import count_left_out, list_sources, read_batches
from bert_tf.data.corpora.document import Document, held_out_rule
from bert_tf.data.corpora.hub import PREFIX, hub_fingerprint
from bert_tf.data.corpora.selection import DigestSet
from bert_tf.data.seeds import derive_seed
from bert_tf.data.tables import finding as tables
from bert_tf.data.tables.reading import read_table
from bert_tf.data.tables.splitting import are_held_out
from bert_tf.data.tables.values import texts_of
from bert_tf.system.files import appearing, write_whole
from bert_tf.system.listing import listed
from bert_tf.tasks.base import Task
from bert_tf.tasks.examples import Examples
from bert_tf.tasks.table import open_task
from pipelines.engine.json_files import read_json, write_json
from pipelines.engine.step import Context
from pipelines.steps.labelled_tables import labelled_tables, single_names

log = logging.getLogger(__name__)

CORPUS_FILE, DOCUMENTS_FILE, READ_FILE = "corpus.json", "documents.jsonl", "read_documents.bin"
TRAIN_FILE, EVAL_FILE, LABELLED_FILE = "train.jsonl", "eval.jsonl", "labelled.json"


class DamagedFile(NamedTuple):
    """A file that was set aside, and why."""

    path: str
    reason: str


# --- text without labels


def corpus_files(config: Config) -> list[Path]:
    """What `ingest` reads that has content of its own on this machine."""
    return [source for source in list_sources(config.corpus.paths) if isinstance(source, Path)]


def hub_sources(config: Config) -> list[str]:
    """What tells whether data sets of a hub have changed."""
    names = [path for path in config.corpus.paths if path.startswith(PREFIX)]
    return [hub_fingerprint(name) for name in names]


def ingest(context: Context) -> None:
    """The corpus's whole files; what is new to an encoder that has read before, apart."""
    config, read = context.config, _documents_read(context)
    look = _Look(config, read, num_read_before=len(read))
    sources = list_sources(config.corpus.paths)
    with appearing(context.directory / DOCUMENTS_FILE) as path, path.open("w", -1, "utf-8") as out:
        for number, source in enumerate(sources):
            context.show("ingest", number, len(sources), str(source))
            with _set_aside(str(source), look.damaged, config=config):
                _take_new(source, look, out)
                look.sound.append(source)
        _refuse_nothing(look.sound, look.damaged, "corpus.paths")
        if look.num_new and look.num_read_before:
            num_replayed = _replay(look, _documents_read(context), out)
            log.info("%d documents that were read before go along", num_replayed)
    read.write(context.directory / READ_FILE)
    summary = {
        "paths": [str(source) for source in look.sound],
        "files_left_out": count_left_out(config.corpus.paths),
        "num_documents": look.num_documents,
        "num_read_before": look.num_read_before,
        "num_new": look.num_new,
        "num_new_held_out": look.num_new_held_out,
    }
    _write_summary(context.directory / CORPUS_FILE, summary, look.damaged)
    log.info("%d new documents of %d", look.num_new, look.num_documents)


def read_corpus_summary(context: Context) -> dict[str, Any]:
    """What `ingest` counted, and the paths of whole files."""
    return read_json(context.folder("ingest") / CORPUS_FILE)


def _documents_read(context: Context) -> DigestSet:
    """What the encoder that the run goes on from has read; nothing of one from elsewhere."""
    folder = context.find("fetch_encoder")
    path = folder and folder / READ_FILE
    return DigestSet.read(path) if path and path.is_file() else DigestSet()


@dataclass
class _Look:
    """What has been found so far."""

    config: Config
    read: DigestSet
    """All that the encoder will have read."""
    num_read_before: int
    sound: list[str | Path] = field(default_factory=list)
    damaged: list[DamagedFile] = field(default_factory=list)
    num_documents: int = 0
    num_new: int = 0
    num_new_held_out: int = 0


def _take_new(source: str | Path, look: _Look, out: TextIO) -> None:
    """Write a source's new documents; a source that turns out damaged leaves nothing behind.

    An encoder that has read nothing reads the files themselves: nothing is written.
    """
    config, begin = look.config, out.tell()
    new, num_documents, num_held_out = DigestSet(), 0, 0
    are_held_out = held_out_rule(config.corpus.held_out_share, config.seed)
    try:
        for documents in read_batches(config.corpus, sources=[source]):
            for document in documents:
                num_documents += 1
                text = document.compared_text
                if text not in look.read and new.add(text):
                    num_held_out += are_held_out([text.encode()])[0]
                    if look.num_read_before:
                        _write_document(document, config, out)
    except BaseException:
        out.seek(begin)
        out.truncate()
        raise
    look.read.update(new)
    look.num_documents += num_documents
    look.num_new += len(new)
    look.num_new_held_out += num_held_out


def _replay(look: _Look, read_before: DigestSet, out: TextIO) -> int:
    """Write documents that were read before, drawn by a hash, others each time; how many."""
    share = look.config.flow.replayed_share
    wanted = look.num_new * share / (1.0 - share)
    num_old = look.num_documents - look.num_new
    if not wanted or not num_old:
        return 0
    seed = derive_seed(look.config.seed, "replay", look.num_read_before)
    are_drawn = held_out_rule(min(1.0, wanted / num_old), seed)
    number = 0
    for documents in read_batches(look.config.corpus, sources=look.sound):
        for document in documents:
            text = document.compared_text
            if text in read_before and are_drawn([text.encode()])[0]:
                _write_document(document, look.config, out)
                number += 1
    return number


def _write_document(document: Document, config: Config, out: TextIO) -> None:
    row = {config.corpus.text_field: document.text}
    out.write(json.dumps(row, ensure_ascii=False) + "\n")


# --- text with labels


def labelled_files(config: Config) -> list[Path]:
    """What `labelled` reads.

    Raises:
        FileNotFoundError: a path names nothing.
    """
    return [path for table in labelled_tables(config) for path in table.files]


def labelled(context: Context) -> None:
    """All labelled texts, held-out ones apart. Of a text with two labels the last one counts."""
    config, task = context.config, open_task(context.config.finetuning)
    damaged: list[DamagedFile] = []
    records: dict[str, _Record] = {}
    named = labelled_tables(config)
    for number, table in enumerate(named):
        context.show("labelled", number, len(named), table.name)
        with _set_aside(table.name, damaged, config=config):
            records |= _read_records(table.name, task, config)
    _refuse_nothing(records, damaged, "flow.labelled_paths")
    train, held_out = _split(records, config)
    for name, rows in ((TRAIN_FILE, train), (EVAL_FILE, held_out)):
        lines = (json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
        write_whole(context.directory / name, "".join(lines))
    left_out = tables.count_left_out(single_names(config), key="flow.labelled_paths")
    summary = {"num_train": len(train), "num_eval": len(held_out), "files_left_out": left_out}
    _write_summary(context.directory / LABELLED_FILE, summary, damaged)


class _Record(NamedTuple):
    row: dict[str, Any]
    """All columns."""
    strata: tuple[Any, ...]
    """What a split must leave some of for training."""


def _read_records(path: str, task: Task, config: Config) -> dict[str, _Record]:
    """What counts as the same text -> its record; NFC and NFD of a text are one."""
    section = config.finetuning
    table = read_table(path, config=section.table, key="flow.labelled_paths")
    examples = task.read(table, section)
    if config.flow.source_field is not None:
        texts_of(table, config.flow.source_field, key="flow.source_field")
    strata = task.strata(examples) or [()] * len(examples)
    rows = zip(*(table.columns[name] for name in table.names), strict=True)
    return {
        key: _Record(dict(zip(table.names, row, strict=True)), tuple(of_row))
        for key, row, of_row in zip(examples.keys(), rows, strata, strict=True)
    }


def _split(
    records: dict[str, _Record], config: Config
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Training and held-out rows: a class of which none would be left to learn from keeps all."""
    share, seed = config.flow.labelled_held_out_share, config.seed
    held_out = dict(zip(records, are_held_out(list(records), share=share, seed=seed), strict=True))
    learnt = {
        name for key, record in records.items() if not held_out[key] for name in record.strata
    }
    train: list[dict[str, Any]] = []
    evaluation: list[dict[str, Any]] = []
    for key, record in records.items():
        is_held_out = held_out[key] and learnt.issuperset(record.strata)
        (evaluation if is_held_out else train).append(record.row)
    return train, evaluation


def held_out_examples(context: Context, task: Task) -> Examples:
    """Examples that no version was trained on, with all columns of their tables."""
    section, folder = context.config.finetuning, context.find("labelled")
    if folder is None:
        table = read_table(section.eval_path, config=section.table, key="finetuning.eval_path")
    else:
        table = read_table(folder / EVAL_FILE, key="flow.labelled_paths")
    return task.read_held_out(table, section)


# --- both


@contextlib.contextmanager
def _set_aside(path: str, damaged: list[DamagedFile], *, config: Config) -> Iterator[None]:
    """A file whose reading fails joins `damaged`, if the configuration wants that."""
    try:
        yield
    except (ValueError, OSError) as error:
        if config.flow.damaged_files == "error" or isinstance(
            error, (ConnectionError, TimeoutError)
        ):
            raise
        log.warning("%s is set aside: %s", path, error)
        damaged.append(DamagedFile(path, str(error)))


def _refuse_nothing(sound: Any, damaged: Sequence[DamagedFile], key: str) -> None:
    if not sound:
        reasons = listed((file.reason for file in damaged), max_characters=500, separator="; ")
        reasons = reasons or "no file"
        raise ValueError(f"{key}: at least one file must be readable. Received: {reasons}")


def _write_summary(path: Path, summary: dict[str, Any], damaged: Sequence[DamagedFile]) -> None:
    write_json(path, **summary, set_aside=[file._asdict() for file in damaged])


def set_aside_files(folder: Path) -> list[DamagedFile]:
    """What the step that wrote `folder` left out."""
    return [
        DamagedFile(**file)
        for name in (CORPUS_FILE, LABELLED_FILE)
        if (folder / name).is_file()
        for file in read_json(folder / name)["set_aside"]
    ]
