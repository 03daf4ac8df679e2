"""Classify and Regress requests as JSON documents, by TensorFlow Serving's rules.

    {"signature_name": "classify", "context": {"lang": "ko"}, "examples": [{"text": "a"}]}

becomes an `Input` of `tf.Example`s. A feature is a value or a list of values of one kind: strings
and `{"b64": …}` are bytes, whole numbers and booleans int64, other numbers floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensorflow.core.example import example_pb2, feature_pb2
from tensorflow_serving.apis import input_pb2

from serving import errors
from serving.formats.json_text import (
    JsonObject,
    decode_base64,
    encode_text,
    is_base64_json,
    json_type_name,
    preview_json,
)

_KIND_NAMES = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def read_examples(document: Mapping[str, Any]) -> input_pb2.Input:
    """The examples of a request."""
    found = input_pb2.Input()
    target = found.example_list
    if "context" in document:
        target = found.example_list_with_context
        _fill_example(document["context"], target.context)
    examples = document.get("examples")
    wrong = None
    if "examples" not in document:
        wrong = "When method is classify, key 'examples' is expected and was not found"
    elif not isinstance(examples, list):
        wrong = "Expecting 'examples' value to be an list/array"
    elif not examples:
        wrong = "'examples' value is an empty array"
    if wrong:
        raise errors.InvalidArgumentError(f"JSON Value: {preview_json(document)} {wrong}")
    for value in examples or ():
        _fill_example(value, target.examples.add())
    return found


def _fill_example(value: Any, example: example_pb2.Example) -> None:
    if not isinstance(value, dict):
        raise errors.InvalidArgumentError(
            f"Example must be JSON object but got JSON {json_type_name(value)}"
        )
    # Of a name that stands twice the last value counts here, and the first one elsewhere.
    pairs = value.pairs if isinstance(value, JsonObject) else value.items()
    for name, content in pairs:
        feature = feature_pb2.Feature()
        for item in content if isinstance(content, list) else [content]:
            _append_value(item, name, feature)
        try:
            example.features.feature[name].CopyFrom(feature)
        except UnicodeEncodeError as error:
            raise errors.InvalidArgumentError(
                f"Feature: the name must be UTF-8. Received: {preview_json(name)}"
            ) from error


def _append_value(value: Any, name: str, feature: feature_pb2.Feature) -> None:
    kind, converted = _convert(value, name)
    if feature.WhichOneof("kind") not in (None, kind):
        expected = _KIND_NAMES[feature.WhichOneof("kind")]
        raise errors.InvalidArgumentError(
            f"Unexpected element type in feature: {name} expecting type: {expected}"
        )
    getattr(feature, kind).value.append(converted)


def _convert(value: Any, name: str) -> tuple[str, Any]:
    if isinstance(value, str):
        return "bytes_list", encode_text(value)
    if is_base64_json(value):
        return "bytes_list", decode_base64(value)
    if isinstance(value, bool):
        return "int64_list", int(value)
    if isinstance(value, int):
        if value >= 2**63:
            raise errors.InvalidArgumentError(
                f"Feature: {name} has uint64_t element. Only int64_t is supported."
            )
        return "int64_list", value
    if isinstance(value, float):
        return "float_list", value
    raise errors.InvalidArgumentError(
        f"Feature: {name} has element with unexpected JSON type: {json_type_name(value)}"
    )
