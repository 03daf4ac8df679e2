"""Finds `BASE/VERSION/` directories, chooses the wanted ones, and notices changed ones."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from serving.server.model_config import ModelSettings

_VERSION_PATTERN = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)
_MAX_VERSION = 2**63 - 1
_MAX_NAME_LENGTH = 255


def find_versions(base_path: Path) -> dict[int, Path]:
    """What may be versions, by number; raises `OSError` when the disk cannot be read.

    As in TensorFlow Serving it is whatever is named like a whole number of 64 bits: loading one
    tells whether it is a version. Of 7 and 007 the last in the order of names counts.
    """
    found: dict[int, Path] = {}
    for entry in sorted(base_path.iterdir()):
        # The length first: Python refuses to convert thousands of digits.
        if len(entry.name) <= _MAX_NAME_LENGTH and _VERSION_PATTERN.fullmatch(entry.name):
            version = int(entry.name)
            if -_MAX_VERSION <= version <= _MAX_VERSION:
                found[version] = entry
    return found


def choose_versions(found: list[int], settings: ModelSettings) -> list[int]:
    """Applies the version policy; `found` is sorted."""
    if settings.specific_versions is not None:
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
