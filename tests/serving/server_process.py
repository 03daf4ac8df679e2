"""The local server as a process of its own, as its users start it."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from serving.client import RestClient

ROOT = Path(__file__).resolve().parents[2]


class ServerProcess(NamedTuple):
    process: subprocess.Popen
    grpc_address: str
    rest_url: str


def find_free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


@contextlib.contextmanager
def serve(
    base_path: Path, *flags: str, before_start: Callable[[], object] | None = None
) -> Iterator[ServerProcess]:
    """A server of the model `demo` that is available, and ends with the context.

    Args:
        base_path: the folder of versions.
        flags: further flags, such as `--enable_batching`.
        before_start: runs in the process before the server does.

    """
    port, rest_port = find_free_ports()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "serving.local_server", "--model_name=demo"),
            *(f"--model_base_path={base_path}", f"--port={port}", f"--rest_api_port={rest_port}"),
            *flags,
        ],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
        preexec_fn=before_start,
    )
    server = ServerProcess(process, f"127.0.0.1:{port}", f"http://127.0.0.1:{rest_port}")
    try:
        with RestClient(server.rest_url, model_name="demo") as client:
            client.wait_until_available(60)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait()
