"""Shards made on a Ray cluster: one task a shard, tried again where its worker dies.

A task reads its spool file and writes its shard by path, so the records folder must be on storage
that every node sees. A shard is a function of its task: the node and the
number of attempts change nothing in it.
"""

import dataclasses
import functools
import os
from collections.abc import Generator
from typing import Any

from bert_tf.data import records
from bert_tf.data.preparation import shards
from bert_tf.data.preparation.engine import FirstPass, Task
from bert_tf.system.ray_cluster import LOCAL, connected, import_ray

MAX_RETRIES = 10
"""Of one shard whose worker or node is lost. An error in the data is not tried again."""


def run_on_ray(
    first_pass: FirstPass, *, num_workers: int, address: str = LOCAL
) -> Generator[tuple[Task, records.Shard], None, None]:
    """Finished shards as they come; the first pass is run before, by this process.

    Args:
        num_workers: tasks at a time; 0 means one a core of the cluster.
        address: of a cluster (`ray://HOST:10001`, `HOST:6379`, `auto`), or `local` to start one
            on this machine's loopback for this call.

    Raises:
        ImportError: Ray is not installed.
        FileNotFoundError: a node does not see the records folder.
        RuntimeError: a shard's worker died `MAX_RETRIES` times.
        ValueError: see the task's `write`.
    """
    ray = import_ray()
    waiting = list(first_pass.run())
    with connected(ray, address=address, num_cpus=num_workers or len(os.sched_getaffinity(0))):
        make = ray.remote(num_cpus=1, max_retries=MAX_RETRIES)(_write_shard)
        limit = num_workers or int(ray.cluster_resources().get("CPU", 1))
        running: dict[Any, Task] = {}
        while waiting or running:
            while waiting and len(running) < limit:
                task = waiting.pop(0)
                running[make.remote(_with_absolute_paths(task))] = task
            (done, *_), _ = ray.wait(list(running), num_returns=1)
            yield running.pop(done), _result(ray, done)


def _with_absolute_paths(task: Task) -> Task:
    return dataclasses.replace(
        task,
        spool_path=task.spool_path.absolute(),
        shard_path=task.shard_path.absolute(),
        tokenizer_dir=task.tokenizer_dir.absolute(),
    )


def _write_shard(task: Task) -> records.Shard:
    """Runs on a worker."""
    if not task.spool_path.is_file():
        raise FileNotFoundError(
            f"{task.spool_path}: the records folder must be on storage that every node sees. "
            f"Received: no such file on {os.uname().nodename}. Give a shared --output-dir, or use "
            "the engine `local`."
        )
    _set_up_once()
    return task.write()


@functools.cache
def _set_up_once() -> None:
    shards.set_up_worker()


def _result(ray: Any, done: Any) -> records.Shard:
    try:
        shard: records.Shard = ray.get(done)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise RuntimeError(
            "a Ray worker must live until its shard is written. Received: "
            f"{type(error).__name__} {MAX_RETRIES + 1} times, most often for want of memory. Run "
            "the same command again, it goes on with the missing shards."
        ) from error
    return shard
