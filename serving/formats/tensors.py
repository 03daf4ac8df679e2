"""Arrays as JSON values and as protobuf messages, by TensorFlow Serving's rules.

In and out are NumPy arrays, strings as object arrays of bytes. JSON values are nested lists:

    [["a", "b"]] <-> shape (1, 2);   {"b64": "AP8="} <-> b"\\x00\\xff"

The wording of the errors is TensorFlow Serving's where it has one.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving import errors

_MAX_PREVIEW_CHARACTERS = 200
_MAX_RANK = 32
_MAX_UNSIGNED = 2**64 - 1
_INTEGER_TYPES = (
    types_pb2.DT_INT8,
    types_pb2.DT_INT16,
    types_pb2.DT_INT32,
    types_pb2.DT_INT64,
    types_pb2.DT_UINT8,
    types_pb2.DT_UINT32,
    types_pb2.DT_UINT64,
)
# The bits of the significand: a whole number must fit into them.
_SIGNIFICAND_BITS = {types_pb2.DT_FLOAT: 24, types_pb2.DT_DOUBLE: 53}
_JSON_OUTPUT_TYPES = (*_INTEGER_TYPES, *_SIGNIFICAND_BITS, types_pb2.DT_BOOL, types_pb2.DT_STRING)
_PROTO_FIELDS = {
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_INT8: "int_val",
    types_pb2.DT_INT16: "int_val",
    types_pb2.DT_INT32: "int_val",
    types_pb2.DT_UINT8: "int_val",
    types_pb2.DT_UINT16: "int_val",
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_UINT32: "uint32_val",
    types_pb2.DT_UINT64: "uint64_val",
    types_pb2.DT_BOOL: "bool_val",
    types_pb2.DT_STRING: "string_val",
}


def array_from_json(value: Any, data_type: int) -> np.ndarray:
    """Makes a dense array of a `types_pb2.DataType` from nested lists."""
    shape = _leading_shape(value)
    values: list[Any] = []
    _append_values(value, shape, 0, data_type, values)
    if data_type == types_pb2.DT_STRING:
        # An object array: NumPy's own bytes type would drop trailing zero bytes.
        array = np.empty(len(values), dtype=object)
        array[:] = values
    else:
        array = np.array(values, dtype=tf.dtypes.as_dtype(data_type).as_numpy_dtype)
    return array.reshape(shape)


def array_to_json(array: np.ndarray, *, name: str) -> Any:
    """Makes nested lists; strings are text, or `{"b64": ...}` if the name ends in `_bytes`."""
    data_type = tf.dtypes.as_dtype(array.dtype).as_datatype_enum
    if data_type not in _JSON_OUTPUT_TYPES:
        raise errors.InvalidArgumentError(
            f"Failed to write JSON value for tensor type: {type_name(data_type)}. "
            f"Cast output {name!r} to float in the export."
        )
    if data_type == types_pb2.DT_STRING:
        return _strings_to_json(array, name=name)
    if data_type == types_pb2.DT_FLOAT:
        # By way of text: 0.2 stays 0.2, where a plain cast gives 0.20000000298023224.
        return array.astype(str).astype(np.float64).tolist()
    return array.tolist()


def array_from_proto(proto: tensor_pb2.TensorProto, *, name: str) -> np.ndarray:
    """Makes an array from a message; strings become an object array of bytes."""
    try:
        return tf.make_ndarray(proto)
    except (TypeError, ValueError) as error:
        raise errors.InvalidArgumentError(
            f"tensor parsing error: {name}: values, type and shape must agree. {error}"
        ) from error


def array_to_proto(array: np.ndarray, data_type: int) -> tensor_pb2.TensorProto:
    """Makes a message with the values in the field of their type, as TensorFlow Serving does."""
    field = _PROTO_FIELDS.get(data_type)
    if field is None:
        return tf.make_tensor_proto(array, dtype=tf.dtypes.as_dtype(data_type))
    proto = tensor_pb2.TensorProto(dtype=data_type)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, field).extend(array.ravel().tolist())
    return proto


def type_name(data_type: int) -> str:
    """The name of a `types_pb2.DataType` in error messages, for example "float"."""
    name = types_pb2.DataType.Name(data_type)
    return name.removeprefix("DT_").lower()


def is_base64_json(value: Any) -> bool:
    """Whether a JSON value is the object form of bytes, `{"b64": "..."}`."""
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def preview_json(value: Any) -> str:
    """The value as JSON, cut so that a large request does not come back in its error."""
    text = json.dumps(value)
    if len(text) > _MAX_PREVIEW_CHARACTERS:
        return text[:_MAX_PREVIEW_CHARACTERS] + "..."
    return text


def _leading_shape(value: Any) -> tuple[int, ...]:
    """Shape along the first elements; `_append_values` checks that the others agree."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    if len(shape) > _MAX_RANK:
        raise errors.InvalidArgumentError(
            f"A tensor can have at most {_MAX_RANK} dimensions. Received: {len(shape)} nested "
            "lists. Send flatter lists."
        )
    return tuple(shape)


def _append_values(
    value: Any, shape: tuple[int, ...], level: int, data_type: int, values: list[Any]
) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise errors.InvalidArgumentError(
                f"JSON Value: {preview_json(value)} found at incorrect level: {level + 1} "
                f"in the JSON DOM. Expected at level: {len(shape)}"
            )
        values.append(_read_value(value, data_type))
        return
    if level >= len(shape):
        raise errors.InvalidArgumentError(
            f"Encountered list at unexpected level: {level} expected < {len(shape)}"
        )
    if len(value) != shape[level]:
        raise errors.InvalidArgumentError(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    for item in value:
        _append_values(item, shape, level + 1, data_type, values)


def _read_value(value: Any, data_type: int) -> Any:
    """Checks one JSON value against the type. `type()`, because bool is a subclass of int."""
    kind = type(value)
    if data_type == types_pb2.DT_STRING and kind is str:
        return encode_text(value)
    if data_type == types_pb2.DT_STRING and kind is dict:
        return decode_base64(value)
    if data_type in _SIGNIFICAND_BITS and kind in (int, float):
        return _read_decimal(value, data_type)
    if data_type in _INTEGER_TYPES and kind is int:
        limits = tf.dtypes.as_dtype(data_type)
        if limits.min <= value <= limits.max:
            return value
    if data_type == types_pb2.DT_BOOL and kind is bool:
        return value
    if data_type not in _JSON_OUTPUT_TYPES:
        raise errors.UnimplementedError(
            f"Conversion of JSON Value: {preview_json(value)} to type: {type_name(data_type)}"
        )
    raise errors.InvalidArgumentError(
        f"JSON Value: {preview_json(value)} Type: {json_type_name(value)} "
        f"is not of expected type: {type_name(data_type)}"
    )


def _read_decimal(value: int | float, data_type: int) -> float:
    limits = tf.dtypes.as_dtype(data_type)
    if isinstance(value, int) and -(2**63) <= value <= _MAX_UNSIGNED:
        fits = abs(value) < 2 ** _SIGNIFICAND_BITS[data_type]
    else:
        # Not finite, or within the limits of the type.
        fits = value - value != 0 or float(limits.min) <= value <= float(limits.max)
    if not fits:
        raise errors.InvalidArgumentError(
            f"Cannot convert JSON value: {preview_json(value)} to {type_name(data_type)} "
            "without loss of precision."
        )
    return float(value)


def encode_text(value: str) -> bytes:
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise errors.InvalidArgumentError(
            "JSON Parse error: The surrogate pair in string is invalid. "
            f'Received: {preview_json(value)}. Send other bytes as {{"b64": ...}}.'
        ) from error


def decode_base64(value: dict[str, Any]) -> bytes:
    if not is_base64_json(value):
        raise errors.InvalidArgumentError(
            f"JSON Value: {preview_json(value)} not formatted correctly for base64 data"
        )
    try:
        text = value["b64"].rstrip("=")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise errors.InvalidArgumentError(
            f"Unable to base64 decode: {error}. Received: {preview_json(value)}"
        ) from error


def json_type_name(value: Any) -> str:
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    names = {dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}
    return names[type(value)]


def _strings_to_json(array: np.ndarray, *, name: str) -> Any:
    values = np.empty(array.size, dtype=object)
    for index, value in enumerate(array.ravel()):
        if name.endswith("_bytes"):
            values[index] = {"b64": base64.b64encode(value).decode("ascii")}
            continue
        try:
            values[index] = value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise errors.InvalidArgumentError(
                f"Output {name!r} must be UTF-8 text to be written as JSON. Received bytes that "
                f"are not: {error.reason} at offset {error.start}. Use gRPC, or give the output "
                "a name that ends in '_bytes'."
            ) from error
    return values.reshape(array.shape).tolist()
