"""A corpus in, a folder of pretraining records out.

Stages: compare with what the folder was made for; deal the documents to spool files; make each
missing shard, in worker processes where that pays; write the manifest last.

    records/  train-00000-of-00008.tfrecord …  eval-00000-of-00001.tfrecord
              manifest.json  corpus_summary.json  vocab.txt  tokenizer.json  config.yaml
    records/.prepare/  plan, spool files, one entry for each finished shard; gone at the end
"""

import contextlib
import logging
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from bert_tf.config import Config, TokenizerConfig, required, write_config
from bert_tf.data import records
from bert_tf.data.corpora.selection import write_summary
from bert_tf.data.corpora.standard_input import STANDARD_INPUT, StandardInput
from bert_tf.data.preparation import shards, spool
from bert_tf.data.preparation.lock import lock_folder
from bert_tf.data.preparation.plan import check_plan, make_plan
from bert_tf.data.preparation.spooling import (
    WORK_DIR,
    OnProgress,
    Spooled,
    compare_standard_input,
    num_shards,
    spool_corpus,
    take_up,
)
from bert_tf.data.preparation.workers import Engine, run_locally, warm_up
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.vocabulary import VOCABULARY_FILE
from bert_tf.files import write_whole

logger = logging.getLogger(__name__)


def prepare_records(
    config: Config,
    output_dir: str | Path,
    *,
    engine: Engine = run_locally,
    standard_input: BinaryIO | None = None,
    on_progress: OnProgress | None = None,
) -> records.Manifest:
    """Write the records of a corpus; after an interruption, those that are missing.

    A corpus path "-" is `standard_input`, by default that of the process. Once it is spooled an
    interrupted run goes on with the same or with an empty one; before, it starts anew.

    `on_progress(stage, done, total)` hears of `documents` read (total None) and `shards` made. The
    records are the same for any engine and number of workers. With more than one local worker the
    calling script needs the `if __name__ == "__main__":` of multiprocessing.

    Args:
        engine: makes the shards: `workers.run_locally`, or `cluster.run_on_ray`.

    Raises:
        FileNotFoundError: the corpus or the vocabulary is missing.
        ValueError: the folder holds records of another corpus or configuration, another process
            prepares records in it, or the corpus has too few documents.
    """
    output_dir = Path(output_dir)
    tokenizer = Tokenizer.load(
        required(
            config.tokenizer.vocabulary,
            key="tokenizer.vocabulary",
            what="a vocab.txt or a folder with one",
        ),
        config.tokenizer,
    )
    plan = make_plan(config, tokenizer=tokenizer)
    stream = None
    if STANDARD_INPUT in config.corpus.paths:
        stream = StandardInput(standard_input or sys.stdin.buffer)
        compare_standard_input(stream, output_dir, plan=plan)
    work_dir = output_dir / WORK_DIR
    manifest = _finished_records(output_dir, plan=plan)
    if manifest is None or work_dir.exists():
        with lock_folder(output_dir, command="bert-tf prepare"):
            # Another run may have come to its end in the meantime.
            if stream is not None:
                compare_standard_input(stream, output_dir, plan=plan)
            manifest = _finished_records(output_dir, plan=plan)
            if manifest is None:
                manifest = _make_records(
                    config,
                    output_dir,
                    tokenizer=tokenizer,
                    plan=plan,
                    engine=engine,
                    stream=stream,
                    on_progress=on_progress,
                )
            shutil.rmtree(work_dir, ignore_errors=True)
    return manifest


def _finished_records(output_dir: Path, *, plan: dict[str, Any]) -> records.Manifest | None:
    """The manifest of a finished folder, once it is of this plan and its shards are whole."""
    if not (output_dir / records.MANIFEST_FILE).is_file():
        return None
    manifest = records.read_manifest(output_dir)
    check_plan(manifest.plan, plan, output_dir=output_dir)
    for split in ("train", "eval"):
        records.shard_paths(output_dir, split)
    return manifest


def _make_records(
    config: Config,
    output_dir: Path,
    *,
    tokenizer: Tokenizer,
    plan: dict[str, Any],
    stream: StandardInput | None,
    engine: Engine,
    on_progress: OnProgress | None,
) -> records.Manifest:
    work_dir = output_dir / WORK_DIR
    take_up(work_dir, plan=plan, output_dir=output_dir)
    tokenizer.save(output_dir)
    write_config(config, output_dir)
    with warm_up(config) if engine is run_locally else contextlib.nullcontext():
        spooled = spool_corpus(config, work_dir, plan=plan, stream=stream, on_progress=on_progress)
        tasks = _shard_tasks(
            config, output_dir=output_dir, num_documents=spooled.num_documents, tokenizer=tokenizer
        )
        made = _make_shards(
            tasks,
            work_dir=work_dir,
            engine=engine,
            num_workers=config.records.num_workers,
            on_progress=on_progress,
        )
    return _finish(output_dir, plan=plan, spooled=spooled, made=made)


def _shard_tasks(
    config: Config, *, output_dir: Path, num_documents: Mapping[str, int], tokenizer: Tokenizer
) -> list[shards.ShardTask]:
    tasks = []
    counts = num_shards(config)
    splits: tuple[records.Split, ...] = ("train", "eval")
    for split in splits:
        for index in range(counts[split] if num_documents[split] else 0):
            name = records.shard_name(split, index, num_shards=counts[split])
            task = shards.ShardTask(
                split=split,
                index=index,
                spool_path=spool.spool_path(output_dir / WORK_DIR, split, index),
                shard_path=output_dir / name,
                tokenizer_dir=output_dir,
                tokenizer=TokenizerConfig.model_validate(tokenizer.settings),
                vocabulary_sha256=tokenizer.vocabulary_sha256,
                examples=config.examples,
                paragraphs_are_sentences=config.corpus.paragraphs_are_sentences,
                compression=config.records.compression,
                seed=config.seed,
            )
            tasks.append(task)
    return tasks


def _make_shards(
    tasks: list[shards.ShardTask],
    *,
    work_dir: Path,
    engine: Engine,
    num_workers: int,
    on_progress: OnProgress | None,
) -> list[records.Shard]:
    made = {task: _finished(task, work_dir=work_dir) for task in tasks}
    missing = [task for task in tasks if made[task] is None]
    if len(missing) < len(tasks):
        logger.info("%d of %d shards are there already.", len(tasks) - len(missing), len(tasks))
    for task, shard in engine(missing, num_workers=num_workers):
        write_whole(_entry_path(task, work_dir=work_dir), shard.model_dump_json())
        made[task] = shard
        if on_progress is not None:
            on_progress("shards", sum(map(bool, made.values())), len(tasks))
    return [shard for shard in made.values() if shard is not None]


def _finished(task: shards.ShardTask, *, work_dir: Path) -> records.Shard | None:
    """The entry of a shard that an earlier run finished; it is written after the shard."""
    path = _entry_path(task, work_dir=work_dir)
    if not path.is_file():
        return None
    shard = records.Shard.model_validate_json(path.read_text(encoding="utf-8"))
    is_whole = task.shard_path.is_file() and task.shard_path.stat().st_size == shard.num_bytes
    return shard if is_whole else None


def _entry_path(task: shards.ShardTask, *, work_dir: Path) -> Path:
    return work_dir / f"{task.shard_path.name}.json"


def _finish(
    output_dir: Path,
    *,
    plan: dict[str, Any],
    spooled: Spooled,
    made: list[records.Shard],
) -> records.Manifest:
    num_documents = spooled.num_documents
    manifest = records.Manifest(
        schema_version=records.SCHEMA_VERSION,
        plan=plan,
        num_documents={"train": num_documents["train"], "eval": num_documents["eval"]},
        shards=tuple(made),
    )
    if not manifest.num_examples("train"):
        raise ValueError(
            f"{output_dir}: a corpus must give at least one training example. Received: none from "
            f"{num_documents['train']} document(s). Check that {VOCABULARY_FILE} fits the corpus."
        )
    write_summary(spooled.summary, output_dir)
    records.write_manifest(manifest, output_dir)
    for leftover in output_dir.glob(".*.tfrecord.*.tmp"):
        leftover.unlink()
    logger.info(
        "%d training and %d held-out examples in %d shards.",
        manifest.num_examples("train"),
        manifest.num_examples("eval"),
        len(made),
    )
    return manifest
