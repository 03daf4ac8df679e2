"""Predict requests and answers as JSON documents, by TensorFlow Serving's rules.

A predict request in row form, for a signature with the inputs `text` and `text_pair`:

    {"instances": [{"text": "a", "text_pair": "b"}, {"text": "c", "text_pair": "d"}]}
    -> {"predictions": [{"label": "x", "score": 0.9}, {"label": "y", "score": 0.8}]}

and the same in column form:

    {"inputs": {"text": ["a", "c"], "text_pair": ["b", "d"]}}
    -> {"outputs": {"label": ["x", "y"], "score": [0.9, 0.8]}}

A single input or output drops its name.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2

from serving import errors
from serving.formats import json_tensors
from serving.formats.json_text import is_base64_json, preview_json
from serving.formats.tensor_protos import write_shape


def read_signature_name(document: Mapping[str, Any]) -> str:
    """Returns the request's `signature_name`, empty for the default one."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise errors.InvalidArgumentError(
            f"JSON Value: {preview_json(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name


def read_inputs(
    document: Mapping[str, Any], signature: meta_graph_pb2.SignatureDef
) -> tuple[dict[str, np.ndarray], bool]:
    """Reads the arrays of a predict request.

    Returns them by name, and whether the request was in row form (`instances`).
    """
    if "instances" in document and "inputs" in document:
        raise errors.InvalidArgumentError(
            f"JSON Value: {preview_json(document)} Not formatted correctly expecting only "
            "one of 'inputs' or 'instances' keys to exist"
        )
    if "instances" in document:
        return _read_rows(document["instances"], signature), True
    if "inputs" in document:
        return _read_columns(document["inputs"], signature), False
    raise errors.InvalidArgumentError("Missing 'inputs' or 'instances' key")


def write_outputs(outputs: Mapping[str, np.ndarray], *, is_row_form: bool) -> str:
    """The JSON of an answer (encode it with `surrogateescape`)."""
    if is_row_form:
        return f'{{"predictions": [{", ".join(_write_rows(outputs))}]}}'
    columns = {
        name: json_tensors.array_to_json(array, name=name) for name, array in outputs.items()
    }
    return f'{{"outputs": {_object_or_only_value(columns)}}}'


def _read_rows(instances: Any, signature: meta_graph_pb2.SignatureDef) -> dict[str, np.ndarray]:
    if not isinstance(instances, list):
        raise errors.InvalidArgumentError(
            f"JSON Value: {preview_json(instances)} Expecting 'instances' to be an list/array"
        )
    if not instances:
        raise errors.InvalidArgumentError("JSON Value: [] No values in 'instances' array")
    names = sorted(signature.inputs)
    has_names = _is_named(instances[0])
    if not has_names and len(names) > 1:
        raise errors.InvalidArgumentError(
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            f"required as per tensorinfo_map. Inputs: {', '.join(names)}."
        )
    columns = {name: _Column(info.dtype) for name, info in signature.inputs.items()}
    for index, instance in enumerate(instances):
        if _is_named(instance) != has_names:
            expected, got = ("object", "list") if has_names else ("value/list", "object")
            raise errors.InvalidArgumentError(
                f"Expecting {expected} but got {got} at item {index} of input list"
            )
        row = instance if has_names else {names[0]: instance}
        for name, value in getattr(row, "pairs", row.items()):
            where = f"element: {index} key: {name}" if has_names else f"element: {index}"
            try:
                _append_row_item(columns, name, value, num_rows=index)
            except errors.ServingError as error:
                raise errors.InvalidArgumentError(
                    f"Failed to process {where} of 'instances' list. "
                    f"Error: {error.code}: {error.message}"
                ) from error
        if len(row) != len(names):
            raise errors.InvalidArgumentError(
                f"Failed to process element: {index} of 'instances' list. JSON object: "
                f"{preview_json(instance)} keys must be equal to: {','.join(names)}"
            )
    return {name: column.to_array(len(instances)) for name, column in columns.items()}


@dataclasses.dataclass
class _Column:
    """The values of one input over all rows, which have one shape."""

    data_type: int
    shape: tuple[int, ...] | None = None
    values: list[Any] = dataclasses.field(default_factory=list)

    def to_array(self, num_rows: int) -> np.ndarray:
        shape = (num_rows, *(self.shape or ()))
        return json_tensors.array_from_values(self.values, shape, self.data_type)


def _append_row_item(columns: dict[str, _Column], name: str, value: Any, *, num_rows: int) -> None:
    """Adds to a column that has `num_rows` values; of a name that comes twice the first stays."""
    if name not in columns:
        raise errors.InvalidArgumentError(
            f"JSON object: does not have named input: {name}. Inputs: {', '.join(columns)}."
        )
    column = columns[name]
    values, shape = json_tensors.flatten_json(value, column.data_type)
    if column.shape is None:
        column.shape = shape
    elif column.shape != shape:
        expected, got = math.prod(column.shape), math.prod(shape)
        raise errors.InvalidArgumentError(
            f"Expecting tensor size: {expected} but got: {got}"
            if expected != got
            else f"Expecting shape {write_shape(column.shape)} but got: {write_shape(shape)}"
        )
    if len(column.values) == num_rows * math.prod(column.shape):
        column.values.extend(values)


def _read_columns(inputs: Any, signature: meta_graph_pb2.SignatureDef) -> dict[str, np.ndarray]:
    names = sorted(signature.inputs)
    if not _is_named(inputs):
        if len(names) > 1:
            raise errors.InvalidArgumentError(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                f"required as per tensorinfo_map. Inputs: {', '.join(names)}."
            )
        inputs = {names[0]: inputs}
    for name in names:
        if name not in inputs:
            raise errors.InvalidArgumentError(f"Missing named input: {name} in 'inputs' object.")
    # As in TensorFlow Serving, names that the signature does not have are left aside.
    return {
        name: json_tensors.array_from_json(inputs[name], signature.inputs[name].dtype)
        for name in names
    }


def _is_named(value: Any) -> bool:
    """Whether a value is an object of named inputs, rather than a value, a list or bytes."""
    return isinstance(value, dict) and not is_base64_json(value)


def _write_rows(outputs: Mapping[str, np.ndarray]) -> list[str]:
    batch_size = -1
    for name, array in outputs.items():
        if array.ndim == 0:
            raise errors.InvalidArgumentError(
                f"Tensor name: {name} has no shape information. Every output needs the batch as "
                "its first dimension to be answered in row form; ask in column form ('inputs')."
            )
        if batch_size not in (-1, array.shape[0]):
            raise errors.InvalidArgumentError(
                f"Tensor name: {name} has inconsistent batch size: {array.shape[0]} "
                f"expecting: {batch_size}"
            )
        batch_size = array.shape[0]
    rows = [json_tensors.array_rows_to_json(array, name=name) for name, array in outputs.items()]
    return [
        _object_or_only_value(dict(zip(outputs, row, strict=True)))
        for row in zip(*rows, strict=True)
    ]


def _object_or_only_value(values: Mapping[str, str]) -> str:
    if len(values) == 1:
        return next(iter(values.values()))
    return "{" + ", ".join(f"{json.dumps(name)}: {v}" for name, v in values.items()) + "}"
