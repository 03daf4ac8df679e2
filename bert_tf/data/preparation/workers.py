"""Shards made on this machine: in this process, or in one a core where that pays."""

import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.forkserver
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from bert_tf.config import Config
from bert_tf.data import records
from bert_tf.data.corpora import corpus
from bert_tf.data.preparation import shards

WORKER_BYTES = 32 << 20
"""With twice as much text, two worker processes win back the seconds that it takes to start any."""


class Engine(Protocol):
    """Makes shards, in any order and anywhere: each is a function of its task."""

    def __call__(
        self, tasks: Sequence[shards.ShardTask], *, num_workers: int
    ) -> Iterator[tuple[shards.ShardTask, records.Shard]]:
        """Finished shards as they come; `num_workers` 0 means one a core."""
        ...


def run_locally(
    tasks: Sequence[shards.ShardTask], *, num_workers: int
) -> Iterator[tuple[shards.ShardTask, records.Shard]]:
    """Finished shards as they come, made here or in worker processes.

    Raises:
        RuntimeError: a worker process was killed.
        ValueError: see `shards.write_shard`.
    """
    num_processes = _num_processes(
        [task.spool_path for task in tasks], num_tasks=len(tasks), num_workers=num_workers
    )
    if num_processes > 1:
        with _fork_server(num_processes):
            yield from _run_in_processes(tasks, num_processes=num_processes)
        return
    for task in tasks:
        yield task, shards.write_shard(task)


@contextlib.contextmanager
def warm_up(config: Config) -> Iterator[None]:
    """Import what the workers of `run_locally` need while the corpus is read.

    Where it is files of a size that workers pay for; else, and on one core, nothing is done.
    """
    sources = corpus.list_sources(config.corpus.paths)
    num_processes = _num_processes(
        [source for source in sources if isinstance(source, Path)],
        num_tasks=config.records.num_shards,
        num_workers=config.records.num_workers,
    )
    with _fork_server(num_processes):
        yield


def _num_processes(texts: Sequence[Path], *, num_tasks: int, num_workers: int) -> int:
    text_bytes = sum(path.stat().st_size for path in texts)
    if text_bytes < 2 * WORKER_BYTES:
        return 1
    return min(num_workers or len(os.sched_getaffinity(0)), num_tasks)


@contextlib.contextmanager
def _fork_server(num_processes: int) -> Iterator[None]:
    """Have one process import TensorFlow, which takes seconds, for all workers to be forked from.

    It starts no operation, so that a fork of it is sound. One that was there before is left alone;
    ours would last as long as this process, and hold its memory: hence the look inside.
    """
    server: Any = vars(multiprocessing.forkserver)["_forkserver"]
    is_there = server._forkserver_pid is not None
    if num_processes <= 1 or is_there:
        yield
        return
    multiprocessing.forkserver.set_forkserver_preload([shards.__name__])
    # Ctrl-C is for this process and the workers, which take it up again in `set_up_worker`.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    try:
        yield
    finally:
        os.kill(server._forkserver_pid, signal.SIGKILL)
        server._stop()


def _run_in_processes(
    tasks: Sequence[shards.ShardTask], *, num_processes: int
) -> Iterator[tuple[shards.ShardTask, records.Shard]]:
    executor = concurrent.futures.ProcessPoolExecutor(
        num_processes,
        mp_context=multiprocessing.get_context("forkserver"),
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
