"""Answers of Predict as JSON: shapes, names, types that JSON cannot carry."""

from tests.serving.stock.case import RestCase, predict

TEST = "util/json_tensor_test.cc JsontensorTest"
ROWS = "util/json_tensor.cc MakeRowFormatJsonFromTensors"
COLUMNS = "util/json_tensor.cc MakeColumnarFormatJsonFromTensors"
WRITE = "util/json_tensor.cc AddSingleValueAndAdvance"
TWELVE = "[[[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 0], [1, 2]]]"
NAMED_ROWS = (
    '[{"int_tensor": [[1, 2], [3, 4], [5, 6]], "str_tensor": ["foo", "bar"],'
    ' "float_tensor": [1.0], "double_scalar_tensor": 8.0, "str_tensor_bytes": %s},'
    ' {"int_tensor": [[7, 8], [9, 0], [1, 2]], "str_tensor": ["baz", "bat"],'
    ' "float_tensor": [2.0], "double_scalar_tensor": 9.0, "str_tensor_bytes": %s}]'
)
SENT_ROWS = NAMED_ROWS % ('["hello", "world"]', '["tf", "serving"]')
GIVEN_ROWS = NAMED_ROWS % (
    '[{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}]',
    '[{"b64": "dGY="}, {"b64": "c2VydmluZw=="}]',
)
NAMED_COLUMNS = (
    '{"double_scalar_tensor": [8.0, 9.0], "float_tensor": [[1.0], [2.0]],'
    ' "int_tensor": [[[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 0], [1, 2]]],'
    ' "str_tensor": [["foo", "bar"], ["baz", "bat"]], "str_tensor_bytes": %s}'
)
SENT_COLUMNS = NAMED_COLUMNS % '[["hello", "world"], ["tf", "serving"]]'
GIVEN_COLUMNS = NAMED_COLUMNS % (
    '[[{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}], [{"b64": "dGY="}, {"b64": "c2VydmluZw=="}]]'
)


def shape(signature: str, key: str, source: str, **answer: object) -> RestCase:
    """An answer of the model `shapes`, asked in the form of `key`."""
    body = f'{{"signature_name": "{signature}", "{key}": [1.5]}}'
    return predict("shapes", body, id=f"{signature} in {key}", source=source, **answer)


def both(signature: str, content: str, source: str) -> tuple[RestCase, RestCase]:
    """The same answer in row and in column form."""
    return (
        shape(signature, "instances", source, json=f'{{"predictions": {content}}}'),
        shape(signature, "inputs", source, json=f'{{"outputs": {content}}}'),
    )


CASES = [
    predict(
        "int32",
        f'{{"instances": {TWELVE}}}',
        json=f'{{"predictions": {TWELVE}}}',
        source=f"{TEST}.FromJsonSingleTensor",
    ),
    predict(
        "int32",
        f'{{"inputs": {TWELVE}}}',
        json=f'{{"outputs": {TWELVE}}}',
        source=f"{TEST}.FromJsonSingleTensor",
    ),
    predict(
        "int32",
        '{"instances": [1, 2, 3, 4, 5]}',
        json='{"predictions": [1, 2, 3, 4, 5]}',
        source=f"{TEST}.FromJsonSingleScalarTensor",
    ),
    predict(
        "int32",
        '{"inputs": [1, 2, 3, 4, 5]}',
        json='{"outputs": [1, 2, 3, 4, 5]}',
        source=f"{TEST}.FromJsonSingleScalarTensor",
    ),
    predict(
        "answers",
        f'{{"instances": {SENT_ROWS}}}',
        json=f'{{"predictions": {GIVEN_ROWS}}}',
        source=f"{TEST}.FromJsonMultipleNamedTensors",
    ),
    predict(
        "answers",
        f'{{"inputs": {SENT_COLUMNS}}}',
        json=f'{{"outputs": {GIVEN_COLUMNS}}}',
        source=f"{TEST}.FromJsonMultipleNamedTensors",
    ),
    shape(
        "complex",
        "instances",
        f"{TEST}.FromJsonSingleTensorErrors",
        error="Failed to write JSON value for tensor type: complex64",
    ),
    shape(
        "complex", "inputs", COLUMNS, error="Failed to write JSON value for tensor type: complex64"
    ),
    shape("half", "instances", WRITE, error="Failed to write JSON value for tensor type: half"),
    shape("half", "inputs", WRITE, error="Failed to write JSON value for tensor type: half"),
    shape("uint16", "instances", WRITE, error="Failed to write JSON value for tensor type: uint16"),
    shape("uint16", "inputs", WRITE, error="Failed to write JSON value for tensor type: uint16"),
    shape(
        "scalar",
        "instances",
        f"{TEST}.FromJsonSingleTensorErrors",
        error="Tensor name: y has no shape information",
    ),
    shape("scalar", "inputs", COLUMNS, json='{"outputs": 1}'),
    shape("scalar_beside_list", "instances", ROWS, error="Tensor name: b has no shape information"),
    shape("scalar_beside_list", "inputs", COLUMNS, json='{"outputs": {"a": [0, 0], "b": 1}}'),
    shape(
        "two_and_one",
        "instances",
        f"{TEST}.FromJsonMultipleNamedTensorsErrors",
        error="has inconsistent batch size: ",
    ),
    shape(
        "two_and_one",
        "inputs",
        COLUMNS,
        json='{"outputs": {"a": [[0, 0, 0], [0, 0, 0]], "b": [[0, 0, 0]]}}',
    ),
    shape("none", "instances", f"{TEST}.FromJsonSingleZeroBatchTensor", json='{"predictions": []}'),
    shape("none", "inputs", COLUMNS, json='{"outputs": []}'),
    shape(
        "none_twice",
        "instances",
        f"{TEST}.FromJsonMultipleZeroBatchTensors",
        json='{"predictions": []}',
    ),
    shape("none_twice", "inputs", COLUMNS, json='{"outputs": {"a": [], "b": []}}'),
    shape(
        "none_and_one",
        "instances",
        f"{TEST}.FromJsonMultipleZeroBatchTensorsErrors",
        error="has inconsistent batch size: ",
    ),
    shape("none_and_one", "inputs", COLUMNS, json='{"outputs": {"a": [], "b": [[0, 0]]}}'),
    *both("empty_rows", "[[], []]", ROWS),
    *both("quoted", r'["a\"b\\c/d\n\t\u0001é", "😀\u2028\u007f"]', WRITE),
    *both("with_zero_byte", r'["a\u0000b"]', WRITE),
    shape("not_utf8", "instances", WRITE, holds=b'{"predictions":["\xff"]}'),
    shape("not_utf8", "inputs", WRITE, holds=b'{"outputs":["\xff"]}'),
    predict(
        "int64",
        '{"inputs": 9223372036854775807}',
        json='{"outputs": 9223372036854775807}',
        source=WRITE,
    ),
    predict(
        "bool", '{"inputs": [[true], [false]]}', json='{"outputs": [[true], [false]]}', source=WRITE
    ),
]
