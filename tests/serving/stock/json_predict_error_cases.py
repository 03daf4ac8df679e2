"""Predict requests that are refused for their keys, their signature or their columns."""

from tests.serving.stock.case import predict

FILL = "util/json_tensor.cc FillTensorProto"
COLUMNS = "util/json_tensor.cc FillTensorMapFromInputsMap"
REQUEST = "util/json_tensor.cc FillPredictRequestFromJson"
SIGNATURE = "util/json_tensor.cc FillSignature"
HANDLER = "model_servers/http_rest_api_handler.cc GetInfoMap"


def refuses(model: str, body: str, error: str, source: str, **more: object):
    return predict(model, body, error=error, source=source, **more)


CASES = [
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
        "inputs is a plain value/list, but expecting an object as multiple input tensors"
        " required as per tensorinfo_map",
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
