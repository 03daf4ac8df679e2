"""Keys of a tree that are no settings, each with the nearest that is one; empty sections."""

import difflib
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

import pydantic

from bert_tf.system.lookalikes import alike_hint


def unknown_keys(section: type[pydantic.BaseModel], tree: Mapping[str, Any]) -> list[str]:
    """A line for each key of `tree` that is none of the section's, with the nearest that is."""
    return list(_unknown_keys(section, tree, prefix=""))


def without_empty_sections(
    section: type[pydantic.BaseModel], tree: Mapping[str, Any]
) -> dict[str, Any]:
    """`tree` without the sections that have no value (`model:` and nothing below it)."""
    kept: dict[str, Any] = {}
    for key, value in tree.items():
        field = section.model_fields.get(str(key))
        if field is not None and _is_section(field.annotation):
            if value is None:
                continue
            if isinstance(value, Mapping):
                value = without_empty_sections(field.annotation, value)
        kept[key] = value
    return kept


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
            alike = alike_hint(key, section.model_fields)
            yield f"{prefix}{key} is not a setting. {hint}{alike}"
        elif isinstance(value, Mapping) and _is_section(field.annotation):
            yield from _unknown_keys(field.annotation, value, prefix=f"{prefix}{key}.")
        elif isinstance(value, list):
            (of_items, *_) = (*typing.get_args(field.annotation), None)
            for number, item in enumerate(value):
                if isinstance(item, Mapping) and _is_section(of_items):
                    yield from _unknown_keys(of_items, item, prefix=f"{prefix}{key}.{number}.")


def _is_section(annotation: Any) -> TypeGuard[type[pydantic.BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)
