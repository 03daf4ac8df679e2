"""Predict requests in row and in column form: what becomes of `instances` and `inputs`."""

from tests.serving.stock.case import predict

TEST = "util/json_tensor_test.cc JsontensorTest"
ROWS = "util/json_tensor.cc FillTensorMapFromInstancesList"
COLUMNS = "util/json_tensor.cc FillTensorMapFromInputsMap"
HANDLER = "model_servers/http_rest_api_handler.cc GetInfoMap"


CASES = [
    predict(
        "int32",
        '{"instances": [[1,2],[3,4],[5,6]]}',
        json='{"predictions": [[1, 2], [3, 4], [5, 6]]}',
        source=f"{TEST}.SingleUnnamedTensor",
    ),
    predict(
        "int32",
        '{"signature_name": "serving_default", "instances": [[1,2]]}',
        json='{"predictions": [[1, 2]]}',
        source=f"{TEST}.SingleUnnamedTensorWithSignature",
    ),
    predict(
        "int32",
        '{"signature_name": "", "instances": [1]}',
        json='{"predictions": [1]}',
        source=f"{HANDLER}: an empty name is the default one",
    ),
    predict(
        "many",
        '{"instances": [{"int_tensor": [[1,2],[3,4],[5,6]], "str_tensor": ["foo", "bar"],'
        ' "float_tensor": [1.0, NaN], "dbl_tensor": [NaN]}, {"int_tensor": [[7,8],[9,0],[1,2]],'
        ' "str_tensor": ["baz", "bat"], "float_tensor": [2.0, Infinity], "dbl_tensor": [2.0]}]}',
        json='{"predictions": [{"int_tensor": [[1,2],[3,4],[5,6]], "str_tensor": ["foo", "bar"],'
        ' "float_tensor": [1.0, NaN], "dbl_tensor": [NaN]}, {"int_tensor": [[7,8],[9,0],[1,2]],'
        ' "str_tensor": ["baz", "bat"], "float_tensor": [2.0, Infinity], "dbl_tensor": [2.0]}]}',
        source=f"{TEST}.MultipleNamedTensor",
    ),
    *(
        predict(
            "int32",
            f'{{"inputs": {inputs}}}',
            json='{"outputs": [[[1, 2], [3, 4], [5, 6]]]}',
            source=f"{TEST}.SingleUnnamedTensorColumnarFormat",
        )
        for inputs in ('{"x": [[[1,2],[3,4],[5,6]]]}', "[[[1,2],[3,4],[5,6]]]")
    ),
    predict(
        "columns",
        '{"inputs": {"int_tensor": [[[1,2],[3,4],[5,6]]], "str_tensor": ["foo", "bar"],'
        ' "bin_tensor": {"b64": "aGVsbG8="}}}',
        json='{"outputs": {"int_tensor": [[[1,2],[3,4],[5,6]]], "str_tensor": ["foo", "bar"],'
        ' "bin_tensor": "hello"}}',
        source=f"{TEST}.MultipleNamedTensorColumnarFormat",
    ),
    predict("int32", '{"inputs": 5}', json='{"outputs": 5}', source=COLUMNS),
    predict("int32", '{"inputs": []}', json='{"outputs": []}', source=COLUMNS),
    predict("int32", '{"inputs": [[], []]}', json='{"outputs": [[], []]}', source=COLUMNS),
    predict("int32", '{"inputs": {"x": 5}}', json='{"outputs": 5}', source=COLUMNS),
    predict(
        "int32", '{"instances": [{"x": 5}, {"x": 6}]}', json='{"predictions": [5, 6]}', source=ROWS
    ),
    predict("int32", '{"instances": [[], []]}', json='{"predictions": [[], []]}', source=ROWS),
    predict(
        "int32", '{"instances": [[[[[[1]]]]]]}', json='{"predictions": [[[[[[1]]]]]]}', source=ROWS
    ),
    predict(
        "int32",
        '{"inputs": {"x": 1, "more": [true, null]}}',
        id="inputs that the signature does not have are left aside in column form",
        json='{"outputs": 1}',
        source=COLUMNS,
    ),
    predict(
        "two",
        '{"inputs": {"int_tensor": 1, "int_tensor": 2, "str_tensor": ["a"]}}',
        id="the first of two equal names in column form",
        json='{"outputs": {"int_tensor": 1, "str_tensor": ["a"]}}',
        source=f"{COLUMNS} (FindMember)",
    ),
    predict(
        "two",
        '{"inputs": {"int_tensor": [1, 2, 3], "str_tensor": "a"}}',
        id="columns of different sizes",
        json='{"outputs": {"int_tensor": [1, 2, 3], "str_tensor": "a"}}',
        source=COLUMNS,
    ),
    predict(
        "named",
        '{"instances": [{"a b/c.d": 1, "\\u00e9": 2}, {"é": 4, "a b/c.d": 3}]}',
        json='{"predictions": [{"a b/c.d": 1.0, "é": 2.0}, {"a b/c.d": 3.0, "é": 4.0}]}',
        source=f"{ROWS} and MakeRowFormatJsonFromTensors",
    ),
    predict(
        "named",
        '{"inputs": {"a b/c.d": 1, "é": [2]}}',
        json='{"outputs": {"a b/c.d": 1.0, "é": [2.0]}}',
        source=COLUMNS,
    ),
    predict(
        "int32",
        '{"instances": [{"x": 1, "x": 2}]}',
        id="the first of two equal names in a row",
        json='{"predictions": [1]}',
        source=f"{ROWS}: both values are added, and the first one fits",
    ),
    *(
        predict(
            "int32",
            f'{{"inputs": {"[" * rank}5{"]" * rank}}}',
            id=f"{rank} lists in one another",
            json=f'{{"outputs": {"[" * rank}5{"]" * rank}}}',
            source="util/json_tensor.cc GetDenseTensorShape",
        )
        for rank in (10, 32, 40, 64)
    ),
    predict(
        "int32",
        f'{{"inputs": {"[" * 255}5{"]" * 255}}}',
        id="255 lists in one another",
        error="tensor parsing error: x",
        source="util/json_tensor.cc GetDenseTensorShape, and 254 dimensions at most (TensorShape)",
    ),
]
