"""Runs the local server over a model's folder for the length of a block."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from pipelines.engine.processes import end, python_command, python_path
from serving.client import RestClient
from serving.errors import ServingError

START_TIMEOUT_SECONDS = 120.0
STOP_TIMEOUT_SECONDS = 30.0


@contextlib.contextmanager
def serve(
    model_dir: Path, *, log_dir: Path, timeout_seconds: float = START_TIMEOUT_SECONDS
) -> Iterator[tuple[str, str]]:
    """The local server over `model_dir` (BASE/NAME) in a process: its REST URL, gRPC address.

    Raises:
        RuntimeError: it ended, or did not answer in time; with the end of its log.
    """
    rest_port, grpc_port = _free_ports(2)
    command = [
        *python_command("serving.local_server"),
        f"--model_name={model_dir.name}",
        f"--model_base_path={model_dir}",
        f"--rest_api_port={rest_port}",
        f"--port={grpc_port}",
    ]
    log_path = log_dir / "server.log"
    with log_path.open("wb") as log_file:
        process = subprocess.Popen(
            command,
            env={**os.environ, **python_path()},
            stdout=log_file,
            stderr=subprocess.STDOUT,
        )
    try:
        rest_url = f"http://127.0.0.1:{rest_port}"
        give_up_at = time.monotonic() + timeout_seconds
        _wait_until_available(
            rest_url, model_dir.name, process=process, log_path=log_path, give_up_at=give_up_at
        )
        yield rest_url, f"127.0.0.1:{grpc_port}"
    finally:
        end(process, grace_seconds=STOP_TIMEOUT_SECONDS)


def _wait_until_available(
    rest_url: str, name: str, *, process: subprocess.Popen[bytes], log_path: Path, give_up_at: float
) -> None:
    with RestClient(rest_url, model_name=name) as client:
        while process.poll() is None and time.monotonic() < give_up_at:
            with contextlib.suppress(ServingError):
                return client.wait_until_available(2.0)
    log = log_path.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise RuntimeError(f"{log_path}: the local server must answer. Received: its log ends\n{log}")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
