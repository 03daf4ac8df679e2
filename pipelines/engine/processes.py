"""Processes that the flows start: their PYTHONPATH, and how they are ended."""

import os
import signal
import subprocess
import sys
from pathlib import Path


def python_command(module: str) -> list[str]:
    """What runs a module of ours; a folder `pipelines` where the user stands is not taken for it.

    To be started with `python_path`.
    """
    return [sys.executable, "-P", "-m", module]


def python_path() -> dict[str, str]:
    """The environment variable by which a process finds what this one finds, wherever it runs."""
    paths, here = [Path(path).absolute() for path in sys.path], Path.cwd()
    if here != Path(__file__).parents[2]:  # `python -m` looks there first, wherever that is
        paths.sort(key=lambda path: path == here)
    return {"PYTHONPATH": os.pathsep.join(map(str, paths))}


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
