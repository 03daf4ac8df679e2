"""Writes files that appear whole or not at all; digests and sizes of what is on disk."""

import contextlib
import fcntl
import glob
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_SECONDS_OF_A_DAY = 24 * 3600


@contextlib.contextmanager
def appearing(path: str | Path) -> Iterator[Path]:
    """A hidden file to write to; without an error it is renamed to `path` at the end.

    It is empty and readable as any new file: some libraries make theirs private.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def hidden_folder(parent: Path, *, prefix: str) -> Iterator[Path]:
    """A new hidden folder of `parent` to write in, readable as any; what is left in it then goes.

    It is locked while this process lives, by which those of processes that died are known: they
    are cleared first.

    Args:
        prefix: of its name, such as `.exporting-`.
    """
    for left_over in parent.glob(f"{glob.escape(prefix)}*"):
        with contextlib.suppress(OSError):
            _remove_dead(left_over)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        descriptor = os.open(folder, os.O_RDONLY)
        with contextlib.suppress(OSError):  # where folders cannot be locked, or it was just removed
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if folder.exists():
            break
        os.close(descriptor)
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _remove_dead(folder: Path) -> None:
    """Where folders cannot be locked, one counts as dead after a day."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_dead = True
    except BlockingIOError:
        is_dead = False
    except OSError:
        is_dead = time.time() - folder.stat().st_mtime > _SECONDS_OF_A_DAY
    try:
        if is_dead:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def write_whole(path: str | Path, content: str | bytes) -> Path:
    """Write `content` (text as UTF-8) to `path`, all of it or nothing."""
    with appearing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(path)


def file_sha256(path: str | Path) -> str:
    """Digest of a file's content, which is not held in memory."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_bytes(directory: Path) -> int:
    """The size of all files below a folder."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
