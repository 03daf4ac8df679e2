"""Finds `BASE/VERSION/` directories, chooses the wanted ones, and notices changed ones."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from serving.server.model_config import ModelSettings

_VERSION_PATTERN = re.compile(r"[0-9]+", re.ASCII)


def find_versions(base_path: Path) -> dict[int, Path]:
    """The version directories on disk, by number; raises `OSError` when it cannot be read."""
    entries = sorted(base_path.iterdir(), key=lambda path: (len(path.name), path.name))
    found: dict[int, Path] = {}
    for entry in entries:
        if _VERSION_PATTERN.fullmatch(entry.name) and _may_be_directory(entry):
            # The shorter of "7" and "007" comes first and wins.
            found.setdefault(int(entry.name), entry)
    return found


def _may_be_directory(path: Path) -> bool:
    """False only if it surely is none.

    One that cannot be looked at counts: loading it tells why, and if it is loaded, it stays.
    """
    try:
        return path.is_dir()
    except OSError:
        return True


def choose_versions(found: list[int], settings: ModelSettings) -> list[int]:
    """Applies the version policy; `found` is sorted."""
    if settings.specific_versions:
        return [version for version in found if version in settings.specific_versions]
    if settings.serves_all_versions:
        return found
    return found[-settings.num_latest_versions :]


def fingerprint_of(directory: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and change times of the files, to see whether a broken version changed.

    The times are those of the inode: a change of access rights may mend a version, too.
    """
    paths, files = [directory], []
    with contextlib.suppress(OSError):
        paths += sorted(directory.rglob("*"))
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            files.append((str(path.relative_to(directory)), status.st_size, status.st_ctime_ns))
    return tuple(files)
