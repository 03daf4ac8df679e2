"""Tensors in Predict requests over gRPC: which messages are tensors, and of what values."""

from tests.serving.stock.case import GrpcCase
from tests.serving.stock.grpc_text import (
    UTIL,
    answered,
    inputs,
    predict_fails,
    predicted,
    shaped,
    spec,
    tensors,
)

TENSOR = f"{UTIL} PreProcessPrediction (Tensor::FromProto)"
REPEATED = " ".join(["float_val: 7"] * 6)


def echoed(model: str, id: str, sent: str, given: str, source: str = TENSOR) -> GrpcCase:
    """A tensor sent to a model that gives it back."""
    return predicted(
        f"{model}: {id}",
        spec(model) + inputs(x=sent),
        answered(model, tensors("outputs", x=given)),
        source,
    )


CASES = [
    echoed(
        "float",
        "one value for a whole shape",
        shaped("FLOAT", "2 3", "float_val: 7"),
        shaped("FLOAT", "2 3", REPEATED),
    ),
    echoed(
        "float",
        "the last value is repeated",
        shaped("FLOAT", "3", "float_val: 1 float_val: 2"),
        shaped("FLOAT", "3", "float_val: 1 float_val: 2 float_val: 2"),
    ),
    echoed(
        "float",
        "no value is zero",
        shaped("FLOAT", "2"),
        shaped("FLOAT", "2", "float_val: 0 float_val: 0"),
    ),
    echoed(
        "float",
        "values too many are dropped",
        shaped("FLOAT", "1", "float_val: 1 float_val: 2"),
        shaped("FLOAT", "1", "float_val: 1"),
    ),
    echoed(
        "float",
        "unknown rank is that of a scalar",
        "dtype: DT_FLOAT tensor_shape { unknown_rank: true } float_val: 1",
        shaped("FLOAT", "", "float_val: 1"),
    ),
    echoed("float", "no elements", shaped("FLOAT", "0 3"), shaped("FLOAT", "0 3")),
    echoed(
        "float",
        "no elements, but values",
        shaped("FLOAT", "0", "float_val: 1"),
        shaped("FLOAT", "0"),
    ),
    echoed(
        "float",
        "raw bytes",
        shaped("FLOAT", "2", r'tensor_content: "\000\000\200?\000\000\000@"'),
        shaped("FLOAT", "2", "float_val: 1 float_val: 2"),
    ),
    echoed(
        "float",
        "raw bytes before values",
        shaped("FLOAT", "1", r'tensor_content: "\000\000\200?" float_val: 5'),
        shaped("FLOAT", "1", "float_val: 1"),
    ),
    echoed(
        "float",
        "values that are not finite",
        shaped("FLOAT", "3", "float_val: nan float_val: inf float_val: -inf"),
        shaped("FLOAT", "3", "float_val: nan float_val: inf float_val: -inf"),
    ),
    echoed(
        "float",
        "values of another field",
        shaped("FLOAT", "1", "int_val: 5"),
        shaped("FLOAT", "1", "float_val: 0"),
    ),
    echoed(
        "string",
        "bytes that are no UTF-8",
        shaped("STRING", "2", r'string_val: "\000\377" string_val: ""'),
        shaped("STRING", "2", r'string_val: "\000\377" string_val: ""'),
    ),
    echoed(
        "string",
        "no value is an empty string",
        shaped("STRING", "2"),
        shaped("STRING", "2", 'string_val: "" string_val: ""'),
    ),
    echoed(
        "string",
        "one value for a whole shape",
        shaped("STRING", "2", 'string_val: "a"'),
        shaped("STRING", "2", 'string_val: "a" string_val: "a"'),
    ),
    echoed(
        "string",
        "a scalar",
        'dtype: DT_STRING string_val: "a"',
        shaped("STRING", "", 'string_val: "a"'),
    ),
    echoed(
        "int32",
        "values",
        shaped("INT32", "2", "int_val: -1 int_val: 2"),
        shaped("INT32", "2", "int_val: -1 int_val: 2"),
    ),
    echoed(
        "int64",
        "values",
        shaped("INT64", "1", "int64_val: 9223372036854775807"),
        shaped("INT64", "1", "int64_val: 9223372036854775807"),
    ),
    echoed(
        "int8", "values", shaped("INT8", "1", "int_val: -128"), shaped("INT8", "1", "int_val: -128")
    ),
    echoed(
        "int16",
        "values",
        shaped("INT16", "1", "int_val: -32768"),
        shaped("INT16", "1", "int_val: -32768"),
    ),
    echoed(
        "uint8",
        "values",
        shaped("UINT8", "1", "int_val: 255"),
        shaped("UINT8", "1", "int_val: 255"),
    ),
    echoed(
        "uint16",
        "values",
        shaped("UINT16", "1", "int_val: 65535"),
        shaped("UINT16", "1", "int_val: 65535"),
    ),
    echoed(
        "uint32",
        "values",
        shaped("UINT32", "1", "uint32_val: 4294967295"),
        shaped("UINT32", "1", "uint32_val: 4294967295"),
    ),
    echoed(
        "uint64",
        "values",
        shaped("UINT64", "1", "uint64_val: 18446744073709551615"),
        shaped("UINT64", "1", "uint64_val: 18446744073709551615"),
    ),
    echoed(
        "bool",
        "values",
        shaped("BOOL", "2", "bool_val: true bool_val: false"),
        shaped("BOOL", "2", "bool_val: true bool_val: false"),
    ),
    echoed(
        "double",
        "values",
        shaped("DOUBLE", "1", "double_val: 0.1"),
        shaped("DOUBLE", "1", "double_val: 0.1"),
    ),
    echoed(
        "half",
        "values are their bits",
        shaped("HALF", "2", "half_val: 15360 half_val: 49152"),
        shaped("HALF", "2", "half_val: 15360 half_val: 49152"),
    ),
    echoed(
        "bfloat16",
        "values are their bits",
        shaped("BFLOAT16", "1", "half_val: 16256"),
        shaped("BFLOAT16", "1", "half_val: 16256"),
    ),
    echoed(
        "complex64",
        "pairs",
        shaped("COMPLEX64", "1", "scomplex_val: 1 scomplex_val: 2"),
        shaped("COMPLEX64", "1", "scomplex_val: 1 scomplex_val: 2"),
    ),
    echoed(
        "int8",
        "a value beyond its type is cut",
        shaped("INT8", "1", "int_val: 300"),
        shaped("INT8", "1", "int_val: 44"),
    ),
    *(
        predict_fails(
            f"no tensor: {id}",
            spec("float") + inputs(x=value),
            "INVALID_ARGUMENT",
            "tensor parsing error: x",
            TENSOR,
        )
        for id, value in (
            ("nothing", ""),
            ("no dtype", "float_val: 1"),
            ("a size below zero", shaped("FLOAT", "-1", "float_val: 1")),
            ("raw bytes too few", shaped("FLOAT", "2", r'tensor_content: "\000\000\200?"')),
            ("raw bytes too many", shaped("FLOAT", "1", r'tensor_content: "\000\000\200?\000"')),
            ("a reference type", "dtype: DT_FLOAT_REF float_val: 1"),
        )
    ),
    *(
        predict_fails(
            f"no tensor: {id}",
            spec("float") + inputs(x=value),
            "INVALID_ARGUMENT",
            "tensor parsing error: x",
            TENSOR,
        )
        for id, value in (
            ("more elements than can be counted", shaped("FLOAT", "1099511627776 1099511627776")),
            ("more elements than memory", shaped("FLOAT", "1000000000000000", "float_val: 1")),
            ("255 dimensions", shaped("FLOAT", "1 " * 255, "float_val: 1")),
        )
    ),
    echoed(
        "float",
        "40 dimensions",
        shaped("FLOAT", "1 " * 40, "float_val: 1"),
        shaped("FLOAT", "1 " * 40, "float_val: 1"),
    ),
]
