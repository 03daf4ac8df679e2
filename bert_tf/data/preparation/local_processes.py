"""Shards made on this machine: in this process, or in one a core where that pays.

Worker processes begin while the corpus is spooled: they follow the first spool files as these grow.
"""

import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import signal
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

from bert_tf.data import records
from bert_tf.data.preparation import shards
from bert_tf.data.preparation.engine import FirstPass, Task

WORKER_BYTES = 32 << 20
"""With twice as much text, two worker processes win back the seconds that it takes to start any."""
WORKER_IMPORTS = "bert_tf.data.preparation.worker_imports"

Futures = dict[concurrent.futures.Future[records.Shard], Task]


def run_locally(
    first_pass: FirstPass, *, num_workers: int
) -> Generator[tuple[Task, records.Shard], None, None]:
    """Finished shards as they come, made here or in worker processes.

    Raises:
        RuntimeError: a worker process was killed.
        ValueError: see the task's `write`.
    """
    sure_tasks = first_pass.sure_tasks
    num_processes = _num_processes(
        first_pass.text_bytes, num_tasks=len(sure_tasks), num_workers=num_workers
    )
    if num_processes > 1:
        # Submitting waits until workers can be forked: the first pass does not wait for that.
        with _pool(num_processes) as pool, concurrent.futures.ThreadPoolExecutor(1) as starter:
            starting = starter.submit(_submit, pool, sure_tasks, is_growing=True)
            tasks = first_pass.run()
            yield from _results(pool, starting.result(), tasks, num_processes=num_processes)
        return
    tasks = first_pass.run()
    num_processes = _num_processes(
        sum(task.spool_path.stat().st_size for task in tasks),
        num_tasks=len(tasks),
        num_workers=num_workers,
    )
    if num_processes > 1:
        with _pool(num_processes) as pool:
            yield from _results(pool, {}, tasks, num_processes=num_processes)
        return
    for task in tasks:
        yield task, task.write()


def _num_processes(text_bytes: int, *, num_tasks: int, num_workers: int) -> int:
    if text_bytes < 2 * WORKER_BYTES:
        return 1
    return min(num_workers or len(os.sched_getaffinity(0)), num_tasks)


@contextlib.contextmanager
def _pool(num_processes: int) -> Iterator[concurrent.futures.ProcessPoolExecutor]:
    """Worker processes that live as long as the block; after an error in it they are killed.

    No shard that they are at would count then, nor those that the pool keeps ready for them.
    """
    with _fork_server():
        executor = concurrent.futures.ProcessPoolExecutor(
            num_processes,
            mp_context=multiprocessing.get_context("forkserver"),
            initializer=shards.set_up_worker,
        )
        try:
            yield executor
        except BaseException as error:
            for process in list(executor._processes.values()):
                process.kill()
            if not isinstance(error, concurrent.futures.process.BrokenProcessPool):
                raise
            raise RuntimeError(
                "a worker process must live until its shard is written. Received: one was killed, "
                "most often for want of memory. Run the same command again, it goes on with the "
                "missing shards; lower records.num_workers if it happens again."
            ) from error
        finally:
            executor.shutdown(cancel_futures=True)


def _submit(
    pool: concurrent.futures.ProcessPoolExecutor,
    tasks: Iterable[Task],
    *,
    is_growing: bool = False,
) -> Futures:
    return {pool.submit(task.write, is_growing=is_growing): task for task in tasks}


def _results(
    pool: concurrent.futures.ProcessPoolExecutor,
    futures: Futures,
    tasks: Sequence[Task],
    *,
    num_processes: int,
) -> Iterator[tuple[Task, records.Shard]]:
    """All `tasks` with their shards; `futures` are of those that workers are at already.

    If one is over when each worker has made as many as the others, which would all wait for it
    at the end, it is made here: of eight shards and one of held-out documents, the latter.
    """
    submitted = set(futures.values())
    waiting = [task for task in tasks if task not in submitted]
    is_one_over = bool(waiting) and len(tasks) % num_processes == 1
    made_here = [waiting.pop()] if is_one_over else []
    futures |= _submit(pool, waiting)
    for task in made_here:
        yield task, task.write()
    for future in concurrent.futures.as_completed(futures):
        yield futures[future], future.result()


@contextlib.contextmanager
def _fork_server() -> Iterator[None]:
    """Have one process import TensorFlow, which takes seconds, for all workers to be forked from.

    It starts no operation, so that a fork of it is sound. One that was there before is left alone;
    ours would last as long as this process, and hold its memory: hence the look inside.
    """
    server: Any = vars(multiprocessing.forkserver)["_forkserver"]
    is_there = server._forkserver_pid is not None
    if is_there:
        yield
        return
    multiprocessing.forkserver.set_forkserver_preload([WORKER_IMPORTS])
    # Ctrl-C is for this process and the workers, which take it up again in `set_up_worker`. What
    # `ensure_running` would start before the server would unblock it.
    multiprocessing.resource_tracker.ensure_running()
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
