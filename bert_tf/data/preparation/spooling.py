"""The first pass of preparation: a corpus and a plan in, spooled documents out.

    records/.prepare/  plan.json, then a spool file for each shard, then spooled.json

What is in `spooled.json` is spooled whole; without it the corpus is read anew.
"""

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic_core

from bert_tf.config import Config, Section
from bert_tf.data import records
from bert_tf.data.corpora import corpus
from bert_tf.data.corpora.selection import CorpusSummary, SummaryCounter
from bert_tf.data.corpora.standard_input import StandardInput
from bert_tf.data.preparation import spool
from bert_tf.data.preparation.plan import check_plan, set_standard_input, standard_input_digest
from bert_tf.system.files import write_whole
from bert_tf.system.json_files import read_json, read_model

_START_ANEW = "Remove the folder that it is in, to start anew."

logger = logging.getLogger(__name__)

WORK_DIR = ".prepare"
PLAN_FILE = "plan.json"

OnProgress = Callable[[str, int, int | None], None]


class Spooled(Section):
    """What was dealt to the shards, and what became of the other documents."""

    num_documents: dict[str, int]
    summary: CorpusSummary


def compare_standard_input(
    stream: StandardInput, output_dir: Path, *, plan: dict[str, Any]
) -> None:
    """Where a corpus of standard input was spooled before, read it to tell whether it is that one.

    An empty one stands for what was spooled.
    """
    if standard_input_digest(plan) is not None:
        return
    work_dir = output_dir / WORK_DIR
    there: Mapping[str, Any] = {}
    if (output_dir / records.MANIFEST_FILE).is_file():
        there = records.read_manifest(output_dir).plan
    elif is_spooled(work_dir):
        there = _read_json(work_dir / PLAN_FILE)
    known = standard_input_digest(there)
    if known is not None:
        set_standard_input(plan, stream.digest() or known)


def take_up(work_dir: Path, *, plan: dict[str, Any], output_dir: Path) -> None:
    """Go on with an interrupted run of the same plan; what a run of another plan left is removed.

    If that run finished a shard, it is refused instead; so it is where standard input was read to
    compare it, of which nothing is left to start anew with. Half-spooled documents are removed
    before a worker can follow them.

    Raises:
        ValueError: the folder belongs to another plan.
    """
    plan_path = work_dir / PLAN_FILE
    is_bound = standard_input_digest(plan) is not None or any(work_dir.glob("*-of-*.json"))
    if plan_path.is_file() and is_bound:
        check_plan(_read_json(plan_path), plan, output_dir=output_dir)
    elif not (is_spooled(work_dir) and plan_path.is_file() and _read_json(plan_path) == plan):
        shutil.rmtree(work_dir, ignore_errors=True)
        work_dir.mkdir(parents=True)
        write_whole(plan_path, _to_json(plan))


def is_spooled(work_dir: Path) -> bool:
    """Whether all documents lie in spool files."""
    return (work_dir / spool.SPOOLED_FILE).is_file()


def read_spooled(work_dir: Path) -> Spooled:
    """What `spool_corpus` left in a folder."""
    path = work_dir / spool.SPOOLED_FILE
    return read_model(path, Spooled, what="a note of the first pass", to_do=_START_ANEW)


def spool_corpus(
    config: Config,
    work_dir: Path,
    *,
    sources: Sequence[str | Path],
    plan: dict[str, Any],
    stream: StandardInput | None,
    on_progress: OnProgress | None,
) -> Spooled:
    """Deal the corpus to spool files, or take what an earlier run dealt.

    Raises:
        FileNotFoundError, ValueError: see `corpus.read_batches`; too few documents.
    """
    if is_spooled(work_dir):
        return read_spooled(work_dir)

    def show(number: int) -> None:
        if on_progress is not None:
            on_progress("documents", number, None)

    counter = SummaryCounter(corpus.held_out_rule(config.corpus.held_out_share, config.seed))
    num_documents = spool.spool_documents(
        corpus.read_batches(
            config.corpus, sources=sources, standard_input=stream, on_dropped=counter.drop
        ),
        work_dir,
        num_shards=num_shards(config),
        texts_of=counter.take,
        on_progress=show,
    )
    _check_counts(num_documents, config=config)
    left_out = corpus.count_left_out(config.corpus.paths)
    summary = counter.summary(num_documents, files_left_out=left_out)
    spooled = Spooled(num_documents=num_documents, summary=summary)
    logger.info("Corpus: %s.", spooled.summary.describe())
    if stream is not None:
        set_standard_input(plan, stream.digest())
        write_whole(work_dir / PLAN_FILE, _to_json(plan))
    write_whole(work_dir / spool.SPOOLED_FILE, spooled.model_dump_json(indent=2))
    if on_progress is not None:
        total = sum(num_documents.values())
        on_progress("documents", total, total)
    return spooled


def num_shards(config: Config) -> dict[str, int]:
    """Of each split."""
    train = config.records.num_shards
    return {"train": train, "eval": max(1, round(train * config.corpus.held_out_share))}


def _check_counts(num_documents: Mapping[str, int], *, config: Config) -> None:
    per_shard = 2 if config.examples.next_sentence else 1
    counts = num_shards(config)
    for split, what_to_do in (
        ("train", "Lower records.num_shards, or"),
        ("eval", "Raise corpus.held_out_share, set it to 0, change the seed, or"),
    ):
        count = num_documents[split]
        is_left_out = split == "eval" and count == 0
        if count < per_shard * counts[split] and not is_left_out:
            raise ValueError(
                f"{config.corpus.paths[0]}: {counts[split]} {split} shard(s) need at least "
                f"{per_shard} document(s) each. Received: {count} {split} document(s) in all. "
                f"{what_to_do} add documents or split them with corpus.document_boundary"
                + (", or set examples.next_sentence=false." if per_shard > 1 else ".")
            )


def _to_json(value: Any) -> str:
    return pydantic_core.to_json(value, indent=2).decode() + "\n"


def _read_json(path: Path) -> Any:
    return read_json(path, what="a plan", to_do=_START_ANEW)
