"""Processes that the flows start: where they find `pipelines`, and how they are ended."""

import os
import signal
import subprocess
from pathlib import Path


def python_path() -> dict[str, str]:
    """The environment variable by which a process finds `pipelines`, wherever it starts."""
    root = str(Path(__file__).resolve().parents[1])
    known = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": root + (os.pathsep + known if known else "")}


def end(
    process: subprocess.Popen[bytes],
    *,
    grace_seconds: float,
    by: signal.Signals = signal.SIGTERM,
) -> None:
    """Ask a process to end, and kill it when the grace is over; nothing where it has ended."""
    if process.poll() is None:
        process.send_signal(by)
        try:
            process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
