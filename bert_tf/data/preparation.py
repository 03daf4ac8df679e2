"""A corpus in, a folder of pretraining records out.

Stages: compare with what the folder was made for; deal the documents to spool files; make each
missing shard, in worker processes where that pays; write the manifest last.

    records/  train-00000-of-00008.tfrecord …  eval-00000-of-00001.tfrecord
              manifest.json  vocab.txt  tokenizer.json  config.yaml
    records/.prepare/  plan, spool files, one entry for each finished shard; gone at the end
"""

import concurrent.futures
import logging
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pydantic_core

from bert_tf.config import Config, TokenizerConfig, required, write_config
from bert_tf.data import corpus, records, shards, spool
from bert_tf.data.lock import lock_folder
from bert_tf.data.plan import check_plan, make_plan
from bert_tf.data.tokenizer import Tokenizer
from bert_tf.data.vocabulary import VOCABULARY_FILE
from bert_tf.files import write_whole

logger = logging.getLogger(__name__)

WORK_DIR = ".prepare"
PLAN_FILE = "plan.json"
COUNTS_FILE = "documents.json"
WORKER_BYTES = 16 << 20
"""Text for each worker process; less takes no longer here than a process takes to start."""

OnProgress = Callable[[str, int, int | None], None]


def prepare_records(
    config: Config, output_dir: str | Path, *, on_progress: OnProgress | None = None
) -> records.Manifest:
    """Write the records of a corpus; after an interruption, those that are missing.

    `on_progress(stage, done, total)` hears of `documents` read (total None) and `shards` made. The
    records are the same for any number of workers. With more than one the calling script needs the
    `if __name__ == "__main__":` of multiprocessing.

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
    work_dir = output_dir / WORK_DIR
    manifest = _finished_records(output_dir, plan=plan)
    if manifest is None or work_dir.exists():
        with lock_folder(output_dir, command="bert-tf prepare"):
            # Another run may have come to its end in the meantime.
            manifest = _finished_records(output_dir, plan=plan)
            if manifest is None:
                manifest = _make_records(
                    config, output_dir, tokenizer=tokenizer, plan=plan, on_progress=on_progress
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
    on_progress: OnProgress | None,
) -> records.Manifest:
    work_dir = output_dir / WORK_DIR
    _take_up(work_dir, plan=plan, output_dir=output_dir)
    tokenizer.save(output_dir)
    write_config(config, output_dir)
    num_documents = _spool(config, work_dir=work_dir, on_progress=on_progress)
    tasks = _shard_tasks(
        config, output_dir=output_dir, num_documents=num_documents, tokenizer=tokenizer
    )
    made = _make_shards(
        tasks, work_dir=work_dir, num_workers=config.records.num_workers, on_progress=on_progress
    )
    return _finish(output_dir, plan=plan, num_documents=num_documents, made=made)


def _take_up(work_dir: Path, *, plan: dict[str, Any], output_dir: Path) -> None:
    """Go on with an interrupted run of the same plan; one that finished no shard binds nobody."""
    plan_path = work_dir / PLAN_FILE
    if plan_path.is_file() and any(work_dir.glob("*.tfrecord.json")):
        check_plan(_read_json(plan_path), plan, output_dir=output_dir)
    elif not (plan_path.is_file() and _read_json(plan_path) == plan):
        shutil.rmtree(work_dir, ignore_errors=True)
        work_dir.mkdir(parents=True)
        write_whole(plan_path, _to_json(plan))


def _spool(config: Config, *, work_dir: Path, on_progress: OnProgress | None) -> dict[str, int]:
    counts_path = work_dir / COUNTS_FILE
    if counts_path.is_file():
        return dict(_read_json(counts_path))
    share, seed = config.corpus.held_out_share, config.seed

    def split_of(document: corpus.Document) -> str:
        return "eval" if corpus.is_held_out(document, share=share, seed=seed) else "train"

    def on_document(number: int) -> None:
        if on_progress is not None and number % 1000 == 0:
            on_progress("documents", number, None)

    num_documents = spool.spool_documents(
        corpus.read_documents(config.corpus),
        work_dir,
        num_shards=_num_shards(config),
        split_of=split_of,
        on_document=on_document,
    )
    _check_counts(num_documents, config=config)
    write_whole(counts_path, _to_json(num_documents))
    if on_progress is not None:
        total = sum(num_documents.values())
        on_progress("documents", total, total)
    return num_documents


def _num_shards(config: Config) -> dict[str, int]:
    train = config.records.num_shards
    return {"train": train, "eval": max(1, round(train * config.corpus.held_out_share))}


def _check_counts(num_documents: Mapping[str, int], *, config: Config) -> None:
    per_shard = 2 if config.examples.next_sentence else 1
    num_shards = _num_shards(config)
    for split, what_to_do in (
        ("train", "Lower records.num_shards, or"),
        ("eval", "Raise corpus.held_out_share, set it to 0, change the seed, or"),
    ):
        count = num_documents[split]
        is_left_out = split == "eval" and count == 0
        if count < per_shard * num_shards[split] and not is_left_out:
            raise ValueError(
                f"{config.corpus.paths[0]}: {num_shards[split]} {split} shard(s) need at least "
                f"{per_shard} document(s) each. Received: {count} {split} document(s) in all. "
                f"{what_to_do} add documents or split them with corpus.document_boundary"
                + (", or set examples.next_sentence=false." if per_shard > 1 else ".")
            )


def _shard_tasks(
    config: Config, *, output_dir: Path, num_documents: Mapping[str, int], tokenizer: Tokenizer
) -> list[shards.ShardTask]:
    tasks = []
    num_shards = _num_shards(config)
    splits: tuple[records.Split, ...] = ("train", "eval")
    for split in splits:
        for index in range(num_shards[split] if num_documents[split] else 0):
            name = records.shard_name(split, index, num_shards=num_shards[split])
            task = shards.ShardTask(
                split=split,
                index=index,
                spool_path=spool.spool_path(output_dir / WORK_DIR, split, index),
                shard_path=output_dir / name,
                tokenizer_dir=output_dir,
                tokenizer=TokenizerConfig.model_validate(tokenizer.settings),
                vocabulary_sha256=tokenizer.vocabulary_sha256,
                examples=config.examples,
                compression=config.records.compression,
                seed=config.seed,
            )
            tasks.append(task)
    return tasks


def _make_shards(
    tasks: list[shards.ShardTask],
    *,
    work_dir: Path,
    num_workers: int,
    on_progress: OnProgress | None,
) -> list[records.Shard]:
    made = {task: _finished(task, work_dir=work_dir) for task in tasks}
    missing = [task for task in tasks if made[task] is None]
    if len(missing) < len(tasks):
        logger.info("%d of %d shards are there already.", len(tasks) - len(missing), len(tasks))
    for task, shard in _run(missing, num_workers=num_workers):
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


def _run(
    tasks: list[shards.ShardTask], *, num_workers: int
) -> Iterator[tuple[shards.ShardTask, records.Shard]]:
    """Finished shards as they come, made here or in worker processes."""
    text_bytes = sum(task.spool_path.stat().st_size for task in tasks)
    limit = num_workers or len(os.sched_getaffinity(0))
    num_processes = min(limit, len(tasks), text_bytes // WORKER_BYTES)
    if num_processes <= 1:
        for task in tasks:
            yield task, shards.write_shard(task)
        return
    executor = concurrent.futures.ProcessPoolExecutor(
        num_processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=shards.set_up_worker,
    )
    try:
        futures = {executor.submit(shards.write_shard, task): task for task in tasks}
        for future in concurrent.futures.as_completed(futures):
            yield futures[future], future.result()
    except concurrent.futures.process.BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process must live until its shard is written. Received: one was killed, most "
            "often for want of memory. Run the same command again, it goes on with the missing "
            "shards; lower records.num_workers if it happens again."
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def _finish(
    output_dir: Path,
    *,
    plan: dict[str, Any],
    num_documents: dict[str, int],
    made: list[records.Shard],
) -> records.Manifest:
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


def _to_json(value: Any) -> str:
    return pydantic_core.to_json(value, indent=2).decode() + "\n"


def _read_json(path: Path) -> Any:
    return pydantic_core.from_json(path.read_text(encoding="utf-8"))
