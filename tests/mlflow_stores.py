"""MLflow databases and servers for tests."""

import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def make_database(path: Path) -> str:
    """MLflow's tables, empty, in a new SQLite file; its tracking address."""
    shutil.copy(Path(_empty_database().name) / "mlflow.db", path)
    return f"sqlite:///{path}"


@functools.cache
def _empty_database() -> tempfile.TemporaryDirectory:
    """Made once a test process: it takes longer than most tests."""
    from mlflow import MlflowClient

    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    MlflowClient(f"sqlite:///{folder.name}/mlflow.db").search_experiments()
    return folder


@contextmanager
def running_server(uri: str, *, artifacts: Path, port: int | None = None) -> Iterator[str]:
    """A real MLflow server's address; at the end it is killed with all its processes."""
    port = port or free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--backend-store-uri", uri]
    command += ["--artifacts-destination", str(artifacts)]
    server = subprocess.Popen(
        command,
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _is_healthy(address), timeout_seconds=60)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_for(is_true: Callable[[], bool], *, timeout_seconds: float = 30.0) -> None:
    end = time.monotonic() + timeout_seconds
    while not is_true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _is_healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
