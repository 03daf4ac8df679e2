"""`manifest.json` beside the shards: what they hold and how they were made."""

from pathlib import Path
from typing import Any, Literal, Self

import pydantic

from bert_tf.config import Section
from bert_tf.data.records.example import SCHEMA_VERSION
from bert_tf.system.files import write_whole
from bert_tf.system.json_files import read_json, validated
from bert_tf.system.lookalikes import path_hint

MANIFEST_FILE = "manifest.json"
_READ_FROM_PLAN: dict[str, dict[str, type]] = {
    "examples": {"max_seq_length": int, "next_sentence": bool},
    "records": {"compression": str},
    "tokenizer": {"vocabulary_sha256": str},
}
Split = Literal["train", "eval"]


class Shard(Section):
    """One finished file."""

    name: str
    split: Split
    num_examples: int
    num_tokens: int
    num_bytes: int
    sha256: str


class Manifest(Section):
    """What a records folder holds. `plan` is all that the records are a function of."""

    schema_version: int
    plan: dict[str, Any]
    num_documents: dict[Split, int]
    shards: tuple[Shard, ...]

    @pydantic.model_validator(mode="after")
    def _plan_says_what_is_read(self) -> Self:
        for section, names in _READ_FROM_PLAN.items():
            values = self.plan.get(section)
            for name, kind in names.items():
                value = values.get(name) if isinstance(values, dict) else None
                if type(value) is not kind:
                    raise ValueError(
                        f"plan.{section}.{name} must be a {kind.__name__}, not {value!r}"
                    )
        return self

    @property
    def max_seq_length(self) -> int:
        """The length that the records were made for."""
        return int(self.plan["examples"]["max_seq_length"])

    @property
    def next_sentence(self) -> bool:
        """Whether the records carry next-sentence labels."""
        return bool(self.plan["examples"]["next_sentence"])

    @property
    def compression(self) -> str:
        """`none` or `gzip`."""
        return str(self.plan["records"]["compression"])

    @property
    def vocabulary_sha256(self) -> str:
        """Of the vocabulary that the ids belong to."""
        return str(self.plan["tokenizer"]["vocabulary_sha256"])

    def num_examples(self, split: str) -> int:
        """Records of a split."""
        return sum(shard.num_examples for shard in self.shards if shard.split == split)

    def num_tokens(self, split: str) -> int:
        """Tokens of a split, [CLS] and [SEP] included."""
        return sum(shard.num_tokens for shard in self.shards if shard.split == split)


def write_manifest(manifest: Section, directory: str | Path) -> Path:
    """Write `manifest.json`, whole or not at all. It is written last: with it, records are done."""
    return write_whole(Path(directory) / MANIFEST_FILE, manifest.model_dump_json(indent=2) + "\n")


def read_manifest(directory: str | Path) -> Manifest:
    """The manifest of a records folder.

    Raises:
        FileNotFoundError: there is none: never prepared, or interrupted.
        ValueError: it is damaged, or of another schema version.
    """
    path = manifest_path(directory)
    what, to_do = "a manifest as `bert-tf prepare` writes it", "Prepare the records again."
    tree = read_json(path, what=what, to_do=to_do)
    if tree.get("kind") == "parallel":
        raise ValueError(
            f"{path}: records must be of a corpus. Received: records of parallel text. Prepare "
            "others with corpus.paths."
        )
    version = tree.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"{path}: records must have schema version {SCHEMA_VERSION}. Received: {version}. "
            "Prepare them again with this version of the package."
        )
    return validated(Manifest, tree, origin=str(path), what=what, to_do=to_do)


def manifest_path(directory: str | Path) -> Path:
    """Its `manifest.json`. Raises FileNotFoundError if there is none."""
    path = Path(directory) / MANIFEST_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: prepared records must have a manifest. Received: no such file. "
            "Run `bert-tf prepare` with this output folder; after an interruption it goes on."
            f"{path_hint(path)}"
        )
    return path
