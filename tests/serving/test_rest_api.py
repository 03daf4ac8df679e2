"""The REST surface: paths, forms, answers and errors as TensorFlow Serving has them."""

import base64
import json
import math
import socket
import urllib.parse

import pytest
import urllib3
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from serving.local_server import LocalServer


def send(server, method, path, document=None):
    """Sends one request; returns the HTTP status and the JSON answer."""
    body = document if isinstance(document, bytes | None) else json.dumps(document).encode()
    with urllib3.PoolManager(retries=False) as pool:
        response = pool.request(method, server.rest_url + path, body=body)
        assert response.headers["content-type"] == "application/json"
        return response.status, json.loads(response.data)


def predict(server, document, model="demo"):
    return send(server, "POST", f"/v1/models/{model}:predict", document)


def assert_error(answer, status, *parts):
    assert answer[0] == status, answer
    assert list(answer[1]) == ["error"]
    for part in parts:
        assert part in answer[1]["error"]


def test_row_form_answers_one_object_an_instance(server):
    status, answer = predict(server, {"instances": [{"text": "ab"}, {"text": "abcde"}]})
    assert status == 200
    assert answer == {
        "predictions": [
            {"label": "two", "score": 0.2, "probabilities": [0.2, 0.8]},
            {"label": "two", "score": 0.5, "probabilities": [0.5, 0.5]},
        ]
    }


def test_row_form_may_drop_the_name_of_a_single_input(server):
    named = predict(server, {"instances": [{"text": "ab"}]})
    assert predict(server, {"instances": ["ab"]}) == named


def test_column_form_answers_one_list_an_output(server):
    status, answer = predict(server, {"inputs": {"text": ["ab", "abcde"]}})
    assert status == 200
    assert answer == {
        "outputs": {
            "label": ["two", "two"],
            "score": [0.2, 0.5],
            "probabilities": [[0.2, 0.8], [0.5, 0.5]],
        }
    }


def test_column_form_may_drop_the_name_of_a_single_input(server):
    named = predict(server, {"inputs": {"text": ["ab"]}})
    assert predict(server, {"inputs": ["ab"]}) == named


def test_single_output_drops_its_name(server):
    request = {"signature_name": "echo", "instances": ["a", "b"]}
    assert predict(server, request) == (200, {"predictions": ["a", "b"]})
    request = {"signature_name": "echo", "inputs": ["a", "b"]}
    assert predict(server, request) == (200, {"outputs": ["a", "b"]})


def test_two_named_inputs(server):
    rows = [{"text": "a", "text_pair": "b"}, {"text": "c", "text_pair": "d"}]
    assert predict(server, {"signature_name": "pair", "instances": rows})[1] == {
        "predictions": ["a|b", "c|d"]
    }
    columns = {"text": ["a", "c"], "text_pair": ["b", "d"]}
    assert predict(server, {"signature_name": "pair", "inputs": columns})[1] == {
        "outputs": ["a|b", "c|d"]
    }


@pytest.mark.parametrize("text", ["한글 텍스트", "각", "naïve 🙂", "", "a\u0000b", '"\\\n'])
def test_text_comes_back_as_it_was_sent(server, text):
    request = {"signature_name": "echo", "instances": [text]}
    assert predict(server, request) == (200, {"predictions": [text]})
    raw = json.dumps(request, ensure_ascii=False).encode("utf-8")
    assert predict(server, raw) == (200, {"predictions": [text]})


def test_bytes_travel_as_base64(server):
    data = {"b64": base64.b64encode(b"\x00\xff\x00").decode()}
    for form, answer_key in (("instances", "predictions"), ("inputs", "outputs")):
        request = {"signature_name": "bytes", form: [data, data]}
        assert predict(server, request) == (200, {answer_key: [data, data]})


def test_base64_needs_no_padding(server):
    request = {"signature_name": "echo", "instances": [{"b64": "YQ"}, {"text": "b"}]}
    assert_error(predict(server, request), 400, "Expecting value/list but got object at item 1")
    request["instances"] = [{"b64": "YQ"}, {"b64": "YQ=="}]
    assert predict(server, request) == (200, {"predictions": ["a", "a"]})


def test_bytes_that_are_not_text_are_written_as_they_are(server):
    data = {"b64": base64.b64encode(b"a\xff").decode()}
    body = json.dumps({"signature_name": "echo", "instances": [data]}).encode()
    raw = b'{"signature_name": "echo", "instances": ["a\xff"]}'
    with urllib3.PoolManager(retries=False) as pool:
        for sent in (body, raw):
            answer = pool.request("POST", server.rest_url + "/v1/models/demo:predict", body=sent)
            assert (answer.status, answer.data) == (200, b'{"predictions": ["a\xff"]}')


def test_numbers_keep_their_types(server):
    row = {
        "float32": 0.1,
        "float64": 1e300,
        "int32": [1, -2],
        "int64": 2**60,
        "uint8": 255,
        "boolean": True,
    }
    status, answer = predict(server, {"signature_name": "types", "instances": [row]})
    assert status == 200
    assert answer["predictions"] == [{f"{name}_out": value for name, value in row.items()}]


def test_numbers_that_are_not_finite_pass(server):
    body = b'{"signature_name": "halve", "instances": [NaN, Infinity, -Infinity]}'
    status, answer = predict(server, body)
    assert status == 200
    nan, infinity, minus_infinity = answer["predictions"]
    assert math.isnan(nan)
    assert (infinity, minus_infinity) == (math.inf, -math.inf)


def test_column_form_takes_outputs_without_a_batch(server):
    request = {"signature_name": "without_batch", "inputs": [1.0, 2.0]}
    assert predict(server, request) == (200, {"outputs": {"total": 3.0, "y": [1.0, 2.0]}})


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/v1/models/demo:predict", "two"),
        ("/v1/models/demo/versions/1:predict", "one"),
        ("/v1/models/demo/versions/2:predict", "two"),
        ("/v1/models/demo/labels/stable:predict", "one"),
        ("/V1/Models/demo:predict", "two"),
        ("/v1/models/%64emo:predict", "two"),
    ],
)
def test_path_chooses_the_version(server, path, label):
    status, answer = send(server, "POST", path, {"instances": ["a"]})
    assert (status, answer["predictions"][0]["label"]) == (200, label)


@pytest.mark.parametrize(
    ("document", "parts"),
    [
        (b"", ["The document is empty"]),
        (b"{", ["JSON Parse error: Missing a name for object member. at offset: 1"]),
        (b'{"instances": ["\\ud800"]}', ["surrogate pair in string is invalid"]),
        (b'{"instances": [{"\\ud800": "a"}]}', ["surrogate pair in string is invalid"]),
        (b"[" * 100_000, ["JSON Parse error"]),
        (b'{"instances": [' + b"[" * 50 + b"]" * 50 + b"]}", ["at most 32 dimensions"]),
        ([1], ["JSON Value: [1] Is not object"]),
        ({}, ["Missing 'inputs' or 'instances' key"]),
        ({"instances": ["a"], "inputs": ["a"]}, ["only one of 'inputs' or 'instances'"]),
        ({"instances": "a"}, ["Expecting 'instances' to be an list/array"]),
        ({"instances": []}, ["No values in 'instances' array"]),
        ({"signature_name": 100}, ["'signature_name' key must be a string value."]),
        (
            {"signature_name": "nope", "instances": ["a"]},
            ['Serving signature name: "nope" not found in signature def', "serving_default"],
        ),
        ({"instances": [1]}, ["element: 0", "Type: Number is not of expected type: string"]),
        ({"instances": [None]}, ["Type: Null is not of expected type: string"]),
        ({"instances": ["a", ["b"]]}, ["element: 1", "Expecting shape [] but got: [1]"]),
        ({"inputs": "a"}, ["axis = 1 not in [-1, 1)"]),
        ({"instances": [{"txt": "a"}]}, ["does not have named input: txt"]),
        ({"instances": [{"text": "a"}, "b"]}, ["Expecting object but got list at item 1"]),
        ({"instances": [{"b64": "*"}]}, ["Unable to base64 decode"]),
        ({"inputs": {"txt": ["a"]}}, ["Missing named input: text in 'inputs' object."]),
        ({"inputs": [["a", "b"], ["c"]]}, ["list at unexpected size: 1 at level: 1"]),
        ({"inputs": ["a", ["b"]]}, ["list at unexpected level: 1 expected < 1"]),
        ({"inputs": [["a"], "b"]}, ["found at incorrect level: 2"]),
        ({"inputs": [{"b64": 1}]}, ["not formatted correctly for base64 data"]),
        (
            {"signature_name": "pair", "instances": ["a"]},
            ["instances is a plain list, but expecting list of objects"],
        ),
        (
            {"signature_name": "pair", "instances": [{"text": "a"}]},
            ["keys must be equal to: text,text_pair"],
        ),
        (
            {"signature_name": "pair", "inputs": ["a"]},
            ["inputs is a plain value/list, but expecting an object"],
        ),
        ({"signature_name": "halve", "instances": ["a"]}, ["is not of expected type: float"]),
        ({"signature_name": "halve", "instances": [True]}, ["Type: True is not of expected"]),
        ({"signature_name": "halve", "instances": [{}]}, ["keys must be equal to: x"]),
        (b'{"signature_name": "halve", "instances": [1e999]}', ["Number too big to be stored"]),
        (b'{"signature_name": "halve", "instances": [1%s]}' % (b"0" * 5000), ["Number too big"]),
        (
            {"signature_name": "count_slowly", "instances": [2**31]},
            ["Type: Number is not of expected type: int32"],
        ),
        (
            {"signature_name": "without_batch", "instances": [1.0]},
            ["Tensor name: total has no shape information"],
        ),
        (
            {"signature_name": "uneven_batch", "instances": [1.0]},
            ["Tensor name: b has inconsistent batch size: 2 expecting: 1"],
        ),
        (
            {"signature_name": "half_precision", "instances": [1.0]},
            ["Failed to write JSON value for tensor type: half"],
        ),
        ({"signature_name": "fail_if_negative", "inputs": [-1.0]}, ["x must not be negative"]),
    ],
)
def test_bad_request_is_answered_with_400(server, document, parts):
    assert_error(predict(server, document), 400, *parts)


def test_long_request_does_not_come_back_in_its_error(server):
    answer = predict(server, {"instances": [{"b64": "*" * 100_000}]})
    assert_error(answer, 400, "Unable to base64 decode")
    assert len(answer[1]["error"]) < 500


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/v1/models/nope:predict", 404, "Servable not found for request: Latest(nope)"),
        (
            "POST",
            "/v1/models/demo/versions/9:predict",
            404,
            "Servable not found for request: Specific(demo, 9)",
        ),
        (
            "POST",
            "/v1/models/absent:predict",
            404,
            "Servable not found for request: Latest(absent)",
        ),
        (
            "POST",
            "/v1/models/demo/labels/nope:predict",
            400,
            "Unrecognized servable version label: nope",
        ),
        (
            "POST",
            "/v1/models/demo/labels/gone:predict",
            404,
            "Servable not found for request: Specific(demo, 9)",
        ),
        ("POST", "/v1/models/demo:classify", 400, "When method is classify, key 'examples' is"),
        ("POST", "/v1/models/other:regress", 400, "key 'examples' is expected"),
        ("POST", "/v1/models/demo:PREDICT", 400, "Malformed request: POST /v1/models/demo:PREDICT"),
        ("POST", "/v1/models/demo:guess", 400, "Malformed request: POST /v1/models/demo:guess"),
        ("GET", "/v1/models/demo:predict", 400, "Malformed request: GET /v1/models/demo:predict"),
        ("PUT", "/v1/models/demo", 400, "Malformed request: PUT /v1/models/demo"),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/models/nope", 404, "Could not find any versions of model nope"),
        ("GET", "/v1/models/nope/versions/1", 404, "Could not find version 1 of model nope"),
        ("GET", "/v1/models/absent", 404, "Could not find any versions of model absent"),
        ("GET", "/v1/models/demo/versions/9", 404, "Could not find version 9 of model demo"),
        ("GET", "/v1/models/nope/metadata", 404, "Servable not found for request: Latest(nope)"),
        ("GET", f"/v1/models/demo/versions/{2**63}", 400, "Failed to convert version"),
        ("GET", "/", 404, "Not found: /."),
        ("GET", "/v2/models/demo", 404, "Not found: /v2/models/demo."),
    ],
)
def test_bad_path_is_answered_with_its_code(server, method, path, status, message):
    document = {"instances": ["a"]} if method == "POST" else None
    assert_error(send(server, method, path, document), status, message)


def test_type_that_json_cannot_carry_is_unimplemented(server):
    answer = predict(server, {"signature_name": "takes_half", "inputs": [1.0]})
    assert_error(answer, 501, "Conversion of JSON Value: 1.0 to type: half")


def test_status_is_tensorflow_servings_message(server):
    status, answer = send(server, "GET", "/v1/models/demo")
    assert status == 200
    assert answer == {
        "model_version_status": [
            {
                "version": str(version),
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
            for version in (2, 1)
        ]
    }
    message = json_format.ParseDict(answer, get_model_status_pb2.GetModelStatusResponse())
    assert [entry.version for entry in message.model_version_status] == [2, 1]
    # A label is left aside by TensorFlow Serving.
    for path, versions in (("versions/1", ["1"]), ("labels/stable", ["2", "1"])):
        _, answer = send(server, "GET", f"/v1/models/demo/{path}")
        assert [entry["version"] for entry in answer["model_version_status"]] == versions


def test_metadata_is_tensorflow_servings_message(server):
    status, answer = send(server, "GET", "/v1/models/demo/versions/1/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": "demo", "signature_name": "", "version": "1"}
    signature_map = json_format.ParseDict(
        answer["metadata"]["signature_def"], get_model_metadata_pb2.SignatureDefMap()
    )
    signature = signature_map.signature_def["pair"]
    assert sorted(signature.inputs) == ["text", "text_pair"]
    assert signature.method_name == "tensorflow/serving/predict"
    assert answer["metadata"]["signature_def"]["signature_def"]["pair"]["inputs"]["text"] == {
        "dtype": "DT_STRING",
        "name": signature.inputs["text"].name,
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
    }


def test_deadline_is_answered_with_504(demo_settings):
    quick = LocalServer(
        [demo_settings],
        rest_api_port=0,
        rest_api_timeout_in_ms=300,
        file_system_poll_wait_seconds=0,
    )
    with quick:
        request = {"signature_name": "count_slowly", "instances": [2**31 - 1]}
        assert_error(predict(quick, request), 504)
        assert predict(quick, {"instances": ["a"]})[0] == 200


def test_connection_dropped_in_a_request_costs_nothing(server):
    port = urllib.parse.urlsplit(server.rest_url).port
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            b"POST /v1/models/demo:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"
        )
    assert predict(server, {"instances": ["a"]})[0] == 200
