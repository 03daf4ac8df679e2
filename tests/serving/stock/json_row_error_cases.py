"""Predict requests in row form that are refused, and what they are told."""

from tests.serving.stock.case import predict

TEST = "util/json_tensor_test.cc JsontensorTest"
SINGLE_ERRORS, ERRORS = f"{TEST}.SingleUnnamedTensorErrors", f"{TEST}.MultipleNamedTensorErrors"
FILL = "util/json_tensor.cc FillTensorProto"
ROWS = "util/json_tensor.cc FillTensorMapFromInstancesList"
ITEM = "util/json_tensor.cc AddInstanceItem"
FOO, BAZ = '["foo", "bar"]', '["baz", "bat"]'
SIX = "[[1,2],[3,4],[5,6]]"


def refuses(model: str, body: str, error: str, source: str, **more: object):
    return predict(model, body, error=error, source=source, **more)


def rows(*pairs: tuple[str, str], more: str = "") -> str:
    """Rows of the model `two`, then `more`."""
    found = [f'{{"int_tensor": {ints}, "str_tensor": {strings}}}' for ints, strings in pairs]
    return '{"instances": [' + ", ".join(found + ([more] if more else [])) + "]}"


CASES = [
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
    refuses(
        "two",
        '{"instances": [1, 2]}',
        "instances is a plain list, but expecting list of objects as multiple input"
        " tensors required as per tensorinfo_map",
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
        "Failed to process element: 0 key: more of 'instances' list. Error:"
        " INVALID_ARGUMENT: JSON object: does not have named input: more",
        ITEM,
    ),
    refuses(
        "int32",
        '{"instances": [{"y": 1}]}',
        "Failed to process element: 0 key: y of 'instances' list. Error:"
        " INVALID_ARGUMENT: JSON object: does not have named input: y",
        ITEM,
    ),
    refuses(
        "two",
        '{"instances": [{"int_tensor": 1, "str_tensor": "a"}, {"int_tensor": "b",'
        ' "str_tensor": "a"}]}',
        "Failed to process element: 1 key: int_tensor of 'instances' list. Error:"
        ' INVALID_ARGUMENT: JSON Value: "b" Type: String is not of expected type: int32',
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
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: JSON"
        ' Value: "a" Type: String is not of expected type: int32',
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
        '{"instances": [{"x": [1, 2], "x": [3]}]}',
        "Failed to process element: 0 key: x of 'instances' list. Error: INVALID_ARGUMENT: "
        "Expecting tensor size: 2 but got: 1",
        ITEM,
    ),
    refuses(
        "int32",
        '{"instances": [null]}',
        "JSON Value: null Type: Null is not of expected type: int32",
        ITEM,
    ),
    refuses(
        "int32",
        '{"instances": [[[1, 2], [3, 4]], [[1, 2], [3]]]}',
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
        "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
        ITEM,
    ),
]
