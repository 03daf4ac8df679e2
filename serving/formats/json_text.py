"""JSON documents as TensorFlow Serving reads and writes them.

It reads more than the standard has: NaN and Inf are numbers, what follows the document is left
aside, of a key that stands twice the first one counts, and bytes that are no UTF-8 stay as they
are (here as `surrogateescape` has them). It reads less, too: a number that no double can hold.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from serving import errors

_MAX_PREVIEW_CHARACTERS = 256
_SPACE = re.compile(r"[ \t\n\r]*")
# Outside of strings, which the first branch passes over.
_NOT_FINITE = re.compile(r'"(?:[^"\\]|\\.)*"|(-?)(?:NaN|Inf(?:inity)?)', re.DOTALL)
_ESCAPED_SURROGATE = re.compile(r"\\(?:u([dD][89abAB]..)(\\u[dD][c-fC-F]..)?|u([dD][c-fC-F]..)|.)")
_EXPONENT = re.compile(r"(?:\.(\d+))?[eE]\+?(\d+)$")
_BASE64 = re.compile(r"([A-Za-z0-9+/]*)([=.]*)")
_BASE64_SPACE = str.maketrans("", "", " \t\n\v\f\r")


class JsonObject(dict):
    """A JSON object: the first value of every key, and `pairs` with all of them."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs
        if len(self) < len(pairs):
            self.update(reversed(pairs))


def parse_json_object(body: bytes) -> JsonObject:
    """Parses a request body; raises `InvalidArgumentError`."""
    if not body:
        raise _parse_error("The document is empty")
    text = body.decode("utf-8-sig", errors="surrogateescape")
    if re.search(r"\\u[dD]", text):
        _check_surrogates(text)
    try:
        document = _decode(text)
    except json.JSONDecodeError as error:
        raise _parse_error(f"Invalid value. {error.msg} at offset: {error.pos}") from error
    except RecursionError as error:
        raise _parse_error("The document is nested too deeply.") from error
    if not isinstance(document, JsonObject):
        raise errors.InvalidArgumentError(f"JSON Value: {preview_json(document)} Is not object")
    return document


def encode_json(value: Any) -> bytes:
    """Encodes as UTF-8; numbers that are not finite are NaN, Infinity and -Infinity."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        return text.encode("utf-8", errors="surrogateescape")
    except UnicodeEncodeError:
        # Half a surrogate pair, as a name in a path may have it.
        return text.encode("utf-8", errors="backslashreplace")


def preview_json(value: Any) -> str:
    """The value as JSON, cut so that a large request does not come back in its error."""
    text = ""
    for part in json.JSONEncoder().iterencode(value):
        text += part[:_MAX_PREVIEW_CHARACTERS]
        if len(text) > _MAX_PREVIEW_CHARACTERS:
            return text[:_MAX_PREVIEW_CHARACTERS] + "..."
    return text


def encode_text(value: str) -> bytes:
    """The bytes of a string of a document."""
    try:
        return value.encode("utf-8", errors="surrogateescape")
    except UnicodeEncodeError as error:  # of a caller's own string; a document has none
        raise errors.InvalidArgumentError(
            f"A string must be Unicode text. Received: {preview_json(value)}, with half a "
            'surrogate pair. Send other bytes as {"b64": ...}.'
        ) from error


def is_base64_json(value: Any) -> bool:
    """Whether a JSON value is the object form of bytes, `{"b64": "..."}`."""
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def decode_base64(value: dict[str, Any]) -> bytes:
    """The bytes of `{"b64": "..."}`: white space is skipped, and padding may be left out."""
    if not is_base64_json(value):
        raise errors.InvalidArgumentError(
            f"JSON Value: {preview_json(value)} not formatted correctly for base64 data"
        )
    match = _BASE64.fullmatch(value["b64"].translate(_BASE64_SPACE))
    if match is not None:
        characters, padding = match.groups()
        wanted = -len(characters) % 4
        if wanted < 3 and len(padding) in (0, wanted):
            return base64.b64decode(characters + "=" * wanted)
    raise errors.InvalidArgumentError(f"Unable to base64 decode {preview_json(value)}")


def json_type_name(value: Any) -> str:
    """The kind of a JSON value, as error messages name it."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    names = {list: "Array", str: "String", int: "Number", float: "Number"}
    return names.get(type(value), "Object")


def _decode(text: str) -> Any:
    start = _SPACE.match(text).end()  # type: ignore[union-attr]
    try:
        return _DECODER.raw_decode(text, start)[0]
    except json.JSONDecodeError as error:
        # Python's parser has Infinity alone; TensorFlow Serving's also Inf and -NaN.
        if not text[error.pos :].startswith(("Inf", "-Inf", "-NaN")):
            raise
    return _DECODER.raw_decode(_NOT_FINITE.sub(_long_name, text), start)[0]


def _long_name(match: re.Match[str]) -> str:
    found = match[0]
    if found[0] == '"':
        return found
    return "NaN" if found.endswith("NaN") else f"{match[1]}Infinity"


def _read_whole_number(text: str) -> int | float:
    """Beyond 64 bits it is a double, as for RapidJSON; the length first, since Python refuses."""
    if len(text) <= 20:
        value = int(text)
        if -(2**63) <= value < 2**64:
            return value
    return _read_decimal(text)


def _read_decimal(text: str) -> float:
    value = float(text)
    match = _EXPONENT.search(text)
    # RapidJSON looks at the exponent before it looks at the digits.
    if value in (float("inf"), float("-inf")) or (
        match and int(match[2][:9]) > 308 + len(match[1] or "")
    ):
        raise _parse_error("Number too big to be stored in double.")
    return value


_DECODER = json.JSONDecoder(
    object_pairs_hook=JsonObject, parse_int=_read_whole_number, parse_float=_read_decimal
)


def _check_surrogates(text: str) -> None:
    for match in _ESCAPED_SURROGATE.finditer(text):
        high, low, lone_low = match.groups()
        if lone_low or (high and not low):
            raise _parse_error(
                f"The surrogate pair in string is invalid. at offset: {match.start()}. "
                'Send other bytes as {"b64": ...}.'
            )


def _parse_error(reason: str) -> errors.InvalidArgumentError:
    return errors.InvalidArgumentError(f"JSON Parse error: {reason}")
