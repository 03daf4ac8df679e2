"""`manifest.json` of records of parallel text: what its files hold and how they were made."""

from pathlib import Path
from typing import Any, Literal

import pydantic

from bert_tf.config import Section
from bert_tf.data.records.manifest import Shard, Split, manifest_path
from bert_tf.data.records.shard_files import checked_paths
from bert_tf.system.json_files import read_model


class Origin(Section):
    """What pairs come from: see `data.tables.origins.Source`."""

    name: str
    has_lines: bool


class ParallelManifest(Section):
    """What a folder of parallel text holds. `plan` is all that the files are a function of."""

    kind: Literal["parallel"]
    schema_version: Literal[1]
    plan: dict[str, Any]
    num_skipped: pydantic.NonNegativeInt
    """Rows with nothing to read on a side."""
    origins: tuple[Origin, ...]
    shards: tuple[Shard, ...]

    @property
    def made_by(self) -> str:
        """`parallel.made_by`: what sources are."""
        return str(self.plan["parallel"]["made_by"])

    @property
    def vocabulary_sha256(self) -> str:
        """Of the vocabulary that the ids belong to."""
        return str(self.plan["tokenizer"]["vocabulary_sha256"])

    def num_examples(self, split: str) -> int:
        """Pairs of a split."""
        return sum(shard.num_examples for shard in self.shards if shard.split == split)


def read_parallel_manifest(directory: str | Path) -> ParallelManifest:
    """The manifest of a folder of parallel text.

    Raises:
        FileNotFoundError: there is none: never prepared, or interrupted.
        ValueError: it is damaged, or of records of another kind.
    """
    return read_model(
        manifest_path(directory),
        ParallelManifest,
        what="a manifest of parallel text as `bert-tf prepare` writes it",
        to_do="Prepare the records again, with parallel.paths.",
    )


def pair_file_paths(directory: str | Path, split: Split) -> list[Path]:
    """The files of a split, in order, each checked to be as it was written.

    Raises:
        FileNotFoundError, ValueError: see `shard_files.checked_paths`, `read_parallel_manifest`.
    """
    shards = read_parallel_manifest(directory).shards
    return checked_paths(directory, [shard for shard in shards if shard.split == split])
