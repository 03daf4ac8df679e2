"""Writes files that appear whole or not at all; digests and sizes of what is on disk."""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path


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


def write_whole(path: str | Path, content: str | bytes) -> Path:
    """Write `content` (text as UTF-8) to `path`, all of it or nothing."""
    with appearing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(path)


def remove_left_over(directory: Path) -> None:
    """Remove hidden files of `appearing` in a folder whose process was killed."""
    for path in directory.glob(".*.tmp"):
        match = re.fullmatch(r"\..+\.(\d+)\.tmp", path.name)
        # In a container the one before may have had this process's id.
        if match and path.is_file() and (int(match[1]) == os.getpid() or not _lives(int(match[1]))):
            path.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OverflowError, PermissionError):
        pass
    return True


def file_sha256(path: str | Path) -> str:
    """Digest of a file's content, which is not held in memory."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_bytes(directory: Path) -> int:
    """The size of all files below a folder."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
