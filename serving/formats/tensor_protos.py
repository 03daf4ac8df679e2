"""Arrays as `TensorProto`s, by the rules of TensorFlow's own `Tensor::FromProto`.

In and out are NumPy arrays, strings as object arrays of bytes. What a message claims is compared
with the bytes that are there before anything is made of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2

from serving import errors

_FIELDS = {
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
    types_pb2.DT_HALF: "half_val",
    types_pb2.DT_BFLOAT16: "half_val",
    types_pb2.DT_COMPLEX64: "scomplex_val",
    types_pb2.DT_COMPLEX128: "dcomplex_val",
}
_HALVES = (types_pb2.DT_HALF, types_pb2.DT_BFLOAT16)
_COMPLEX = (types_pb2.DT_COMPLEX64, types_pb2.DT_COMPLEX128)
MAX_RANK = 32
"""TensorFlow's is 254, but feeding strings of more from Python ends the process."""
_MAX_ELEMENTS = 2**63 // np.dtype(np.complex128).itemsize
_MAX_FILLED_BYTES = 16 << 20
_BYTES_OF_A_STRING = 32
"""Of an empty one: NumPy's reference, and what TensorFlow keeps for it."""


def array_from_proto(proto: tensor_pb2.TensorProto, *, name: str) -> np.ndarray:
    """Makes an array from a message; strings become an object array of bytes.

    As in TensorFlow, fewer values than the shape has elements are filled up with the last one, and
    none with zeros; here up to 16 MiB. Raises `InvalidArgumentError`.
    """
    field = _FIELDS.get(proto.dtype)
    if field is None:
        raise _parsing_error(name, f"the type {type_name(proto.dtype)} cannot be sent.")
    shape = _read_shape(proto.tensor_shape, name)
    num_elements = math.prod(shape)
    data_type = np.dtype(tf.dtypes.as_dtype(proto.dtype).as_numpy_dtype)
    if proto.tensor_content:
        return _from_content(proto, shape, num_elements, data_type, name)
    values = getattr(proto, field)
    if proto.dtype in _COMPLEX:
        values = [complex(*pair) for pair in zip(values[::2], values[1::2], strict=False)]
    if num_elements > len(values):
        width = _BYTES_OF_A_STRING if data_type.kind == "O" else data_type.itemsize
        _check_filled(num_elements, len(values), width, name)
    array = _as_array(values[:num_elements], proto.dtype, data_type)
    if num_elements > len(array):
        last: object = b"" if data_type.kind == "O" else 0
        filled = np.full(num_elements, array[-1] if len(array) else last, dtype=data_type)
        filled[: len(array)] = array
        array = filled
    return array.reshape(shape)


def array_to_proto(array: np.ndarray, data_type: int) -> tensor_pb2.TensorProto:
    """Makes a message with the values in the field of their type, as TensorFlow Serving does."""
    field = _FIELDS.get(data_type)
    if field is None or data_type in _COMPLEX:
        return tf.make_tensor_proto(array, dtype=tf.dtypes.as_dtype(data_type))
    proto = tensor_pb2.TensorProto(dtype=data_type)
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if data_type in _HALVES:
        array = array.view(np.uint16)
    getattr(proto, field).extend(array.ravel().tolist())
    return proto


def type_name(data_type: int) -> str:
    """The name of a `types_pb2.DataType` in error messages, for example "float"."""
    if data_type not in types_pb2.DataType.values():
        return str(data_type)
    return types_pb2.DataType.Name(data_type).removeprefix("DT_").lower()


def write_shape(shape: tuple[int, ...]) -> str:
    """A shape as TensorFlow Serving's error messages have it."""
    return f"[{','.join(map(str, shape))}]"


def _read_shape(shape: tensor_shape_pb2.TensorShapeProto, name: str) -> tuple[int, ...]:
    sizes = tuple(dimension.size for dimension in shape.dim)
    if any(size < 0 for size in sizes) or len(sizes) > MAX_RANK:
        raise _parsing_error(
            name,
            f"a shape must have at most {MAX_RANK} dimensions, each of 0 or more. Received: "
            f"{list(sizes[: MAX_RANK + 1])}.",
        )
    # NumPy counts bytes, and those of a shape without elements, too.
    if math.prod(size for size in sizes if size) >= _MAX_ELEMENTS:
        raise _parsing_error(name, f"the shape {list(sizes)} has too many elements.")
    return sizes


def _check_filled(num_elements: int, num_values: int, width: int, name: str) -> None:
    if num_elements * width > _MAX_FILLED_BYTES:
        raise _parsing_error(
            name,
            f"the shape claims {num_elements} elements, and {num_values} are there. At most "
            f"{_MAX_FILLED_BYTES >> 20} MiB are filled up. Send all values.",
        )


def _as_array(values: Sequence, data_type: int, numpy_type: np.dtype) -> np.ndarray:
    if numpy_type.kind == "O":
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array
    if data_type in _HALVES:
        return np.array(values, dtype=np.uint32).astype(np.uint16).view(numpy_type)
    if numpy_type.itemsize < 4 and numpy_type.kind != "b":
        # Sent as int32; as in C++, what is too large for the type loses its upper bits.
        return np.array(values, dtype=np.int32).astype(numpy_type)
    return np.array(values, dtype=numpy_type)


def _from_content(
    proto: tensor_pb2.TensorProto,
    shape: tuple[int, ...],
    num_elements: int,
    data_type: np.dtype,
    name: str,
) -> np.ndarray:
    if data_type.kind == "O":
        return _strings_from_content(proto.tensor_content, num_elements, name).reshape(shape)
    expected = num_elements * data_type.itemsize
    if len(proto.tensor_content) != expected:
        raise _parsing_error(
            name,
            f"tensor_content must have {expected} bytes for the shape {list(shape)}. Received: "
            f"{len(proto.tensor_content)}.",
        )
    return np.frombuffer(proto.tensor_content, dtype=data_type).reshape(shape).copy()


def _strings_from_content(content: bytes, num_elements: int, name: str) -> np.ndarray:
    """As TensorFlow packs strings: the length of each as a varint, then all their bytes."""
    if num_elements > len(content):
        raise _parsing_error(name, f"tensor_content does not hold {num_elements} strings.")
    lengths, at = [], 0
    for _ in range(num_elements):
        length = shift = 0
        while at < len(content) and shift < 35:
            byte, at = content[at], at + 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(length)
    if at + sum(lengths) != len(content):
        raise _parsing_error(name, "the lengths in tensor_content and its bytes do not agree.")
    array = np.empty(num_elements, dtype=object)
    for index, length in enumerate(lengths):
        array[index], at = content[at : at + length], at + length
    return array


def _parsing_error(name: str, reason: str) -> errors.InvalidArgumentError:
    return errors.InvalidArgumentError(f"tensor parsing error: {name}: {reason}")
