"""Reads text and JSON: UTF-8, each key once, no number that Python would change without a word.

In: a file, or a text with the name of its origin. Out: its value. What is wrong is a ValueError
with path and line; a reader of other files (YAML, vocabularies) begins with `read_text`.
"""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

MAX_DIGITS = 4300
"""Of a whole number: Python reads no longer one."""
_LONG_NUMBER = re.compile(rf"\d{{{MAX_DIGITS + 1},}}")
_RESTORE = "Restore the file from a copy."

Model = TypeVar("Model")


class JsonError(ValueError):
    """A text that is no JSON, or not such as can be read without loss; has no path yet."""

    def __init__(self, reason: str, lineno: int | None = None) -> None:
        super().__init__(reason)
        self.lineno = lineno


def read_text(path: str | Path, *, what: str = "this file", codec: str = "utf-8-sig") -> str:
    """The text of a file.

    Args:
        what: the file is, in the words of an error: "a vocabulary".
        codec: the default takes a byte order mark away.

    Raises:
        ValueError: it is not UTF-8; with the line.
        FileNotFoundError and other OSErrors: it cannot be read.
    """
    return decode(Path(path).read_bytes(), origin=str(path), what=what, codec=codec)


def decode(
    raw: bytes,
    *,
    origin: str,
    what: str = "this file",
    codec: str = "utf-8-sig",
) -> str:
    """Bytes as text with `\\n` at the ends of lines; see `read_text`."""
    try:
        text = raw.decode(codec)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{origin}:{line}: {what} must be UTF-8. Received: byte 0x{raw[error.start]:02x} at "
            f"position {error.start} ({error.reason}). Save it as UTF-8, or restore it."
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def decode_json(text: str, *, pairs_hook: Callable[[list], Any] | None = None) -> Any:
    """As `json.loads`, and with one kind of error.

    Args:
        pairs_hook: makes an object of its pairs. Default: a dict, in which no key stands twice.

    Raises:
        JsonError: it is no JSON, nested too deeply, or has what Python would read as something
            else: a key twice, a number out of range.
    """
    try:
        return json.loads(
            text, object_pairs_hook=pairs_hook or _distinct, parse_float=_finite_float
        )
    except json.JSONDecodeError as error:
        raise JsonError(str(error), error.lineno) from error
    except RecursionError as error:
        raise JsonError("lists or objects nested too deeply") from error
    except JsonError:
        raise
    except ValueError as error:
        found = _LONG_NUMBER.search(text)
        if found is None:
            raise JsonError(str(error)) from error
        line = text.count("\n", 0, found.start()) + 1
        reason = f"a number of {len(found[0]):,} digits; {MAX_DIGITS:,} can be read"
        raise JsonError(reason, line) from error


def parse_json(
    text: str | bytes,
    *,
    origin: str,
    kind: type = dict,
    what: str = "this file",
    to_do: str = _RESTORE,
    has_lines: bool = True,
) -> Any:
    """The value of a JSON text that came from `origin`, which has no line yet if it `has_lines`.

    Raises:
        ValueError: it is no JSON (see `decode_json`), has half a surrogate pair, or is no `kind`.
    """
    if isinstance(text, bytes):
        text = decode(text, origin=origin, what=what)
    try:
        value = decode_json(text)
        if "\\u" in text:
            _refuse_half_pairs(value)
    except JsonError as error:
        place = f"{origin}:{error.lineno}" if has_lines and error.lineno else origin
        raise ValueError(f"{place}: {what} must be JSON. Received: {error}. {to_do}") from error
    if not isinstance(value, kind):
        wanted = "object" if kind is dict else "list"
        raise ValueError(
            f"{origin}: {what} must be a JSON {wanted}. Received: {type(value).__name__}. {to_do}"
        )
    return value


def read_json(
    path: str | Path, *, kind: type = dict, what: str = "this file", to_do: str = _RESTORE
) -> Any:
    """The value of a JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not UTF-8, no JSON, or no `kind`; see `decode_json`.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: {what} must be there. Received: no such file. {to_do}")
    text = read_text(path, what=what)
    return parse_json(text, origin=str(path), kind=kind, what=what, to_do=to_do)


def read_model(path: str | Path, model: type[Model], *, what: str, to_do: str = _RESTORE) -> Model:
    """A JSON file as a pydantic model or dataclass. Raises as `read_json` and `validated`."""
    tree = read_json(path, what=what, to_do=to_do)
    return validated(model, tree, origin=str(path), what=what, to_do=to_do)


def validated(
    model: type[Model], tree: Any, *, origin: str, what: str, to_do: str = _RESTORE
) -> Model:
    """`tree` as a pydantic model or a dataclass. Raises ValueError with all that is wrong."""
    import pydantic  # not at the top: `bert-tf --help` needs none

    try:
        return pydantic.TypeAdapter(model).validate_python(tree)
    except pydantic.ValidationError as error:
        faults = "; ".join(map(_describe, error.errors()))
        raise ValueError(f"{origin}: not {what}. Received: {faults}. {to_do}") from error


def _describe(fault: Any) -> str:
    key = ".".join(map(str, fault["loc"]))
    message = fault["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{key}: {message}" if key else message


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise JsonError(f"{repeated!r} more than once")
    return fields


def _refuse_half_pairs(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise JsonError(f"half a surrogate pair, {error.object[error.start]!a}") from error


def _finite_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise JsonError(f"the number {text:.40}, which is out of range")
    return value
