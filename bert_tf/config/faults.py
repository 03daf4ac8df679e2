"""What pydantic finds wrong with a tree, in the words of the configuration."""

import re
from collections.abc import Mapping
from typing import Any

import pydantic

from bert_tf.system.lookalikes import alike_hint

MAX_CHARACTERS = 200
_LISTS = {"tuple_type", "list_type", "set_type"}
_SECTIONS = {"model_type", "model_attributes_type", "dict_type", "mapping_type"}


def describe_faults(error: pydantic.ValidationError, tree: Mapping[str, Any]) -> list[str]:
    """A line for each setting that is wrong: its key, what it must be, what was received."""
    by_key: dict[str, list[Any]] = {}
    for fault in error.errors(include_url=False):
        by_key.setdefault(_key(fault, tree), []).append(fault)
    return [_describe(key, faults) for key, faults in by_key.items()]


def shown(value: Any) -> str:
    """A value for a message: not longer than a line, and of any number."""
    try:
        text = repr(value)
    except ValueError:  # more digits than Python writes
        text = f"a number of {value.bit_length():,} bits" if isinstance(value, int) else "numbers"
    except RecursionError:
        text = "a value that holds itself"
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"


def _key(fault: Any, tree: Any) -> str:
    """The dotted key; without what pydantic adds for each type that a setting may have."""
    parts, value = [], tree
    for part in fault["loc"]:
        is_there = (isinstance(value, Mapping) and part in value) or (
            isinstance(value, list | tuple) and isinstance(part, int) and part < len(value)
        )
        if not is_there:
            if fault["type"] == "missing":
                parts.append(str(part))
            break
        parts.append(str(part))
        value = value[part]
    return ".".join(parts)


def _describe(key: str, faults: list[Any]) -> str:
    if faults[0]["type"] == "value_error":
        return f"{key}: {faults[0]['msg'].removeprefix('Value error, ')}"
    if faults[0]["type"] == "missing":
        return f"{key}: must be set. Received: nothing. Set it."
    wanted = " or ".join(dict.fromkeys(_wanted(fault) for fault in faults))
    value = faults[0]["input"]
    to_do = ""
    if any(fault["type"] in _LISTS for fault in faults):
        item = value if isinstance(value, str) and len(value) < MAX_CHARACTERS else "…"
        to_do = f" Write [{item}], in a shell --set '{key}=[{item}]'."
    choices = re.findall("'([^']*)'", wanted) if faults[0]["type"] == "literal_error" else []
    hint = alike_hint(value, choices) if choices else ""
    return f"{key}: must be {wanted}. Received: {shown(value)}.{to_do}{hint}"


def _wanted(fault: Any) -> str:
    kind = fault["type"]
    if kind in _LISTS:
        return "a list"
    if kind in _SECTIONS:
        return "a section, `name: value` lines"
    if kind == "string_type":
        return "a text (in quotes where it looks like something else)"
    if kind == "invalid_key":
        return "a section with names for keys"
    message = str(fault["msg"])
    return message.removeprefix("Input should be ")
