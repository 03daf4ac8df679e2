"""Shards to be made in, all of them made out: those of an earlier run are kept.

A shard counts once its entry is in the work folder, which is written after it.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bert_tf.data import records
from bert_tf.data.preparation.engine import Engine, FirstPass, Task
from bert_tf.data.preparation.spooling import OnProgress, is_spooled
from bert_tf.system.files import write_whole
from bert_tf.system.json_files import read_model

logger = logging.getLogger(__name__)


def make_shards(
    tasks: Sequence[Task],
    spool: Callable[[], Mapping[records.Split, int]],
    *,
    engine: Engine,
    num_workers: int,
    text_bytes: int,
    work_dir: Path,
    on_progress: OnProgress | None,
) -> list[records.Shard]:
    """All shards of the splits that have something, made or there already.

    Args:
        tasks: of both splits, though the second may turn out to have nothing.
        spool: the first pass, if it is still to be done; gives how much each split has.
        text_bytes: see `FirstPass`.
    """
    made: dict[Task, records.Shard | None] = {}

    def spool_and_compare() -> list[Task]:
        """The shards that are missing once all is spooled."""
        num_spooled = spool()
        for task in tasks:
            if num_spooled[task.split]:
                made[task] = _finished(task, work_dir=work_dir)
        missing = [task for task, shard in made.items() if shard is None]
        if len(missing) < len(made):
            logger.info("%d of %d shards are there already.", len(made) - len(missing), len(made))
        return missing

    first_pass = FirstPass(
        run=spool_and_compare,
        sure_tasks=[task for task in tasks if task.split == "train" and not is_spooled(work_dir)],
        text_bytes=text_bytes,
    )
    results = engine(first_pass, num_workers=num_workers)
    with _no_leftovers(work_dir.parent), contextlib.closing(results):
        for task, shard in results:
            write_whole(_entry_path(task, work_dir=work_dir), shard.model_dump_json())
            made[task] = shard
            if on_progress is not None:
                on_progress("shards", sum(map(bool, made.values())), len(made))
    return [shard for shard in made.values() if shard is not None]


@contextlib.contextmanager
def _no_leftovers(output_dir: Path) -> Iterator[None]:
    """Whatever becomes of the block, no half of a shard is left of it or of earlier runs."""
    try:
        yield
    finally:
        for leftover in output_dir.glob(".*-of-*.tmp"):
            leftover.unlink(missing_ok=True)


def _finished(task: Task, *, work_dir: Path) -> records.Shard | None:
    """The entry of a shard that an earlier run finished; it is written after the shard."""
    path = _entry_path(task, work_dir=work_dir)
    if not path.is_file():
        return None
    shard = read_model(path, records.Shard, what="the entry of a shard")
    is_whole = task.shard_path.is_file() and task.shard_path.stat().st_size == shard.num_bytes
    return shard if is_whole else None


def _entry_path(task: Task, *, work_dir: Path) -> Path:
    return work_dir / f"{task.shard_path.name}.json"
