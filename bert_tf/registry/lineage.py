"""The way back from a registered version to its data, configuration and code, and to do it again.

What is needed lies in the SavedModel itself: `assets.extra/provenance.json` and `training.yaml`.

Errors: as in the package.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bert_tf import registry
from bert_tf.config import TRAINING_CONFIG_FILE, Config, validate_config
from bert_tf.models.description import WEIGHTS_FILE, weights_sha256
from bert_tf.system.files import file_sha256
from bert_tf.system.json_files import parse_json
from bert_tf.system.yaml_files import parse_yaml
from bert_tf.tracking.provenance import (
    PROVENANCE_FILE,
    DataInput,
    records_input,
)


@dataclass(frozen=True)
class Lineage:
    """Where a version comes from."""

    version: registry.RegisteredVersion
    provenance: Mapping[str, Any]
    """See `training.provenance`."""
    config: Config
    """Of the training, resolved."""

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.version.name,
            "version": self.version.version,
            "aliases": list(self.version.aliases),
            "run_id": self.version.run_id,
            "registered_at": self.version.created_at.isoformat(),
            "provenance": dict(self.provenance),
            "config": self.config.model_dump(mode="json", exclude_unset=True),
        }

    def describe(self) -> str:
        """A tree for people: the version, its training, its data, its parents."""
        version = self.version
        aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
        head = (
            f"{version.name} version {version.version}{aliases}, registered "
            f"{version.created_at:%Y-%m-%d %H:%M} UTC, run {version.run_id or 'unknown'}"
        )
        lines = [head, *_describe(self.provenance, indent="  ")]
        if encoder := _encoder_of(version):
            lines.insert(1, "  on the encoder {name} version {version}".format(**encoder))
        return "\n".join(lines)


def trace(*, name: str, alias_or_version: str | int, tracking_uri: str) -> Lineage:
    """Raises ValueError where the version was exported without provenance."""
    version = registry.get_version(
        name=name, alias_or_version=alias_or_version, tracking_uri=tracking_uri
    )
    paths = {needed: f"assets.extra/{needed}" for needed in (PROVENANCE_FILE, TRAINING_CONFIG_FILE)}
    files = registry.read_files(
        name=name,
        alias_or_version=version.version,
        paths=list(paths.values()),
        tracking_uri=tracking_uri,
    )
    for path in paths.values():
        if path not in files:
            raise ValueError(
                f"{name} {alias_or_version}: a version must carry {path} to be traced. "
                "Received: none. Train and export it again."
            )
    origin = f"{name} version {version.version}"
    provenance = parse_json(
        files[paths[PROVENANCE_FILE]], origin=f"{origin}: {paths[PROVENANCE_FILE]}"
    )
    place = f"{origin}: {paths[TRAINING_CONFIG_FILE]}"
    values = parse_yaml(files[paths[TRAINING_CONFIG_FILE]], origin=place, what="a configuration")
    return Lineage(version, provenance, validate_config(values or {}, origin=place))


def with_parent(lineage: Lineage, output_dir: str | Path, *, tracking_uri: str) -> Config:
    """The configuration of the training, with the model that it starts from where it is now.

    That is its folder, if it still has the same weights; else the registered encoder is fetched to
    `output_dir/parent`.

    Raises:
        ValueError: neither has them.
    """
    config, parent = lineage.config, lineage.provenance.get("parent") or {}
    wanted = parent.get("weights_sha256")
    if wanted is None or _weights_in(Path(parent["folder"])) == wanted:
        return config
    registered = parent.get("registered") or _encoder_of(lineage.version)
    if registered:
        folder = registry.fetch_model(
            name=registered["name"],
            alias_or_version=registered["version"],
            output_dir=Path(output_dir) / "parent",
            tracking_uri=tracking_uri,
        )
        if _weights_in(folder) == wanted:
            section = {"pretrain": "pretraining", "finetune": "finetuning"}[
                lineage.provenance["stage"]
            ]
            values = getattr(config, section).model_copy(update={"pretrained": str(folder)})
            return config.model_copy(update={section: values})
    raise ValueError(
        f"{parent['folder']}: the model that the training starts from must be as it was. Received: "
        "no or other weights there, and no registered version that has them."
    )


def _weights_in(folder: Path) -> str | None:
    return weights_sha256(folder) if (folder / WEIGHTS_FILE).is_file() else None


def _encoder_of(version: registry.RegisteredVersion) -> dict[str, Any] | None:
    """The registered encoder that a classifier's version was made on, as a flow noted it."""
    if "encoder.version" not in version.tags:
        return None
    return {key: version.tags[f"encoder.{key}"] for key in ("name", "version")}


def changed_inputs(provenance: Mapping[str, Any]) -> list[str]:
    """What is no longer as it was when the run read it; empty where all of it is."""
    faults, stage = [], provenance["stage"]
    for known in provenance["inputs"]:
        data = DataInput(**known)
        path = Path(data.source)
        is_pattern_of_some = stage == "pretrain" and any(path.parent.glob(path.name))
        if not path.exists() and not is_pattern_of_some:
            faults.append(f"{data.role}: {data.source} is gone")
        elif _now(stage, data) != data.sha256:
            faults.append(f"{data.role}: {data.source} has other content")
    return faults


def _now(stage: str, data: DataInput) -> str:
    if stage == "pretrain" or Path(data.source).is_dir():
        return records_input(data.role, data.source).sha256
    return file_sha256(data.source)


def _describe(provenance: Mapping[str, Any], *, indent: str) -> Iterator[str]:
    stage = provenance.get("stage")
    if stage is None:
        yield f"{indent}a model without provenance: {provenance['folder']}"
        return
    commit = provenance["git_commit"]
    yield f"{indent}{stage} by bert_tf {provenance['package_version']}, " + (
        f"commit {commit}" if commit else "outside of a git repository"
    )
    yield f"{indent}  vocabulary: SHA-256 {provenance['vocabulary_sha256'][:16]}"
    for data in provenance["inputs"]:
        number = data["num_examples"]
        count = f"{number:,} examples, " if number is not None else ""
        yield f"{indent}  {data['role']}: {data['source']} ({count}SHA-256 {data['sha256'][:16]})"
    if provenance.get("parent"):
        registered = provenance["parent"].get("registered")
        which = " {name} version {version}".format(**registered) if registered else ""
        yield f"{indent}  from{which}:"
        yield from _describe(provenance["parent"], indent=indent + "    ")
