"""Models, versions and labels over HTTP: Predict, Classify, Regress, status and metadata."""

from tests.serving.stock.case import RestCase, predict
from tests.serving.stock.http_text import DOUBLE, HANDLER, ONE, PARSE, PROCESS, http, status

UTIL = "model_servers/http_rest_api_util_test.cc HttpRestApiUtilTest"
JSON_HEADER = {"Content-Type": "application/json"}
ENCODED = "%21%23%24%25%26%27%28%29%2A%2B%2C%2F%3A%3B%3D%3F%40%5B%5D"
REGRESS = b'{"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}]}'
CLASSIFY = b'{"signature_name": "classify_x_to_y", "examples": [{"x": 20.0}]}'
PLACES = ("", "/versions/1", "/labels/stable")


def published(rest: str, body: bytes, json: str, source: str) -> RestCase:
    path = f"/v1/models/published{rest}"
    return http(
        "POST",
        path,
        source,
        id=f"{path} {body.decode()}",
        body=body,
        json=json,
        headers=JSON_HEADER,
    )


METADATA = f"{HANDLER}.GetModelMetadata and model_servers/http_rest_api_util.cc ToJsonString"
FLOAT = (
    '{"x": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [], "unknown_rank": true}, "name": "%s"}}'
)


def signature(inputs: str, outputs: str) -> str:
    """The default signature, as metadata show it."""
    return (
        f'"serving_default": {{"inputs": {inputs}, "outputs": {outputs},'
        ' "method_name": "tensorflow/serving/predict", "defaults": {}}'
    )


def metadata(name: str, version: int, signatures: str) -> str:
    return (
        f'{{"model_spec": {{"name": "{name}", "signature_name": "", "version": "{version}"}},'
        f' "metadata": {{"signature_def": {{"signature_def": {{{signatures}}}}}}}}}'
    )


CASES = [
    predict(
        "published",
        "",
        error="JSON Parse error: The document is empty",
        source=f"{HANDLER}.PredictRequestErrors",
        id="published: no body",
    ),
    predict(
        "published",
        "instances = [1, 2]",
        error="JSON Parse error: Invalid value",
        source=f"{HANDLER}.PredictRequestErrors",
    ),
    predict(
        "published",
        '{ "instances": ["x", "y"] }',
        error="not of expected type: float",
        source=f"{HANDLER}.PredictRequestErrors",
    ),
    http(
        "POST",
        "/v1/models/published/labels/none:predict",
        f"{HANDLER}.PredictRequestErrors",
        body=b'{ "instances": ["x", "y"] }',
        error="Unrecognized servable version label: none",
    ),
    predict(
        "published",
        '{ "signature_name": 100 }',
        error="'signature_name' key must be a string value.",
        source=f"{HANDLER}.PredictRequestErrors",
    ),
    published(
        ":predict",
        b'{"instances": [[1.0, 2.0], [3.0, 4.0]]}',
        '{"predictions": [[2.5, 3.0], [3.5, 4.0]]}',
        f"{HANDLER}.Predict",
    ),
    published("/versions/1:predict", ONE, DOUBLE, f"{HANDLER}.Predict"),
    published("/labels/stable:predict", ONE, DOUBLE, f"{HANDLER}.Predict"),
    published(
        "/versions/1:predict",
        b'{"signature_name": "serving_default", "instances": [3.0, 4.0]}',
        '{"predictions": [3.5, 4.0]}',
        f"{HANDLER}.Predict",
    ),
    published(
        "/versions/1:predict",
        b'{"signature_name": "serving_default", "inputs": [3.0, 4.0]}',
        '{"outputs": [3.5, 4.0]}',
        f"{HANDLER}.Predict",
    ),
    *(
        published(f"{place}:regress", REGRESS, '{"results": [42.0]}', f"{HANDLER}.Regress")
        for place in PLACES
    ),
    *(
        published(
            f"{place}:classify", CLASSIFY, '{"results": [[["", 12.0]]]}', f"{HANDLER}.Classify"
        )
        for place in PLACES
    ),
    http(
        "GET",
        "/v1/models/foo",
        f"{HANDLER}.GetStatus",
        status=404,
        error="Could not find any versions of model foo",
        headers=JSON_HEADER,
    ),
    http(
        "GET",
        "/v1/models/published/versions/99",
        f"{HANDLER}.GetStatus",
        status=404,
        error="Could not find version 99 of model published",
    ),
    http(
        "GET",
        "/v1/models/published",
        f"{HANDLER}.GetStatus",
        json=status(2, 1),
        headers=JSON_HEADER,
    ),
    http(
        "GET",
        "/v1/models/published/versions/1",
        f"{HANDLER}.GetStatus",
        json=status(1),
        headers=JSON_HEADER,
    ),
    http("GET", "/v1/models/published/versions/001", PARSE, json=status(1)),
    http(
        "GET",
        "/V1/Models/published/VERSIONS/1",
        f"{PARSE} (case does not count in the path)",
        json=status(1),
    ),
    http(
        "GET",
        "/v1/models/Published",
        f"{PARSE} (case counts in the name)",
        status=404,
        error="Could not find any versions of model Published",
    ),
    http(
        "GET",
        "/v1/models/foo/metadata",
        "model_servers/http_rest_api_handler.cc ProcessModelMetadataRequest",
        status=404,
        error="Servable not found for request: Latest(foo)",
    ),
    http(
        "GET",
        "/v1/models/foo/versions/3/metadata",
        "model_servers/http_rest_api_handler.cc ProcessModelMetadataRequest",
        status=404,
        error="Servable not found for request: Specific(foo, 3)",
    ),
    http(
        "GET",
        "/v1/models/published/labels/none/metadata",
        "model_servers/server_core.cc GetModelVersionForLabel",
        error="Unrecognized servable version label: none",
    ),
    http(
        "GET",
        "/v1/models/metadata",
        f"{PARSE}: a model of that name",
        status=404,
        error="Could not find any versions of model metadata",
    ),
    http(
        "GET",
        "/v1/models/absent",
        "model_servers/get_model_status_impl.cc GetModelStatusWithModelSpec",
        status=404,
        error="Could not find any versions of model absent",
    ),
    http(
        "GET",
        f"/v1/models/modelname{ENCODED}",
        f"{UTIL}.TestParseModelInfoForGet",
        json=status(2, 1),
    ),
    http(
        "GET",
        f"/v1/models/modelname{ENCODED}/labels/latest{ENCODED}/metadata",
        f"{UTIL}.TestParseModelInfoForGet",
    ),
    http(
        "POST",
        f"/v1/models/modelname{ENCODED}:predict",
        f"{UTIL}.TestParseModelInfoForPost",
        body=ONE,
        json=DOUBLE,
    ),
    http(
        "POST",
        f"/v1/models/modelname{ENCODED}/labels/latest{ENCODED}:predict",
        f"{UTIL}.TestParseModelInfoForPost",
        body=ONE,
        json=DOUBLE,
    ),
    http(
        "POST",
        f"/v1/models/published/labels/latest{ENCODED}:predict",
        f"{UTIL}.TestParseModelInfoForPost",
        body=ONE,
        json=DOUBLE,
    ),
    http("POST", "/v1/models/%70ublished:predict", f"{PARSE} (DecodeArg)", body=ONE, json=DOUBLE),
    http("GET", "/v1/models/published/labels/%73table/metadata", f"{PARSE} (DecodeArg)"),
    http(
        "GET",
        "/v1/models/published/labels/stable",
        "model_servers/get_model_status_impl.cc GetModelStatusWithModelSpec: a label is"
        " not looked at",
        json=status(2, 1),
    ),
    http(
        "GET",
        "/v1/models/published/labels/none",
        "model_servers/get_model_status_impl.cc GetModelStatusWithModelSpec: a label is"
        " not looked at",
        json=status(2, 1),
    ),
    http(
        "POST",
        "/v1/models/absent:predict",
        f"{PROCESS}: the JSON before the model",
        body=b"{",
        error="JSON Parse error: Missing a name for object member. at offset: 1",
    ),
    http(
        "POST",
        "/v1/models/absent:predict",
        f"{PROCESS}: signature_name before the model",
        body=b'{"signature_name": 1}',
        error="'signature_name' key must be a string value.",
    ),
    http(
        "POST",
        "/v1/models/absent:predict",
        f"{PROCESS}: the model before the inputs",
        id="a model that is not there, without inputs",
        body=b"{}",
        status=404,
        error="Servable not found for request: Latest(absent)",
    ),
    *(
        http("GET", f"/v1/models/{path}/metadata", METADATA, json=metadata(name, version, content))
        for path, name, version, content in (
            ("float", "float", 1, signature(FLOAT % "x:0", FLOAT % "Identity:0")),
            ("float/versions/1", "float", 1, signature(FLOAT % "x:0", FLOAT % "Identity:0")),
            (
                "no_inputs",
                "no_inputs",
                1,
                '"serving_default": {"inputs": {}, "outputs": {"y": {"dtype": "DT_FLOAT",'
                ' "tensor_shape": {"dim": [{"size": "1", "name": ""}], "unknown_rank": false},'
                ' "name": "Const:0"}}, "method_name": "tensorflow/serving/predict",'
                ' "defaults": {}}',
            ),
        )
    ),
]
