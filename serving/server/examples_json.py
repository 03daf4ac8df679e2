"""Classify and Regress requests as JSON documents, by TensorFlow Serving's rules.

    {"signature_name": "classify", "context": {"lang": "ko"}, "examples": [{"text": "a"}]}

becomes an `Input` of `tf.Example`s. A feature is a value or a list of values of one kind: strings
and `{"b64": …}` are bytes, whole numbers and booleans int64, other numbers floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow.core.example import example_pb2, feature_pb2
from tensorflow_serving.apis import input_pb2

from serving import errors
from serving.formats import tensors

_KIND_NAMES = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def read_examples(document: Mapping[str, Any], *, method: str) -> input_pb2.Input:
    """The examples of a request; `method` is for the error of one that has none."""
    examples = document.get("examples")
    if "examples" not in document:
        raise errors.InvalidArgumentError(
            f"JSON Value: {tensors.preview_json(document)} When method is {method}, key "
            "'examples' is expected and was not found"
        )
    if not isinstance(examples, list):
        raise errors.InvalidArgumentError(
            f"JSON Value: {tensors.preview_json(document)} Expecting 'examples' value to be an "
            "list/array"
        )
    if not examples:
        raise errors.InvalidArgumentError(
            f"JSON Value: {tensors.preview_json(document)} 'examples' value is an empty array"
        )
    found = input_pb2.Input()
    target = found.example_list
    if "context" in document:
        target = found.example_list_with_context
        _fill_example(document["context"], target.context)
    for value in examples:
        _fill_example(value, target.examples.add())
    return found


def _fill_example(value: Any, example: example_pb2.Example) -> None:
    if not isinstance(value, dict):
        raise errors.InvalidArgumentError(
            f"Example must be JSON object but got JSON {tensors.json_type_name(value)}"
        )
    for name, content in value.items():
        feature = example.features.feature[tensors.encode_text(name).decode()]
        for item in content if isinstance(content, list) else [content]:
            _append_value(item, name, feature)


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
        return "bytes_list", tensors.encode_text(value)
    if tensors.is_base64_json(value):
        return "bytes_list", tensors.decode_base64(value)
    if isinstance(value, bool):
        return "int64_list", int(value)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise errors.InvalidArgumentError(
                f"Feature: {name} has uint64 element. Only int64 is supported."
            )
        return "int64_list", value
    if isinstance(value, float):
        if np.isfinite(value) and abs(value) > float(np.finfo(np.float32).max):
            raise errors.InvalidArgumentError(
                f"Cannot convert JSON value: {tensors.preview_json(value)} to float without loss "
                "of precision."
            )
        return "float_list", value
    raise errors.InvalidArgumentError(
        f"Feature: {name} has element with unexpected JSON type: {tensors.json_type_name(value)}"
    )
