"""Writes where a model comes from: `provenance.json` in its folder, with its parents' inside.

    stage, package version, git commit, vocabulary
    inputs: of each data set its source, digest and number of examples
    parent: the same of the model it was made from

An export carries it along, so the way back can be read from a served version alone. A model that is
trained on again every night has more parents than a file can hold: the nearest hundred stay.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bert_tf.models.description import weights_sha256
from bert_tf.system.environment import git_commit
from bert_tf.system.files import file_sha256, write_whole
from bert_tf.system.json_files import read_json
from bert_tf.system.version import __version__

if TYPE_CHECKING:
    from bert_tf.data.tables.table import Table

PROVENANCE_FILE = "provenance.json"
HELD_OUT_ROLE = "eval"
"""Of data that a run is measured on, beside that which it is trained on."""
ORIGIN_FILE = "registry.json"
"""In a model folder that came from the registry: which version of what it is."""
MAX_PARENTS = 100


@dataclass(frozen=True)
class DataInput:
    """A data set that a run read."""

    role: str
    """`train`, `HELD_OUT_ROLE` or the name of a pretraining phase."""
    source: str
    """Absolute path, `hub:` name, or `memory`."""
    sha256: str
    """Of the file; of records, of their manifest, which has the digest of every shard."""
    num_examples: int | None = None


def table_inputs(role: str, source: Any, table: "Table") -> list[DataInput]:
    """What `read_table` read as `table`: each file, or the content of what is no file."""
    from bert_tf.data.tables.reading import named_files

    files = named_files(source)
    if files:
        # Also of two files that are side by side each has as many as the table.
        of_all = len(table) if len(table.origins.sources) == 1 else None
        return [DataInput(role, str(path.absolute()), file_sha256(path), of_all) for path in files]
    name = source if isinstance(source, str) else "memory"
    columns = {column: list(table.columns[column]) for column in table.names}
    content = json.dumps(columns, ensure_ascii=False, default=str)
    return [DataInput(role, name, _digest([content]), len(table))]


def records_input(role: str, path: str | Path) -> DataInput:
    """Prepared records, of a corpus or of pairs, or static ones."""
    from bert_tf.data import records
    from bert_tf.data.batches.google_records import is_static
    from bert_tf.data.records.parallel_manifest import read_parallel_manifest

    source = str(Path(path).absolute())
    if is_static(path):
        # They have no manifest and may be hundreds of gigabytes: names and sizes.
        return DataInput(role, source, _digest(_names_and_sizes(Path(path))))
    kind = read_json(records.manifest_path(path), what="a manifest").get("kind")
    manifest = read_parallel_manifest(path) if kind == "parallel" else records.read_manifest(path)
    return DataInput(
        role, source, _digest([manifest.model_dump_json()]), manifest.num_examples("train")
    )


def write_provenance(
    output_dir: str | Path,
    *,
    stage: str,
    inputs: Sequence[DataInput],
    vocabulary_sha256: str,
    parent: str | Path | None = None,
) -> dict[str, Any]:
    """Write `provenance.json`; `parent` is the folder of the model that this one starts from."""
    provenance = {
        "stage": stage,
        "package_version": __version__,
        "git_commit": git_commit(),
        "vocabulary_sha256": vocabulary_sha256,
        "inputs": [asdict(data) for data in inputs],
        "parent": None if parent is None else _of_parent(Path(parent)),
    }
    write_whole(Path(output_dir) / PROVENANCE_FILE, json.dumps(provenance, indent=2) + "\n")
    return provenance


def read_provenance(folder: str | Path) -> dict[str, Any] | None:
    """What `write_provenance` wrote; None where there is none."""
    return _read(Path(folder) / PROVENANCE_FILE)


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    content: dict[str, Any] = read_json(path, what="a note of where a model comes from")
    return content


def _of_parent(folder: Path) -> dict[str, Any]:
    """Its own provenance, or what can be said of a folder without, such as a converted one."""
    provenance = _without_farthest(read_provenance(folder)) or {"stage": None}
    origin = _read(folder / ORIGIN_FILE)
    registered = origin and {key: origin[key] for key in ("name", "version")}
    return provenance | {
        "folder": str(folder.absolute()),
        "weights_sha256": weights_sha256(folder),
        "registered": registered,
    }


def _without_farthest(provenance: dict[str, Any] | None) -> dict[str, Any] | None:
    """Of a parent beyond the nearest hundred stays what is said of a folder without provenance."""
    child = provenance
    for _ in range(MAX_PARENTS - 2):
        child = child and child.get("parent")
    if child and (last := child.get("parent")):
        names = ("folder", "weights_sha256", "registered")
        child["parent"] = {"stage": None, **{name: last.get(name) for name in names}}
    return provenance


def _names_and_sizes(path: Path) -> Iterable[str]:
    files = path.rglob("*") if path.is_dir() else path.parent.glob(path.name)
    return (f"{file.name} {file.stat().st_size}" for file in sorted(files) if file.is_file())


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
