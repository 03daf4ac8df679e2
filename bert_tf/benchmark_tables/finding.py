"""A folder in, the sets of a benchmark that are in it out, each in a layout it is published in."""

import fnmatch
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from bert_tf.benchmark_tables.sets import Benchmark, BenchmarkSet, Layout
from bert_tf.system.listing import AS_LINES, listed
from bert_tf.system.lookalikes import alike_hint, path_hint

TRAIN, HELD_OUT = "train", "held_out"
MAX_DEPTH = 4
"""Folders below the given one that are looked into."""


@dataclass(frozen=True)
class FoundSet:
    """A set, the layout it is there in, and its files."""

    spec: BenchmarkSet
    layout: Layout
    files: Mapping[str, Path]
    """By part: `train`, `held_out` and the names of those beside."""


def find_sets(
    benchmark: Benchmark, directory: str | Path, *, names: Sequence[str] | None = None
) -> list[FoundSet]:
    """The sets of a folder, in the benchmark's order.

    Args:
        names: those that must be there, of the benchmark and beside it. Default: whichever of the
            benchmark's are there.

    Raises:
        FileNotFoundError: there is no such folder, none of the sets in it, or not all of `names`.
        ValueError: a name is none of a set.
    """
    folder = Path(directory)
    if not folder.is_dir():
        received = "a file" if folder.exists() else "no such folder"
        raise FileNotFoundError(
            f"{folder}: --data must be a folder with the benchmark's files. Received: {received}. "
            f"Give an existing one.{path_hint(folder)}"
        )
    wanted = _wanted(benchmark, names)
    files = _files(folder)
    found = [set_ for spec in wanted if (set_ := _find(spec, files)) is not None]
    there = {it.spec.name for it in found}
    missing = [spec for spec in wanted if spec.name not in there]
    if not found or (names is not None and missing):
        looked_for = listed((_looked_for(spec) for spec in missing), **AS_LINES)
        raise FileNotFoundError(
            f"{folder}: --data must hold {'all of the sets asked for' if names else 'a set'} of "
            f"{benchmark.title}, in the files that it is published in. Received: "
            f"{listed(set_.spec.name for set_ in found) or 'none'}. Looked for, in it and in its "
            f"folders:\n  {looked_for}"
        )
    return found


def _wanted(benchmark: Benchmark, names: Sequence[str] | None) -> Sequence[BenchmarkSet]:
    if names is None:
        return benchmark.sets
    known = {spec.name: spec for spec in (*benchmark.sets, *benchmark.further_sets)}
    for name in names:
        if name not in known:
            raise ValueError(
                f"--sets must name sets of {benchmark.title}: {listed(known, max_items=20)}. "
                f"Received: {name!r}. Name one of these.{alike_hint(name, known)}"
            )
    return [spec for spec in known.values() if spec.name in names]


def _files(folder: Path) -> list[Path]:
    """Those of the folder and of its folders, sorted; hidden ones are left out."""
    found = []
    for place, folders, names in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(it for it in folders if it[0] != "." and depth < MAX_DEPTH)
        found += [Path(place, name) for name in names if name[0] != "."]
    return sorted(found)


def _find(spec: BenchmarkSet, files: Sequence[Path]) -> FoundSet | None:
    """In the first layout that has both parts, or else in the first that has one."""
    partly = None
    for layout in spec.layouts:
        parts = {TRAIN: layout.train, HELD_OUT: layout.held_out, **layout.beside}
        there = {part: path for part, names in parts.items() if (path := _matching(names, files))}
        if TRAIN in there and HELD_OUT in there:
            return FoundSet(spec, layout, there)
        if partly is None and (TRAIN in there or HELD_OUT in there):
            partly = FoundSet(spec, layout, there)
    return partly


def _matching(names: Iterable[str], files: Sequence[Path]) -> Path | None:
    """The file that the first of `names` with any stands for; of several versions the last."""
    for name in names:
        pattern = PurePath(name).parts
        for path in reversed(files):
            end = path.absolute().parts[-len(pattern) :]
            if len(end) == len(pattern) and all(
                fnmatch.fnmatchcase(part.lower(), wanted)
                for part, wanted in zip(end, pattern, strict=True)
            ):
                return path
    return None


def _looked_for(spec: BenchmarkSet) -> str:
    ends = [name for layout in spec.layouts for name in (*layout.train, *layout.held_out)]
    return f"{spec.name}: {', '.join(ends)}"
