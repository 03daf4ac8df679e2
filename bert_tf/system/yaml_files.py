"""Reads YAML: every key once, and every fault with path and line."""

import re
from pathlib import Path
from typing import Any, NoReturn

import yaml

from bert_tf.system.json_files import MAX_DIGITS, decode, read_text

_MEND = "Mend that line."
_MERGE = "tag:yaml.org,2002:merge"
_INT_TAG = "tag:yaml.org,2002:int"
_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+)$")
"""Whole numbers without those of YAML 1.1 alone: 1:30 is no 90, and 010 no 8."""
_OTHER_FAULTS = (ValueError, KeyError, AttributeError, TypeError, IndexError, OverflowError)
"""What PyYAML lets through: a date with a 13th month, a tag that its value does not fit."""


class YamlError(ValueError):
    """A text that is no YAML; has no path yet."""

    def __init__(self, reason: str, lineno: int | None = None) -> None:
        super().__init__(reason)
        self.lineno = lineno


def read_yaml(path: str | Path, *, what: str, to_do: str = _MEND) -> Any:
    """The value of a YAML file; None of an empty one.

    Raises:
        ValueError: it is not UTF-8 or no YAML, or a key stands twice; with the line.
    """
    text = read_text(path, what=what, codec="utf-8-sig")
    return parse_yaml(text, origin=str(path), what=what, to_do=to_do)


def parse_yaml(text: str | bytes, *, origin: str, what: str, to_do: str = _MEND) -> Any:
    """The value of a YAML text that came from `origin`; see `read_yaml`."""
    if isinstance(text, bytes):
        text = decode(text, origin=origin, what=what)
    try:
        return decode_yaml(text)
    except YamlError as error:
        place = origin if error.lineno is None else f"{origin}:{error.lineno}"
        raise ValueError(f"{place}: {what} must be YAML. Received: {error}. {to_do}") from error


def decode_yaml(text: str) -> Any:
    """The value of a YAML text. Raises `YamlError`."""
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(filter(None, (error.context, error.problem)))
        raise YamlError(reason, mark.line + 1 if mark else None) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        reason = f"the character #x{error.character:04x}, which must not be there"
        raise YamlError(reason, line) from error
    except RecursionError as error:
        raise YamlError("lists or sections nested too deeply") from error


class _Loader(yaml.SafeLoader):
    """The safe loader, which would keep the last of two equal keys; every fault has its line."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if isinstance(node, yaml.ScalarNode) and "\\u" in ascii(node.value):
            _refuse_half_pair(node)
        try:
            return super().construct_object(node, deep=deep)
        except yaml.YAMLError:
            raise
        except _OTHER_FAULTS as error:
            _refuse(_unreadable(node, error), node)

    def construct_document(self, node: yaml.Node) -> Any:
        # Before anything is made of the nodes: `<<` puts the keys of others among a node's own.
        self._check(node, above=set(), checked=set())
        return super().construct_document(node)

    def _check(self, node: yaml.Node, *, above: set[int], checked: set[int]) -> None:
        """Refuse a key that stands twice in a mapping, and a value that holds itself."""
        if id(node) in above:
            _refuse("a value that holds itself", node)
        if id(node) in checked or not isinstance(node, yaml.CollectionNode):
            return
        below: list[yaml.Node] = node.value
        if isinstance(node, yaml.MappingNode):
            self._refuse_repeated_keys(node)
            below = [value_node for _, value_node in node.value]
        for child in below:
            self._check(child, above=above | {id(node)}, checked=checked)
        checked.add(id(node))

    def _refuse_repeated_keys(self, node: yaml.MappingNode) -> None:
        first_line: dict[Any, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node)
            if key in first_line:
                _refuse(f"{key!r} again, which is in line {first_line[key]} already", key_node)
            first_line[key] = key_node.start_mark.line + 1


_Loader.yaml_implicit_resolvers = {
    first: [(tag, _INT if tag == _INT_TAG else pattern) for tag, pattern in resolvers]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _refuse_half_pair(node: yaml.ScalarNode) -> None:
    try:
        node.value.encode()
    except UnicodeEncodeError as error:
        _refuse(f"half a surrogate pair, {error.object[error.start]!a}", node)


def _refuse(reason: str, node: yaml.Node) -> NoReturn:
    raise yaml.constructor.ConstructorError(None, None, reason, node.start_mark)


def _unreadable(node: yaml.Node, error: Exception) -> str:
    value = str(node.value)
    if value.lstrip("+-").isdigit() and len(value) > MAX_DIGITS:
        return f"a number of {len(value):,} digits; {MAX_DIGITS:,} can be read"
    return f"{value[:80]!r}, which cannot be read as {node.tag.rpartition(':')[2]} ({error})"
