"""Shards made on this machine: in this process, or in one a core where that pays."""

import concurrent.futures
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from typing import Protocol

from bert_tf.data import records
from bert_tf.data.preparation import shards

WORKER_BYTES = 16 << 20
"""Text for each worker process; less takes no longer here than a process takes to start."""


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
