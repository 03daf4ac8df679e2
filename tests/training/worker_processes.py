"""`bert-tf` commands started as the workers of one cluster, on loopback, for tests."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence


def start_workers(
    arguments: Sequence[str], *, more: Sequence[Sequence[str]] = ((), ())
) -> list[subprocess.Popen[str]]:
    """One process a worker, each with its TF_CONFIG; the first is the chief.

    `more` has what each of them is given besides `arguments`.
    """
    num_workers = len(more)
    with_sockets = [socket.socket() for _ in range(num_workers)]
    for opened in with_sockets:
        opened.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{opened.getsockname()[1]}" for opened in with_sockets]
    for opened in with_sockets:
        opened.close()
    return [
        subprocess.Popen(
            [sys.executable, "-m", "bert_tf.cli", *arguments, *more[index]],
            env=os.environ | {"TF_CONFIG": tf_config(addresses, index), "CUDA_VISIBLE_DEVICES": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(num_workers)
    ]


def tf_config(addresses: Sequence[str], index: int) -> str:
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": list(addresses)}, "task": task})


def finish(
    processes: Sequence[subprocess.Popen[str]], *, seconds: float = 240
) -> list[tuple[int, str, str]]:
    """Exit code, standard output and error of each; none is left running."""
    try:
        return [
            (process.returncode, out, err)
            for process in processes
            for out, err in [process.communicate(timeout=seconds)]
        ]
    finally:
        for process in processes:
            process.kill()
            process.wait()
