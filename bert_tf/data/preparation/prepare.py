"""A corpus in, a folder of pretraining records out.

Stages: compare with what the folder was made for; deal the documents to spool files; make each
missing shard, where that pays in worker processes, which begin while the documents are dealt; write
the manifest last.

    records/  train-00000-of-00008.tfrecord …  eval-00000-of-00001.tfrecord
              manifest.json  corpus_summary.json  config.yaml
              vocab.txt or spm.model  tokenizer.json
    records/.prepare/  plan, spool files, one entry for each finished shard; gone at the end
"""

import logging
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from bert_tf.config import Config, TokenizerConfig, required, write_config
from bert_tf.data import records
from bert_tf.data.corpora.corpus import check_beginnings, list_sources
from bert_tf.data.corpora.selection import write_summary
from bert_tf.data.corpora.standard_input import STANDARD_INPUT, StandardInput
from bert_tf.data.preparation import shards, spool
from bert_tf.data.preparation.engine import Engine
from bert_tf.data.preparation.local_processes import run_locally
from bert_tf.data.preparation.making import make_shards
from bert_tf.data.preparation.plan import check_plan, make_plan
from bert_tf.data.preparation.spooling import (
    WORK_DIR,
    OnProgress,
    Spooled,
    compare_standard_input,
    num_shards,
    read_spooled,
    spool_corpus,
    take_up,
)
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.system.output_folder import check_folder, owned_folder

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
        engine: makes the shards: `local_processes.run_locally`, or `ray_tasks.run_on_ray`.

    Raises:
        FileNotFoundError: the corpus or the vocabulary is missing.
        ValueError: the folder holds records of another corpus or configuration, another process
            prepares records in it, or the corpus has too few documents.
    """
    check_folder(output_dir, command="prepare")
    output_dir = Path(output_dir)
    tokenizer = Tokenizer.load(
        required(
            config.tokenizer.vocabulary,
            key="tokenizer.vocabulary",
            what="a vocab.txt, an spm.model or a folder with one",
        ),
        config.tokenizer,
    )
    sources = list_sources(config.corpus.paths)
    plan = make_plan(config, tokenizer=tokenizer, sources=sources)
    stream = None
    if STANDARD_INPUT in sources:
        stream = StandardInput(standard_input or sys.stdin.buffer)
        compare_standard_input(stream, output_dir, plan=plan)
    work_dir = output_dir / WORK_DIR
    manifest = _finished_records(output_dir, plan=plan)
    if manifest is None:
        check_beginnings(config.corpus, sources)
    if manifest is None or work_dir.exists():
        with owned_folder(output_dir, command="prepare"):
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
                    sources=sources,
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
    sources: Sequence[str | Path],
    stream: StandardInput | None,
    engine: Engine,
    on_progress: OnProgress | None,
) -> records.Manifest:
    work_dir = output_dir / WORK_DIR
    take_up(work_dir, plan=plan, output_dir=output_dir)
    tokenizer.save(output_dir)
    write_config(config, output_dir)
    tasks = _shard_tasks(config, output_dir=output_dir, tokenizer=tokenizer)

    def spool_documents() -> Mapping[records.Split, int]:
        num_documents = spool_corpus(
            config, work_dir, sources=sources, plan=plan, stream=stream, on_progress=on_progress
        ).num_documents
        return {"train": num_documents["train"], "eval": num_documents["eval"]}

    made = make_shards(
        tasks,
        spool_documents,
        engine=engine,
        num_workers=config.records.num_workers,
        text_bytes=sum(source.stat().st_size for source in sources if isinstance(source, Path)),
        work_dir=work_dir,
        on_progress=on_progress,
    )
    return _finish(
        output_dir,
        plan=plan,
        spooled=read_spooled(work_dir),
        made=made,
        vocabulary_file=tokenizer.vocabulary_file,
    )


def _shard_tasks(
    config: Config, *, output_dir: Path, tokenizer: Tokenizer
) -> list[shards.ShardTask]:
    """Of both splits, though the second may turn out to have no document."""
    tasks = []
    splits: tuple[records.Split, ...] = ("train", "eval")
    for split in splits:
        count = num_shards(config)[split]
        for index in range(count):
            task = shards.ShardTask(
                split=split,
                index=index,
                spool_path=spool.spool_path(output_dir / WORK_DIR, split, index),
                shard_path=output_dir / records.shard_name(split, index, num_shards=count),
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


def _finish(
    output_dir: Path,
    *,
    plan: dict[str, Any],
    spooled: Spooled,
    made: list[records.Shard],
    vocabulary_file: str,
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
            f"{num_documents['train']} document(s). Check that {vocabulary_file} fits the corpus."
        )
    write_summary(spooled.summary, output_dir)
    records.write_manifest(manifest, output_dir)
    logger.info(
        "%d training and %d held-out examples in %d shards.",
        manifest.num_examples("train"),
        manifest.num_examples("eval"),
        len(made),
    )
    return manifest
