"""JSON documents as TensorFlow Serving reads them, by the parser that it uses: RapidJSON.

So NaN and Inf are numbers, and one that no double can hold is an error. Beside that, what follows
the document is left aside, of a key that stands twice the first one counts, and bytes that are no
UTF-8 stay as they are (here as `surrogateescape` has them).
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import rapidjson

from serving import errors

_MAX_PREVIEW_CHARACTERS = 256
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BASE64 = re.compile(r"([A-Za-z0-9+/]*)([=.]*)")
_BASE64_SPACE = str.maketrans("", "", " \t\n\v\f\r")
# Bytes that are no UTF-8 pass the parser as characters that nobody uses.
_PASSES = {0xDC00 + byte: 0x10FF00 + byte for byte in range(0x80, 0x100)}
_PASSED = {there: here for here, there in _PASSES.items()}


class JsonObject(dict):
    """A JSON object: the first value of every key, and `pairs` with all of them."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs
        if len(self) < len(pairs):
            self.update(reversed(pairs))


class _Decoder(rapidjson.Decoder):
    def start_object(self) -> list[tuple[str, Any]]:
        return []

    def end_object(self, pairs: list[tuple[str, Any]]) -> JsonObject:
        return JsonObject(pairs)


class _DecoderOfBytes(_Decoder):
    def string(self, value: str) -> str:
        return value.translate(_PASSED)

    def end_object(self, pairs: list[tuple[str, Any]]) -> JsonObject:
        return JsonObject([(key.translate(_PASSED), value) for key, value in pairs])


_NUMBERS = rapidjson.NM_NATIVE | rapidjson.NM_NAN
_decode = _Decoder(number_mode=_NUMBERS)
_decode_bytes = _DecoderOfBytes(number_mode=_NUMBERS)


def parse_json_object(body: bytes) -> JsonObject:
    """Parses a request body; raises `InvalidArgumentError`."""
    if not body:
        raise _parse_error("The document is empty")
    body = body.removeprefix(_BYTE_ORDER_MARK)
    decode = _decode
    try:
        body.decode()
    except UnicodeDecodeError:
        decode = _decode_bytes
        body = body.decode(errors="surrogateescape").translate(_PASSES).encode()
    document = _parse(body, decode)
    if not isinstance(document, JsonObject):
        raise errors.InvalidArgumentError(f"JSON Value: {preview_json(document)} Is not object")
    return document


def _parse(body: bytes, decode: _Decoder) -> Any:
    try:
        return decode(body)
    except rapidjson.JSONDecodeError as error:
        found = _ERROR.fullmatch(str(error))
        offset, reason = (int(found[1]), found[2]) if found else (0, str(error))
    except RecursionError as error:
        raise _parse_error("The document is nested too deeply. Send flatter lists.") from error
    if not reason.startswith("The document root must not be followed"):
        raise _parse_error(f"{reason} at offset: {offset}")
    return _parse(body[:offset], decode)


_ERROR = re.compile(r"Parse error at offset (\d+): (.*)", re.DOTALL)


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
        return value.encode(errors="surrogateescape")
    except UnicodeEncodeError as error:  # of a caller's own string; a document has none
        raise errors.InvalidArgumentError(
            f"A string must be Unicode text. Received: {preview_json(value)}, with half a "
            'surrogate pair. Send other bytes as {"b64": ...}.'
        ) from error


def is_base64_json(value: Any) -> bool:
    """Whether a JSON value is the object form of bytes, `{"b64": "..."}`."""
    return (
        isinstance(value, dict)
        and list(value) == ["b64"]
        and isinstance(value["b64"], str)
        and len(getattr(value, "pairs", value)) == 1
    )


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


def _parse_error(reason: str) -> errors.InvalidArgumentError:
    return errors.InvalidArgumentError(f"JSON Parse error: {reason}")
