"""Arrays as JSON values, by TensorFlow Serving's rules.

In and out are NumPy arrays, strings as object arrays of bytes. JSON values are nested lists:

    [["a", "b"]] <-> shape (1, 2);   {"b64": "AP8="} <-> b"\\x00\\xff"

The wording of the errors is TensorFlow Serving's where it has one.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from serving import errors
from serving.formats.json_text import (
    decode_base64,
    encode_text,
    json_type_name,
    preview_json,
)
from serving.formats.tensor_protos import MAX_RANK, type_name

_INT32 = (-(2**31), 2**31)
# The whole numbers that are taken for a type: small types are sent as int32, as in a `TensorProto`,
# and lose what does not fit.
_LIMITS = {
    types_pb2.DT_INT8: _INT32,
    types_pb2.DT_INT16: _INT32,
    types_pb2.DT_INT32: _INT32,
    types_pb2.DT_UINT8: _INT32,
    types_pb2.DT_INT64: (-(2**63), 2**63),
    types_pb2.DT_UINT32: (0, 2**32),
    types_pb2.DT_UINT64: (0, 2**64),
}
_KINDS = {
    types_pb2.DT_FLOAT: (int, float),
    types_pb2.DT_DOUBLE: (int, float),
    types_pb2.DT_BOOL: (bool,),
    types_pb2.DT_STRING: (str,),
    **dict.fromkeys(_LIMITS, (int,)),
}


def array_from_json(value: Any, data_type: int) -> np.ndarray:
    """Makes a dense array of a `types_pb2.DataType` from nested lists."""
    return array_from_values(*flatten_json(value, data_type), data_type)


def flatten_json(value: Any, data_type: int) -> tuple[list[Any], tuple[int, ...]]:
    """The values of nested lists, checked, and their shape."""
    shape = _leading_shape(value)
    values: list[Any] = []
    _append_values(value, shape, 0, values)
    return _check_values(values, data_type), shape


def array_from_values(values: list[Any], shape: tuple[int, ...], data_type: int) -> np.ndarray:
    """The array of checked values."""
    if data_type == types_pb2.DT_STRING:
        # An object array: NumPy's own bytes type would drop trailing zero bytes.
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array.reshape(shape)
    numpy_type = tf.dtypes.as_dtype(data_type).as_numpy_dtype
    if data_type == types_pb2.DT_FLOAT:
        with np.errstate(over="ignore"):  # infinite, as a double becomes that is too large
            return np.array(values, dtype=np.float64).astype(numpy_type).reshape(shape)
    if _LIMITS.get(data_type) == _INT32:
        return np.array(values, dtype=np.int32).astype(numpy_type).reshape(shape)
    return np.array(values, dtype=numpy_type).reshape(shape)


def array_to_json(array: np.ndarray, *, name: str) -> str:
    """The JSON of an array: nested lists, or one value for a scalar."""
    return array_rows_to_json(array[np.newaxis], name=name)[0]


def array_rows_to_json(array: np.ndarray, *, name: str) -> list[str]:
    """The JSON of every element along the first dimension.

    Strings are text, or `{"b64": ...}` if the name ends in `_bytes`. Text is written as it is, even
    if it is no UTF-8 (with `surrogateescape`).
    """
    texts = _values_to_json(array, name)
    for level in range(array.ndim - 1, 0, -1):
        size, number = array.shape[level], math.prod(array.shape[:level])
        texts = [f"[{', '.join(texts[i * size : (i + 1) * size])}]" for i in range(number)]
    return texts


def decimals_to_json(array: np.ndarray) -> list[str]:
    """Six digits where they give the same number, else as many as do: 0.2 stays 0.2."""
    digits = 9 if array.dtype == np.float32 else 17
    flat = array.ravel()
    values = flat.tolist()
    texts = [f"{value:.6g}" for value in values]
    with np.errstate(over="ignore"):
        same = np.array(list(map(float, texts))).astype(array.dtype) == flat
    if not same.all():
        for index in np.flatnonzero(~same):
            texts[index] = f"{values[index]:.{digits}g}"
    return [
        text if "." in text or "e" in text else _NOT_FINITE.get(text) or f"{text}.0"
        for text in texts
    ]


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _values_to_json(array: np.ndarray, name: str) -> list[str]:
    data_type = tf.dtypes.as_dtype(array.dtype).as_datatype_enum
    if data_type not in _KINDS:
        raise errors.InvalidArgumentError(
            f"Failed to write JSON value for tensor type: {type_name(data_type)}. "
            f"Cast output {name!r} to float in the export."
        )
    if array.dtype.kind == "f":
        return decimals_to_json(array)
    values = array.ravel().tolist()
    if array.dtype.kind == "b":
        return ["true" if value else "false" for value in values]
    if array.dtype.kind != "O":
        return [str(value) for value in values]
    if name.endswith("_bytes"):
        return [f'{{"b64": "{base64.b64encode(value).decode("ascii")}"}}' for value in values]
    return [text_to_json(value) for value in values]


def text_to_json(value: bytes) -> str:
    """A JSON string; bytes that are no UTF-8 stay as they are."""
    return json.dumps(value.decode(errors="surrogateescape"), ensure_ascii=False)


def _leading_shape(value: Any) -> tuple[int, ...]:
    """Shape along the first elements; `_append_values` checks that the others agree."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    if len(shape) > MAX_RANK:
        raise errors.InvalidArgumentError(
            f"A tensor can have at most {MAX_RANK} dimensions. Received: {len(shape)} nested "
            "lists. Send flatter lists."
        )
    return tuple(shape)


def _append_values(value: Any, shape: tuple[int, ...], level: int, values: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise errors.InvalidArgumentError(
                f"JSON Value: {preview_json(value)} found at incorrect level: {level + 1} "
                f"in the JSON DOM. Expected at level: {len(shape)}"
            )
        values.append(value)
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
    if level == len(shape) - 1 and list not in set(map(type, value)):
        values.extend(value)
        return
    for item in value:
        _append_values(item, shape, level + 1, values)


def _check_values(values: list[Any], data_type: int) -> list[Any]:
    """The values, text as bytes, once every one fits the type."""
    kinds = _KINDS.get(data_type)
    if kinds is None:
        if not values:
            return values
        raise errors.UnimplementedError(
            f"Conversion of JSON Value: {preview_json(values[0])} to type: {type_name(data_type)}"
        )
    if data_type == types_pb2.DT_STRING:
        return [_read_string(value) for value in values]
    # By `type`, because bool is a subclass of int.
    if not set(map(type, values)) <= set(kinds):
        raise _type_error(next(v for v in values if type(v) not in kinds), data_type)
    if data_type in _LIMITS and values:
        low, high = _LIMITS[data_type]
        if not low <= min(values) <= max(values) < high:
            raise _type_error(next(v for v in values if not low <= v < high), data_type)
    return values


def _read_string(value: Any) -> bytes:
    if isinstance(value, str):
        return encode_text(value)
    if isinstance(value, dict):
        return decode_base64(value)
    raise _type_error(value, types_pb2.DT_STRING)


def _type_error(value: Any, data_type: int) -> errors.InvalidArgumentError:
    return errors.InvalidArgumentError(
        f"JSON Value: {preview_json(value)} Type: {json_type_name(value)} "
        f"is not of expected type: {type_name(data_type)}"
    )
