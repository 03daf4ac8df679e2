"""Names in, the files that they stand for out: one rule for corpora and for labelled folders.

A name is a file, a folder (with all in it) or a glob (`**` crosses folders; its case counts).

- A link is followed, whether to a file or to a folder; a folder is entered once, so loops end.
- What is hidden (a name that begins with a dot, or a folder above with one) is left out, unless the
  name that was given has that dot itself. So are files of other kinds and links that lead nowhere.
- A file is found once, under the first of its names, however many it has.

What is left out is counted with its reason.
"""

import fnmatch
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from glob import has_magic
from pathlib import Path
from typing import NamedTuple

HIDDEN, OTHER_KIND, REPEATED, DANGLING, FOLDER = (
    "hidden",
    "of another kind",
    "there under another name",
    "linked to nothing",
    "a folder that a glob matches",
)
"""Why a file, or a folder with all in it, was left out."""


class Rule(NamedTuple):
    """What is looked for, and the errors of names that stand for nothing of it."""

    is_wanted: Callable[[Path], bool]
    """Whether a file is of the kind."""
    not_wanted: Callable[[Path], Exception]
    """Of a file that was named itself and is of another kind."""
    missing: Callable[[Path], Exception]
    """Of a name where nothing is."""
    empty: Callable[[Path, str], Exception]
    """Of a folder or glob without a file of the kind, with what was received."""


class Found(NamedTuple):
    """What names stand for."""

    files: list[Path]
    """Sorted, each once."""
    left_out: dict[str, int]
    """Reason -> number of files and folders."""

    def describe(self) -> str:
        """The reasons, for people; empty where nothing was left out."""
        return describe_left_out(self.left_out)


def find_files(names: Iterable[str | Path], rule: Rule) -> Found:
    """All files of a kind that `names` stand for.

    Raises:
        What `rule` says.
    """
    files: dict[object, Path] = {}
    left_out: dict[str, set[str]] = {}
    for name in sorted({Path(name) for name in names}):
        search = _Search(left_out)
        matches = list(search.files_of(name, rule))
        wanted = [path for path in matches if rule.is_wanted(path)]
        for path in matches:
            if not rule.is_wanted(path):
                search.leave_out(path, OTHER_KIND)
            elif str(files.setdefault(file_key(path), path)) != str(path):
                search.leave_out(path, REPEATED)
        if not wanted:
            counts = describe_left_out(_counts(search.left_out_here))
            raise rule.empty(name, f"none there ({counts})" if counts else "none there")
    return Found(sorted(files.values()), _counts(left_out))


def file_key(path: Path) -> object:
    """The same for all names of a file or folder."""
    status = path.stat()
    # File systems without inodes have zeros for them.
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)


def describe_left_out(left_out: Mapping[str, int]) -> str:
    """`left out: 2 hidden, 1 of another kind`, or nothing."""
    counts = ", ".join(f"{number:,} {reason}" for reason, number in left_out.items() if number)
    return f"left out: {counts}" if counts else ""


def _counts(left_out: Mapping[str, set[str]]) -> dict[str, int]:
    return {reason: len(names) for reason, names in sorted(left_out.items()) if names}


class _Search:
    """The files of one name; what is left out joins that of the others."""

    def __init__(self, left_out: dict[str, set[str]]) -> None:
        self._left_out = left_out
        self.left_out_here: dict[str, set[str]] = {}
        self._entered: set[object] = set()
        self._matched_folders: list[Path] = []

    def leave_out(self, path: Path, reason: str) -> None:
        for left_out in (self._left_out, self.left_out_here):
            left_out.setdefault(reason, set()).add(str(path.absolute()))

    def files_of(self, name: Path, rule: Rule) -> Iterator[Path]:
        if name.is_file():
            if not rule.is_wanted(name):
                raise rule.not_wanted(name)
            yield name
        elif name.is_dir():
            for folder in self._folders(name):
                yield from self._matches(folder, ["*"])
        elif has_magic(str(name)):
            fixed = next(n for n, part in enumerate(name.parts) if has_magic(part))
            base = Path(*name.parts[:fixed])
            if base.is_dir():
                yield from self._matches(base, name.parts[fixed:])
            for folder in self._matched_folders:
                if file_key(folder) not in self._entered:
                    self.leave_out(folder, FOLDER)
        else:
            raise rule.missing(name)

    def _folders(self, top: Path) -> Iterator[Path]:
        """`top` and all folders in it, each once; those that are linked come last."""
        found: set[object] = set()
        real, linked = [top], list[Path]()
        while real or linked:
            folder = real.pop(0) if real else linked.pop(0)
            key = file_key(folder)
            if key in found:
                continue
            found.add(key)
            yield folder
            for path in self._entries(folder):
                if not path.is_dir():
                    continue
                if path.name.startswith("."):
                    self.leave_out(path, HIDDEN)
                else:
                    (linked if path.is_symlink() else real).append(path)

    def _matches(self, folder: Path, parts: Sequence[str]) -> Iterator[Path]:
        """The files in `folder` that the parts of a glob name; each may come several times."""
        part, *rest = parts
        if part == "**":
            for below in self._folders(folder):
                yield from self._matches(below, rest or ["*"])
            return
        if not has_magic(part) and rest:
            if (folder / part).is_dir():
                yield from self._matches(folder / part, rest)
            return
        pattern = re.compile(fnmatch.translate(part))
        for path in self._entries(folder):
            if pattern.fullmatch(path.name) is None:
                continue
            if path.name.startswith(".") and not part.startswith("."):
                self.leave_out(path, HIDDEN)
            elif path.is_dir():
                if rest:
                    yield from self._matches(path, rest)
                else:
                    self._matched_folders.append(path)
            elif not rest and path.is_file():
                yield path
            elif not rest:
                self.leave_out(path, DANGLING if path.is_symlink() else OTHER_KIND)

    def _entries(self, folder: Path) -> list[Path]:
        self._entered.add(file_key(folder))
        return sorted(folder.iterdir())
