"""Locks a folder, so that one process at a time writes it.

The lock is `flock`'s: the system frees it when its process ends, however it ends, so a file that
a killed process left behind excludes no one.
"""

import contextlib
import datetime
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO

LOCK_FILE = ".lock"


@contextlib.contextmanager
def lock_folder(directory: str | Path, *, command: str) -> Iterator[int]:
    """Make `directory` and hold its lock; the lock file is gone at the end.

    Yields the lock's file descriptor: a child process that inherits it keeps the folder locked
    until it ends, too, should this one be killed.

    Raises:
        ValueError: another process holds the lock; the message names the holder and its machine.
    """
    path = Path(directory) / LOCK_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with _take(path, command=command) as file:
        try:
            file.truncate(0)
            file.write(_description(command).encode())
            yield file.fileno()
        finally:
            path.unlink(missing_ok=True)  # Before the lock is free: see `_take`.


def holder_of(directory: str | Path) -> str | None:
    """The holder of the lock of `directory`; None where it is free."""
    try:
        with (Path(directory) / LOCK_FILE).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _holder(file)
    except FileNotFoundError:
        pass
    return None


def refuse_held(directory: str | Path, *, command: str) -> None:
    """Raises ValueError as `lock_folder` would now; takes no lock."""
    holder = holder_of(directory)
    if holder is not None:
        raise ValueError(_refusal(Path(directory), command, holder))


def _description(command: str) -> str:
    since = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return f"`{command}` (process {os.getpid()} on {socket.gethostname()}, since {since})"


def _refusal(directory: Path, command: str, holder: str) -> str:
    return (
        f"{directory}: one process at a time may write a folder. Received: `{command}` while "
        f"{holder} is at work there. Wait for it or stop it, or give another --output-dir."
    )


def _holder(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace") or "another process"


def _take(path: Path, *, command: str) -> IO[bytes]:
    while True:
        file = path.open("a+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The former holder may have removed the file after it was opened here: the lock of
            # a removed file excludes no one.
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        except FileNotFoundError:
            pass
        except BlockingIOError as error:
            holder = _holder(file)
            file.close()
            raise ValueError(_refusal(path.parent, command, holder)) from error
        file.close()
