"""Processes that the flows start: their PYTHONPATH, and how they are ended."""

import os
import signal
import subprocess
import sys


def python_path() -> dict[str, str]:
    """The environment variable by which a process finds what this one finds."""
    return {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


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
