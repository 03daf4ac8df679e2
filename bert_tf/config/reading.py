"""YAML and `--set a.b=value` in, a checked tree out; a tree as `config.yaml`."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from bert_tf.config.faults import describe_faults, shown
from bert_tf.config.keys import unknown_keys, without_empty_sections
from bert_tf.config.model import MODEL_SIZES
from bert_tf.config.tree import Config
from bert_tf.system.files import write_whole
from bert_tf.system.lookalikes import path_hint
from bert_tf.system.yaml_files import YamlError, decode_yaml, read_yaml

CONFIG_FILE = "config.yaml"
TRAINING_CONFIG_FILE = "training.yaml"
"""In an export: the `config.yaml` of the model's training."""
_COLUMNS = ("text_field", "text_pair_field", "label_field")

Given = TypeVar("Given")


def load_config(path: str | Path | None = None, *, overrides: Iterable[str] = ()) -> Config:
    """Configuration from a YAML file and `a.b=value` overrides (values read as YAML).

    Raises:
        FileNotFoundError: there is no such file, or it is a folder.
        ValueError: a key is unknown (the nearest valid one is named) or a value is wrong.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        path = Path(path)
        if not path.is_file():
            received = "a folder" if path.is_dir() else "no such file"
            raise FileNotFoundError(
                f"{path}: a configuration file must exist. Received: {received}. "
                f"Give --config an existing YAML file.{path_hint(path)}"
            )
        tree = _with_sections(_read_yaml(path))
    for override in overrides:
        before = _size(tree)
        _apply_override(tree, override)
        tree = _with_sections(tree)
        if override.startswith("model.size="):
            # Of what this size and the one before it stand for, those set after it win.
            for name in MODEL_SIZES[before].keys() | MODEL_SIZES[_size(tree)].keys():
                tree["model"].pop(name, None)
    return validate_config(tree, origin=str(path) if path else "configuration")


def _size(tree: Mapping[str, Any]) -> str:
    """The size of the section `model`; base where there is none, or none that is known."""
    section = tree.get("model")
    size = section.get("size") if isinstance(section, dict) else None
    return size if isinstance(size, str) and size in MODEL_SIZES else "base"


def read_overrides(overrides: Iterable[str]) -> dict[str, Any]:
    """A tree of `a.b=value` alone, its keys unchecked.

    Raises:
        ValueError: one is no `KEY=VALUE`, or the value no YAML.
    """
    tree: dict[str, Any] = {}
    for override in overrides:
        _apply_override(tree, override)
    return tree


def validate_config(tree: Mapping[str, Any], *, origin: str = "configuration") -> Config:
    """`tree` as a `Config`. Raises ValueError listing every fault, each with its dotted key.

    A section without a value is one left out.
    """
    tree = without_empty_sections(Config, tree)
    faults = unknown_keys(Config, tree)
    if not faults:
        try:
            return Config.model_validate(tree)
        except pydantic.ValidationError as error:
            faults = describe_faults(error, tree)
    raise ValueError(f"{origin}: " + "\n".join(faults))


def write_config(config: Config, directory: str | Path) -> Path:
    """Write the resolved tree as `config.yaml` into `directory`, whole or not at all."""
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return write_whole(Path(directory) / CONFIG_FILE, text)


def read_columns(path: Path) -> dict[str, str]:
    """The columns that a written configuration has in `finetuning`; none where there is no file."""
    section = _read_yaml(path).get("finetuning") if path.is_file() else None
    section = section if isinstance(section, dict) else {}
    return {name: section[name] for name in _COLUMNS if section.get(name) is not None}


def required(value: Given | None, *, key: str, what: str) -> Given:
    """`value`, or a ValueError that says which key a command needs."""
    if value is None:
        raise ValueError(f"{key} must be set. Received: nothing. Set {key} to {what}.")
    return value


def _read_yaml(path: Path) -> dict[str, Any]:
    tree = read_yaml(path, what="a configuration file")
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ValueError(
            f"{path}: a configuration file must hold sections, `name:` lines. "
            f"Received: {type(tree).__name__}. Begin it with a section, such as `model:`."
        )
    return tree


def _apply_override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ValueError(
            f"--set must be KEY=VALUE, such as model.size=mini. Received: {override!r}."
        )
    *sections, name = key.strip().split(".")
    for section in sections:
        branch = tree.get(section)
        if branch is None:  # left out, or there without a value
            branch = tree[section] = {}
        if not isinstance(branch, dict):
            raise ValueError(
                f"--set {key}: {section} must be a section. Received: the value "
                f"{shown(branch)}. Set {section} itself, or make it a section in the file."
            )
        tree = branch
    plain = text.strip()
    if plain[:1] in ("#", "&") or (" #" in plain and plain[:1] not in ("'", '"', "[", "{")):
        raise ValueError(
            f"--set {key}: a value with # or & must stand in quotes. Received: {shown(text)}. "
            f"Write --set '{key}=\"{plain}\"'."
        )
    try:
        tree[name] = "-" if plain == "-" else decode_yaml(text)
    except YamlError as error:
        raise ValueError(
            f"--set {key}: the value must be YAML. Received: {shown(text)} ({error}). Put quotes "
            f"around it: --set '{key}=\"…\"'."
        ) from error


def _with_sections(tree: dict[str, Any]) -> dict[str, Any]:
    """A task's name alone as the section that it stands for, to which settings can be added."""
    section = tree.get("finetuning")
    if isinstance(section, dict) and isinstance(section.get("task"), str):
        section["task"] = {"name": section["task"]}
    return tree


def merged(
    tree: Mapping[str, Any], changes: Mapping[str, Any], *, whole: Collection[str] = ()
) -> dict[str, Any]:
    """`tree` with `changes`, section by section; sections named in `whole` are replaced."""
    result = dict(tree)
    for name, value in changes.items():
        before = result.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping) and name not in whole:
            value = merged(before, value, whole=whole)
        result[name] = value
    return result
