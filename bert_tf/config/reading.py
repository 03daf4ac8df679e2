"""YAML and `--set a.b=value` in, a checked tree out; a tree as `config.yaml`."""

import difflib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

import pydantic
import yaml

from bert_tf.config.model import MODEL_SIZES
from bert_tf.config.tree import Config
from bert_tf.system.files import write_whole

CONFIG_FILE = "config.yaml"

Given = TypeVar("Given")


def load_config(path: str | Path | None = None, *, overrides: Iterable[str] = ()) -> Config:
    """Configuration from a YAML file and `a.b=value` overrides (values read as YAML).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a key is unknown (the nearest valid one is named) or a value is wrong.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: a configuration file must exist. Received: no such file. "
                "Give --config an existing YAML file."
            )
        tree = _with_sections(_read_yaml(path))
    for override in overrides:
        _apply_override(tree, override)
        tree = _with_sections(tree)
        if override.startswith("model.size="):
            # Of the numbers that a size stands for, those set after it win.
            for name in MODEL_SIZES["base"]:
                tree["model"].pop(name, None)
    return validate_config(tree, origin=str(path) if path else "configuration")


def unknown_keys(section: type[pydantic.BaseModel], tree: Mapping[str, Any]) -> list[str]:
    """A line for each key of `tree` that is none of the section's, with the nearest that is."""
    return list(_unknown_keys(section, tree, prefix=""))


def validate_config(tree: Mapping[str, Any], *, origin: str = "configuration") -> Config:
    """`tree` as a `Config`. Raises ValueError listing every fault, each with its dotted key."""
    faults = list(_unknown_keys(Config, tree, prefix=""))
    if not faults:
        try:
            return Config.model_validate(tree)
        except pydantic.ValidationError as error:
            faults = [_describe(fault) for fault in error.errors()]
    raise ValueError(f"{origin}: " + "\n".join(faults))


def write_config(config: Config, directory: str | Path) -> Path:
    """Write the resolved tree as `config.yaml` into `directory`, whole or not at all."""
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return write_whole(Path(directory) / CONFIG_FILE, text)


def required(value: Given | None, *, key: str, what: str) -> Given:
    """`value`, or a ValueError that says which key a command needs."""
    if value is None:
        raise ValueError(f"{key} must be set. Received: nothing. Set {key} to {what}.")
    return value


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: a configuration file must be YAML. Received: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ValueError(
            f"{path}: a configuration file must hold sections, `name:` lines. "
            f"Received: {type(tree).__name__}."
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
        branch = tree.setdefault(section, {})
        if not isinstance(branch, dict):
            raise ValueError(
                f"--set {key}: {section} is a value, not a section. Received: {branch!r}."
            )
        tree = branch
    try:
        tree[name] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"--set {key}: the value must be YAML. Received: {text!r}.") from error


def _with_sections(tree: dict[str, Any]) -> dict[str, Any]:
    """A task's name alone as the section that it stands for, to which settings can be added."""
    section = tree.get("finetuning")
    if isinstance(section, dict) and isinstance(section.get("task"), str):
        section["task"] = {"name": section["task"]}
    return tree


def _unknown_keys(
    section: type[pydantic.BaseModel], tree: Mapping[str, Any], *, prefix: str
) -> Iterable[str]:
    takes_others = section.model_config.get("extra") == "allow"
    for key, value in tree.items():
        field = section.model_fields.get(str(key))
        if field is None and takes_others:
            continue
        if field is None:
            near = difflib.get_close_matches(str(key), section.model_fields, n=1, cutoff=0.4)
            hint = (
                f"Did you mean {prefix}{near[0]}?"
                if near
                else "Valid: " + ", ".join(section.model_fields)
            )
            yield f"{prefix}{key} is not a setting. {hint}"
        elif isinstance(value, Mapping) and _is_section(field.annotation):
            yield from _unknown_keys(field.annotation, value, prefix=f"{prefix}{key}.")
        elif isinstance(value, list):
            (of_items, *_) = (*typing.get_args(field.annotation), None)
            for number, item in enumerate(value):
                if isinstance(item, Mapping) and _is_section(of_items):
                    yield from _unknown_keys(of_items, item, prefix=f"{prefix}{key}.{number}.")


def _is_section(annotation: Any) -> TypeGuard[type[pydantic.BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)


def _describe(fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "value_error":
        return f"{key}: {message}"
    return f"{key}: {message}. Received: {fault['input']!r}."
