"""Parallel text in, a folder of records of pairs out: larger than memory, hashed, resumable.

Stages as of `prepare`: compare with what the folder was made for; deal the pairs to spool files;
make each missing shard; write the manifest last.

    records/  train-00000-of-00008.safetensors …  manifest.json  config.yaml
              vocab.txt or spm.model  tokenizer.json
    records/.prepare/  plan, spool files, one entry for each finished shard; gone at the end
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bert_tf.config import Config, ParallelConfig, Section, TokenizerConfig, required, write_config
from bert_tf.data import records
from bert_tf.data.corpora.hub import PREFIX, hub_fingerprint
from bert_tf.data.parallel.reading import PairColumns, iter_pairs
from bert_tf.data.preparation.engine import Engine
from bert_tf.data.preparation.local_processes import run_locally
from bert_tf.data.preparation.making import make_shards
from bert_tf.data.preparation.parallel_shards import Pair, PairPile, PairShardTask
from bert_tf.data.preparation.plan import check_plan, file_digests
from bert_tf.data.preparation.spool import SPOOLED_FILE, spool_path
from bert_tf.data.preparation.spooling import WORK_DIR, OnProgress, is_spooled, take_up
from bert_tf.data.records.pair_files import pair_file_name
from bert_tf.data.records.parallel_manifest import (
    Origin,
    ParallelManifest,
    pair_file_paths,
    read_parallel_manifest,
)
from bert_tf.data.tables.reading import ROWS_AT_ONCE, iter_tables, named_files
from bert_tf.data.tables.splitting import are_held_out, text_key
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.system.files import write_whole
from bert_tf.system.json_files import read_model
from bert_tf.system.output_folder import check_folder, owned_folder

logger = logging.getLogger(__name__)

KEY = "parallel.paths"
COLUMN_KEYS = ("parallel.source_field", "parallel.target_field", "parallel.faults")
SPLITS: tuple[records.Split, ...] = ("train", "eval")


class SpooledPairs(Section):
    """What was dealt to the shards, and what the pairs are of."""

    num_pairs: dict[records.Split, int]
    num_skipped: int
    origins: tuple[Origin, ...]


def prepare_parallel(
    config: Config,
    output_dir: str | Path,
    *,
    engine: Engine = run_locally,
    on_progress: OnProgress | None = None,
) -> ParallelManifest:
    """Write the records of `parallel.paths`; after an interruption, those that are missing.

    Texts are whole in them: what a model reads of long ones is decided where it is trained. The
    records are the same for any engine and number of workers.

    Args:
        engine: makes the shards: `local_processes.run_locally`, or `ray_tasks.run_on_ray`.
        on_progress: hears of `pairs` read (total None) and `shards` made.

    Raises:
        FileNotFoundError: a file or the vocabulary is missing.
        ValueError: the folder holds records of other text or another configuration, a row is at
            fault (see `parallel.reading`), or there are fewer pairs than shards.
    """
    check_folder(output_dir, command="prepare")
    output_dir, section = Path(output_dir), config.parallel
    _check(config)
    vocabulary = required(
        config.tokenizer.vocabulary,
        key="tokenizer.vocabulary",
        what="a vocab.txt, an spm.model or a folder with one",
    )
    tokenizer = Tokenizer.load(vocabulary, config.tokenizer)
    files = named_files(list(section.paths), key=KEY)
    plan = _make_plan(config, tokenizer=tokenizer, files=files)
    work_dir = output_dir / WORK_DIR
    manifest = _finished_records(output_dir, plan=plan)
    if manifest is None or work_dir.exists():
        with owned_folder(output_dir, command="prepare"):
            # Another run may have come to its end in the meantime.
            manifest = _finished_records(output_dir, plan=plan)
            if manifest is None:
                take_up(work_dir, plan=plan, output_dir=output_dir)
                tokenizer.save(output_dir)
                write_config(config, output_dir)
                shards = make_shards(
                    _tasks(config, output_dir=output_dir, tokenizer=tokenizer),
                    lambda: _spool(config, work_dir, on_progress=on_progress).num_pairs,
                    engine=engine,
                    num_workers=config.records.num_workers,
                    text_bytes=sum(path.stat().st_size for path in files),
                    work_dir=work_dir,
                    on_progress=on_progress,
                )
                manifest = _finish(output_dir, plan=plan, shards=shards)
            shutil.rmtree(work_dir, ignore_errors=True)
    return manifest


def _check(config: Config) -> None:
    for key, is_wrong, must in (
        ("corpus.paths", bool(config.corpus.paths), "be unset beside parallel.paths"),
        ("records.compression", config.records.compression != "none", "be none for pairs"),
    ):
        if is_wrong:
            raise ValueError(
                f"{key} must {must}: their records are read by memory mapping and are no corpus. "
                "Received: a value. Leave it out."
            )
    if not config.parallel.paths:
        raise ValueError(f"{KEY} must name parallel text. Received: none. Set it.")


def _make_plan(config: Config, *, tokenizer: Tokenizer, files: Sequence[Path]) -> dict[str, Any]:
    """All that the records are a function of, as JSON values."""
    hub_names = [name for name in config.parallel.paths if name.startswith(PREFIX)]
    return {
        "kind": "parallel",
        "schema_version": 1,
        "seed": config.seed,
        "files": {name: hub_fingerprint(name) for name in hub_names} | file_digests(files),
        "parallel": config.parallel.model_dump(mode="json", exclude={"paths"}),
        "tokenizer": {**tokenizer.settings, "vocabulary_sha256": tokenizer.vocabulary_sha256},
        "records": {"num_shards": config.records.num_shards},
    }


def _finished_records(output_dir: Path, *, plan: dict[str, Any]) -> ParallelManifest | None:
    """The manifest of a finished folder, once it is of this plan and its shards are whole."""
    if not (output_dir / records.MANIFEST_FILE).is_file():
        return None
    manifest = read_parallel_manifest(output_dir)
    check_plan(manifest.plan, plan, output_dir=output_dir)
    for split in SPLITS:
        pair_file_paths(output_dir, split)
    return manifest


def _num_shards(config: Config) -> dict[records.Split, int]:
    train, share = config.records.num_shards, config.parallel.held_out_share
    return {"train": train, "eval": max(1, round(train * share))}


def _tasks(config: Config, *, output_dir: Path, tokenizer: Tokenizer) -> list[PairShardTask]:
    """Of both splits, though the second may turn out to have no pair."""
    return [
        PairShardTask(
            split=split,
            index=index,
            spool_path=spool_path(output_dir / WORK_DIR, split, index),
            shard_path=output_dir / pair_file_name(split, index, num_shards=count),
            tokenizer_dir=output_dir,
            tokenizer=TokenizerConfig.model_validate(tokenizer.settings),
            vocabulary_sha256=tokenizer.vocabulary_sha256,
        )
        for split, count in _num_shards(config).items()
        for index in range(count)
    ]


def _spool(config: Config, work_dir: Path, *, on_progress: OnProgress | None) -> SpooledPairs:
    """Deal all pairs to spool files, or take what an earlier run dealt."""
    if is_spooled(work_dir):
        return _read_spooled(work_dir)
    section = config.parallel
    piles = {
        split: PairPile(work_dir, split, num_files=count)
        for split, count in _num_shards(config).items()
    }
    origins: dict[Origin, int] = {}
    num_read = num_skipped = 0
    for pairs in iter_pairs(_tables(section), _columns(section)):
        texts = pairs.targets if section.made_by == "text" else pairs.sources
        keys = map(text_key, texts)
        held_out = are_held_out(keys, share=section.held_out_share, seed=config.seed)
        places = pairs.table.origins
        for row, is_held_out in enumerate(held_out):
            source = places.source(row)
            origin = Origin(name=source.name, has_lines=source.has_lines)
            number = origins.setdefault(origin, len(origins))
            pair = Pair(pairs.sources[row], pairs.targets[row], number, int(places.numbers[row]))
            piles["eval" if is_held_out else "train"].add(pair)
        num_read += len(pairs) + pairs.skipped.num
        num_skipped += pairs.skipped.num
        if on_progress is not None:
            on_progress("pairs", num_read, None)
    for pile in piles.values():
        pile.flush()
    spooled = SpooledPairs(
        num_pairs={split: pile.num_dealt for split, pile in piles.items()},
        num_skipped=num_skipped,
        origins=tuple(origins),
    )
    _check_counts(config, spooled)
    write_whole(work_dir / SPOOLED_FILE, spooled.model_dump_json(indent=2))
    return spooled


def _tables(section: ParallelConfig) -> Any:
    return iter_tables(list(section.paths), config=section.table, key=KEY, batch_rows=ROWS_AT_ONCE)


def _columns(section: ParallelConfig) -> PairColumns:
    return PairColumns(
        section.source_field, section.target_field, section.made_by, section.faults, COLUMN_KEYS
    )


def _read_spooled(work_dir: Path) -> SpooledPairs:
    return read_model(work_dir / SPOOLED_FILE, SpooledPairs, what="a note of the first pass")


def _check_counts(config: Config, spooled: SpooledPairs) -> None:
    counts = _num_shards(config)
    for split, number in spooled.num_pairs.items():
        if number < counts[split] and (number or split == "train"):
            raise ValueError(
                f"{config.parallel.paths[0]}: {counts[split]} {split} shard(s) need at least a "
                f"pair each. Received: {number:,} {split} pair(s). Lower records.num_shards, or "
                "change parallel.held_out_share."
            )


def _finish(
    output_dir: Path, *, plan: Mapping[str, Any], shards: list[records.Shard]
) -> ParallelManifest:
    spooled = _read_spooled(output_dir / WORK_DIR)
    manifest = ParallelManifest(
        kind="parallel",
        schema_version=1,
        plan=dict(plan),
        num_skipped=spooled.num_skipped,
        origins=spooled.origins,
        shards=tuple(shards),
    )
    records.write_manifest(manifest, output_dir)
    logger.info(
        "%s training and %s held-out pairs in %d shards.",
        *(f"{manifest.num_examples(split):,}" for split in SPLITS),
        len(shards),
    )
    return manifest
