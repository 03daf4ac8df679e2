"""Predict requests in row and in column form: what becomes of `instances` and `inputs`."""

from tests.serving.stock.case import predict

TEST = "util/json_tensor_test.cc JsontensorTest"
SINGLE_ERRORS, ERRORS = f"{TEST}.SingleUnnamedTensorErrors", f"{TEST}.MultipleNamedTensorErrors"
FILL = "util/json_tensor.cc FillTensorProto"
ROWS = "util/json_tensor.cc FillTensorMapFromInstancesList"
COLUMNS = "util/json_tensor.cc FillTensorMapFromInputsMap"
REQUEST = "util/json_tensor.cc FillPredictRequestFromJson"
ITEM = "util/json_tensor.cc AddInstanceItem"
SIGNATURE = "util/json_tensor.cc FillSignature"
HANDLER = "model_servers/http_rest_api_handler.cc GetInfoMap"


def refuses(model: str, body: str, error: str, source: str, **more: object):
    return predict(model, body, error=error, source=source, **more)


def rows(*pairs: tuple[str, str], more: str = "") -> str:
    """Rows of the model `two`, then `more`."""
    found = [f'{{"int_tensor": {ints}, "str_tensor": {strings}}}' for ints, strings in pairs]
    return '{"instances": [' + ", ".join(found + ([more] if more else [])) + "]}"


FOO, BAZ = '["foo", "bar"]', '["baz", "bat"]'
SIX = "[[1,2],[3,4],[5,6]]"


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
    refuses(
        "int32",
        '{"signature_name": 5, "instances": [[1,2],[3,4],[5,6,7]]}',
        "must be a string value",
        SINGLE_ERRORS,
    ),
    refuses(
        "int32",
        '{"instances": [[1,2],[3,4],[5,6,7]], "inputs": [[1,2],[3,4],[5,6,7]]}',
        "Not formatted correctly",
        SINGLE_ERRORS,
    ),
    refuses(
        "int32", '{"instances": [[1,2],[3,4],[5,6,7]]}', "Expecting tensor size", SINGLE_ERRORS
    ),
    refuses("int32", '{"instances": [[1,2],[3,4],[[5,6]]]}', "Expecting shape", SINGLE_ERRORS),
    refuses("int32", '{"instances": [1, [1]]}', "Expecting shape", SINGLE_ERRORS),
    refuses("int32", '{"instances": [[1,2],["a", "b"]]}', "not of expected type", SINGLE_ERRORS),
    refuses(
        "two",
        rows((SIX, FOO), ("[[[7,8],[9,0],[1,2]]]", BAZ)),
        "Expecting shape",
        ERRORS,
    ),
    refuses(
        "two",
        rows(("[[1,2],[3,4],[5,6],[7,8]]", FOO), ("[[7,8],[9,0],[1,2]]", BAZ)),
        "Expecting tensor size",
        ERRORS,
    ),
    refuses(
        "two",
        rows((SIX, FOO), more="[1, 20, 30]"),
        "Expecting object but got list at item 1 of input list",
        ERRORS,
    ),
    refuses(
        "string",
        '{"instances": [["baz", "bar"], {"x": ["baz", "bat"]}]}',
        "Expecting value/list but got object at item 1 of input list",
        ERRORS,
    ),
    refuses("int32", "{}", "Missing 'inputs' or 'instances' key", REQUEST),
    refuses("int32", '{"Instances": [1]}', "Missing 'inputs' or 'instances' key", REQUEST),
    refuses("int32", '{"examples": [{"x": 1}]}', "Missing 'inputs' or 'instances' key", REQUEST),
    *(
        refuses(
            "int32",
            f'{{"instances": {value}}}',
            "Expecting 'instances' to be an list/array",
            REQUEST,
        )
        for value in ("1", '"a"', "null", "true", "{}", '{"x": [1]}')
    ),
    refuses("int32", '{"instances": []}', "No values in 'instances' array", REQUEST),
    refuses(
        "int32",
        '{"instances": [], "inputs": []}',
        "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist",
        REQUEST,
    ),
    *(
        refuses(
            "int32",
            f'{{"signature_name": {value}, "instances": [1]}}',
            "not formatted correctly. 'signature_name' key must be a string value.",
            SIGNATURE,
        )
        for value in ("100", "null", "true", '["a"]', "{}")
    ),
    refuses(
        "int32",
        '{"signature_name": 1}',
        "'signature_name' key must be a string value.",
        f"{SIGNATURE}, before the inputs are looked for",
    ),
    refuses(
        "int32",
        '{"signature_name": "none", "instances": [1]}',
        'Serving signature name: "none" not found in signature def',
        HANDLER,
    ),
    refuses(
        "int32",
        '{"signature_name": "none"}',
        'Serving signature name: "none" not found in signature def',
        f"{HANDLER}, before the inputs are looked for",
    ),
    refuses(
        "int32",
        '{"signature_name": "Serving_default", "instances": [1]}',
        'Serving signature name: "Serving_default" not found',
        HANDLER,
    ),
    refuses(
        "counter",
        '{"instances": [1]}',
        'Serving signature name: "serving_default" not found in signature def',
        HANDLER,
    ),
    refuses(
        "no_inputs", '{"inputs": {}}', "Failed to get input map for signature: DEFAULT", REQUEST
    ),
    refuses(
        "no_inputs",
        '{"signature_name": "serving_default", "inputs": {}}',
        "Failed to get input map for signature: serving_default",
        REQUEST,
    ),
    refuses(
        "counter",
        '{"signature_name": "get_counter", "inputs": {}}',
        "Failed to get input map for signature: get_counter",
        REQUEST,
    ),
    refuses(
        "two",
        '{"instances": [1, 2]}',
        "instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map",
        ROWS,
    ),
    refuses(
        "two",
        '{"instances": ["a", {"int_tensor": 1}]}',
        "instances is a plain list, but expecting list of objects",
        ROWS,
    ),
    refuses(
        "two",
        '{"instances": [[{"int_tensor": 1}]]}',
        "instances is a plain list, but expecting list of objects",
        ROWS,
    ),
    refuses(
        "two",
        '{"instances": [{"int_tensor": 1}]}',
        "Failed to process element: 0 of 'instances' list. JSON object: ",
        ROWS,
    ),
    refuses(
        "two",
        '{"instances": [{"int_tensor": 1}]}',
        "keys must be equal to: int_tensor,str_tensor",
        ROWS,
        id="the names that are missing",
    ),
    refuses("two", '{"instances": [{}]}', "keys must be equal to: int_tensor,str_tensor", ROWS),
    refuses("int32", '{"instances": [{}]}', "keys must be equal to: x", ROWS),
    refuses(
        "two",
        '{"instances": [{"int_tensor": 1, "str_tensor": "a", "more": 2}]}',
        "Failed to process element: 0 key: more of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have named input: more",
        ITEM,
    ),
    refuses(
        "int32",
        '{"instances": [{"y": 1}]}',
        "Failed to process element: 0 key: y of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have named input: y",
        ITEM,
    ),
    refuses(
        "two",
        '{"instances": [{"int_tensor": 1, "str_tensor": "a"}, {"int_tensor": "b", "str_tensor": "a"}]}',
        "Failed to process element: 1 key: int_tensor of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: \"b\" Type: String is not of expected type: int32",
        ITEM,
    ),
    refuses(
        "two",
        '{"instances": [{"int_tensor": 1, "str_tensor": "a"}, {"b64": "aA=="}]}',
        "Expecting object but got list at item 1 of input list",
        ROWS,
    ),
    refuses(
        "int32",
        '{"instances": [1, "a"]}',
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: \"a\" Type: String is not of expected type: int32",
        ITEM,
    ),
    refuses(
        "int32",
        '{"instances": [1, {"x": 2}]}',
        "Expecting value/list but got object at item 1 of input list",
        ROWS,
    ),
    refuses(
        "int32",
        '{"instances": [{"x": 1}, 2]}',
        "Expecting object but got list at item 1 of input list",
        ROWS,
    ),
    refuses("int32", '{"instances": [[1, 2], [3]]}', "Expecting tensor size: 2 but got: 1", ITEM),
    refuses(
        "int32", '{"instances": [[1, 2], [[1], [2]]]}', "Expecting shape [2] but got: [2,1]", ITEM
    ),
    refuses(
        "int32",
        '{"instances": [[[1, 2, 3], [4, 5, 6]], [[1, 2], [3, 4], [5, 6]]]}',
        "Expecting shape [2,3] but got: [3,2]",
        ITEM,
    ),
    refuses("int32", '{"instances": [1, []]}', "Expecting tensor size: 1 but got: 0", ITEM),
    refuses(
        "int32",
        '{"instances": [[[1, 2], [3]]]}',
        "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
        FILL,
    ),
    refuses(
        "int32",
        '{"instances": [[[1], 2]]}',
        "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
        FILL,
    ),
    refuses(
        "int32",
        '{"instances": [[1, [2]]]}',
        "Encountered list at unexpected level: 1 expected < 1",
        FILL,
    ),
    refuses(
        "int32",
        '{"inputs": [[1, 2], [3]]}',
        "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
        FILL,
    ),
    refuses(
        "int32",
        '{"inputs": [[1], 2]}',
        "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
        FILL,
    ),
    refuses(
        "int32",
        '{"inputs": [1, [2]]}',
        "Encountered list at unexpected level: 1 expected < 1",
        FILL,
    ),
    refuses(
        "int32",
        '{"inputs": [1, "a"]}',
        'JSON Value: "a" Type: String is not of expected type: int32',
        FILL,
    ),
    refuses(
        "int32",
        '{"inputs": null}',
        "JSON Value: null Type: Null is not of expected type: int32",
        FILL,
    ),
    refuses(
        "int32",
        '{"inputs": [[], [1]]}',
        "Encountered list at unexpected size: 1 at level: 1 expected size: 0",
        FILL,
    ),
    refuses("int32", '{"inputs": {}}', "Missing named input: x in 'inputs' object.", COLUMNS),
    refuses(
        "int32", '{"inputs": {"y": [1]}}', "Missing named input: x in 'inputs' object.", COLUMNS
    ),
    refuses(
        "two",
        '{"inputs": {"int_tensor": [1]}}',
        "Missing named input: str_tensor in 'inputs' object.",
        COLUMNS,
    ),
    refuses(
        "two",
        '{"inputs": [1]}',
        "inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map",
        COLUMNS,
    ),
    refuses(
        "two",
        '{"inputs": {"b64": "aA=="}}',
        "inputs is a plain value/list, but expecting an object",
        COLUMNS,
    ),
    refuses(
        "int32",
        '{"instances": [{"x": {"y": 1}}]}',
        "Type: Object is not of expected type: int32",
        FILL,
    ),
    refuses("int32", '{"inputs": [{"x": 1}]}', "Type: Object is not of expected type: int32", FILL),
]
