"""Paths, methods, headers and bodies of HTTP requests, and what is told about models."""

import gzip
import zlib

from tests.serving.stock.case import Answer, Deviation, RestCase, predict

HANDLER = "model_servers/http_rest_api_handler_test.cc HttpRestApiHandlerTest"
UTIL = "model_servers/http_rest_api_util_test.cc HttpRestApiUtilTest"
PARSE = "model_servers/http_rest_api_util.cc ParseModelInfo"
PROCESS = "model_servers/http_rest_api_handler.cc ProcessRequest"
SERVER = "model_servers/http_server.cc"
NET = "util/net_http/server/internal/evhttp_request.cc"
ONE, DOUBLE = b'{"instances": [1.0, 2.0]}', '{"predictions": [2.5, 3.0]}'
JSON_HEADER = {"Content-Type": "application/json"}
MALFORMED = "Malformed request: "
ENCODED = "%21%23%24%25%26%27%28%29%2A%2B%2C%2F%3A%3B%3D%3F%40%5B%5D"
BEYOND = "18446744073709551615"
EMPTY_REASON = "The answer says what is wrong; TensorFlow Serving's has an empty body."


def http(
    method: str,
    path: str,
    source: str,
    *,
    id: str = "",
    body: bytes = b"",
    ours: Deviation | None = None,
    sent: dict[str, str] | None = None,
    **answer: object,
) -> RestCase:
    if answer.get("error") is not None:
        answer.setdefault("status", 400)
    stock = Answer(**answer)  # type: ignore[arg-type]
    return RestCase(id or f"{method} {path}", path, stock, source, method, body, sent or {}, ours)


def malformed(method: str, path: str, source: str, **more: object) -> RestCase:
    return http(method, path, source, error=f"{MALFORMED}{method} {path}", **more)


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


def status(*versions: int) -> str:
    entries = (
        f'{{"version": "{version}", "state": "AVAILABLE",'
        ' "status": {"error_code": "OK", "error_message": ""}}'
        for version in versions
    )
    return '{"model_version_status": [' + ", ".join(entries) + "]}"


REGRESS = b'{"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}]}'
CLASSIFY = b'{"signature_name": "classify_x_to_y", "examples": [{"x": 20.0}]}'
PLACES = ("", "/versions/1", "/labels/stable")

CASES = [
    malformed("GET", "/v1/foo", f"{HANDLER}.UnsupportedApiCalls"),
    malformed("POST", "/v1/foo", f"{HANDLER}.UnsupportedApiCalls"),
    http(
        "GET",
        "/v1/models",
        f"{HANDLER}.UnsupportedApiCalls",
        error="Missing model name in request.",
    ),
    malformed("GET", "/v1/models/debug/model_name", f"{HANDLER}.UnsupportedApiCalls"),
    malformed("POST", "/v1/models", f"{HANDLER}.UnsupportedApiCalls"),
    malformed("GET", "/v1/models/foo:predict", f"{HANDLER}.UnsupportedApiCalls"),
    malformed("GET", "/v1/models/foo/version/50:predict", f"{HANDLER}.UnsupportedApiCalls"),
    malformed("POST", "/v1/models/foo/version/50:regress", f"{HANDLER}.UnsupportedApiCalls"),
    malformed("POST", "/v1/models/foo/versions/HELLO:regress", f"{HANDLER}.UnsupportedApiCalls"),
    *(
        http(
            method,
            f"/v1/models/{name}/versions/{version}{end}",
            f"{HANDLER}.UnsupportedApiCalls and {PROCESS}",
            status=400,
            body=b"{}" if method == "POST" else b"",
            ours=Deviation(
                Answer(400, error=f"Failed to convert version: {version}"), EMPTY_REASON
            ),
        )
        for method, name, version, end in (
            ("POST", "foo", BEYOND, ":regress"),
            ("POST", "published", BEYOND, ":predict"),
            ("POST", "published", "9223372036854775808", ":classify"),
            ("GET", "published", "9223372036854775808", ""),
            ("GET", "published", BEYOND, "/metadata"),
        )
    ),
    malformed("POST", "/v1/models/foo/metadata", f"{HANDLER}.UnsupportedApiCalls"),
    malformed("POST", "/v1/models/foo/label/some_label:regress", f"{HANDLER}.UnsupportedApiCalls"),
    malformed(
        "POST",
        "/v1/models/foo/versions/50/labels/some_label:regress",
        f"{HANDLER}.UnsupportedApiCalls",
    ),
    malformed(
        "POST", "/v1/models/foo/versions/some_label:regress", f"{HANDLER}.UnsupportedApiCalls"
    ),
    http(
        "POST",
        "/v1/models/foo:predict",
        f"{HANDLER}.PredictModelNameVersionErrors",
        body=ONE,
        status=404,
        error="Servable not found for request: Latest(foo)",
    ),
    http(
        "POST",
        "/v1/models/foo/versions/50:predict",
        f"{HANDLER}.PredictModelNameVersionErrors",
        body=ONE,
        status=404,
        error="Servable not found for request: Specific(foo, 50)",
    ),
    http(
        "POST",
        "/v1/models/published/versions/99:predict",
        f"{HANDLER}.PredictModelNameVersionErrors",
        body=ONE,
        status=404,
        error="Servable not found for request: Specific(published, 99)",
    ),
    http(
        "POST",
        "/v1/models/published99:predict",
        f"{HANDLER}.PredictModelNameVersionErrors",
        body=ONE,
        status=404,
        error="Servable not found for request: Latest(published99)",
    ),
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
    malformed("GET", "/v1/models/modelname/versions/%31", f"{PARSE}: a version is digits"),
    malformed(
        "POST",
        "/v1/models/published%3Apredict",
        f"{PARSE}: the colon is looked for before decoding",
        body=ONE,
    ),
    *(
        http(method, path, SERVER + " RestApiRequestDispatcher.Dispatch", status=404)
        for method, path in (
            ("GET", "/"),
            ("GET", "/statuspage"),
            ("GET", "/index"),
            ("POST", "/v2/models/published:predict"),
            ("GET", "/v1"),
            ("OPTIONS", "/index"),
            ("GET", "//v1/models/published"),
            ("HEAD", "/index"),
        )
    ),
    *(
        http("GET", f"/v1/models/{rest}", PARSE, error="Missing model name in request.")
        for rest in ("versions/1", "labels/stable", "versions/1/metadata", "labels/a/metadata")
    ),
    malformed("GET", "/v1/", PROCESS),
    malformed("GET", "/v1/models/", PROCESS),
    malformed("GET", "/v1/models/published/", PROCESS),
    malformed("GET", "/v1/models/published/versions/", PROCESS),
    malformed("GET", "/v1/models/published/versions/-1", PROCESS),
    malformed("GET", "/v1/models/published/versions/1.0", PROCESS),
    malformed("GET", "/v1/models/published/labels/", PROCESS),
    malformed("GET", "/v1/models/published/metadata/", PROCESS),
    malformed("GET", "/v1/models//metadata/x", PROCESS),
    malformed("GET", "/v1/models/published/versions/1/labels/stable", PROCESS),
    malformed("POST", "/v1/models/published", PROCESS, body=ONE),
    malformed("POST", "/v1/models/published:", PROCESS, body=ONE),
    malformed("POST", "/v1/models/published:explain", PROCESS, body=ONE),
    malformed("POST", "/v1/models/published:predict/", PROCESS, body=ONE),
    malformed("POST", "/v1/models/published/:predict", PROCESS, body=ONE),
    malformed("POST", "/v1/models/:predict", PROCESS, body=ONE),
    malformed("POST", "/v1/models/published:predict:predict", PROCESS, body=ONE),
    *(
        malformed(
            "POST",
            f"/v1/models/published:{verb}",
            f"{PROCESS}: the path matches in any case, the verb does not",
            body=ONE,
        )
        for verb in ("PREDICT", "Predict", "Classify", "REGRESS")
    ),
    http(
        "POST",
        "/V1/MODELS/published/Versions/1:predict",
        f"{PARSE} (case does not count)",
        body=ONE,
        json=DOUBLE,
    ),
    *(
        malformed(method, path, PROCESS)
        for method in ("PUT", "DELETE", "PATCH")
        for path in ("/v1/models/published", "/v1/models/published:predict", "/v1/foo")
    ),
    http("HEAD", "/v1/models/published", PROCESS, status=400, body=b""),
    malformed(
        "POST",
        "/v1/models/published:predict?a=1",
        f"{NET}: the query is part of the path",
        body=ONE,
    ),
    http(
        "GET",
        "/v1/models/published?a=1",
        f"{NET}: the query is part of the path, so of the name",
        status=404,
        error="Could not find any versions of model published?a=1",
    ),
    http("GET", "/v1/models?a=1", f"{NET} and {PROCESS}", error=f"{MALFORMED}GET /v1/models?a=1"),
    malformed("GET", "/v1/models/published/versions/1?a=1", f"{NET} and {PROCESS}"),
    malformed("GET", "/v1/models/published/metadata?a=1", f"{NET} and {PROCESS}"),
    http(
        "GET",
        "/v1/models/published?metadata",
        f"{NET}",
        status=404,
        error="Could not find any versions of model published?metadata",
    ),
    http(
        "GET",
        "http://host.example/v1/models/published/versions/1",
        f"{NET}: the path of an absolute URI",
        json=status(1),
    ),
    http(
        "OPTIONS",
        "/v1/models/published:predict",
        f"{SERVER} ProcessRequest",
        sent={"Origin": "http://example.com"},
        status=200,
        headers={"Access-Control-Allow-Origin": None},
    ),
    http(
        "OPTIONS",
        "/v1/foo",
        f"{SERVER} ProcessRequest",
        sent={"Origin": "https://example.com"},
        id="OPTIONS of any path, https",
        status=200,
    ),
    http(
        "OPTIONS",
        "/v1/models/published",
        f"{SERVER} ProcessRequest",
        id="OPTIONS without Origin",
        status=400,
    ),
    http(
        "OPTIONS",
        "/v1/models/published",
        f"{SERVER} ProcessRequest",
        id="OPTIONS of another scheme",
        sent={"Origin": "ftp://example.com"},
        status=400,
    ),
    http(
        "OPTIONS",
        "/v1/models/published",
        f"{SERVER} ProcessRequest",
        id="OPTIONS with a scheme inside",
        sent={"Origin": "x http://"},
        status=200,
    ),
    http(
        "GET",
        "/v1/models/published/versions/1",
        f"{SERVER}: no CORS headers unless --enable_cors_support",
        id="no CORS headers without the flag",
        sent={"Origin": "http://example.com"},
        headers={"Access-Control-Allow-Origin": None, "Access-Control-Allow-Methods": None},
    ),
    *(
        http(
            "POST",
            "/v1/models/published:predict",
            f"{NET} ReadRequestGzipBytes",
            id=f"gzip body, Content-Encoding: {encoding}",
            body=gzip.compress(ONE),
            sent={"Content-Encoding": encoding},
            json=DOUBLE,
        )
        for encoding in ("gzip", "x-gzip", "deflate, gzip")
    ),
    http(
        "POST",
        "/v1/models/published:predict",
        f"{NET} NeedUncompressGzipContent",
        id="plain body that claims to be gzip",
        body=ONE,
        sent={"Content-Encoding": "gzip"},
        error="JSON Parse error: The document is empty",
    ),
    http(
        "POST",
        "/v1/models/published:predict",
        f"{NET} NeedUncompressGzipContent",
        id="gzip body without its header",
        body=gzip.compress(ONE),
        error="JSON Parse error: Invalid value. at offset: 0",
    ),
    http(
        "POST",
        "/v1/models/published:predict",
        f"{NET} NeedUncompressGzipContent",
        id="an encoding that is not known is left as it is",
        body=ONE,
        sent={"Content-Encoding": "br"},
        json=DOUBLE,
    ),
    http(
        "POST",
        "/v1/models/published:predict",
        f"{NET} NeedUncompressGzipContent",
        id="deflate alone is not undone",
        body=zlib.compress(ONE),
        sent={"Content-Encoding": "deflate"},
        error="JSON Parse error: Invalid value. at offset: 0",
    ),
    http(
        "POST",
        "/v1/models/published:predict",
        f"{SERVER}: the request's type does not count",
        id="Content-Type of a form",
        body=ONE,
        sent={"Content-Type": "application/x-www-form-urlencoded"},
        json=DOUBLE,
    ),
    http(
        "POST",
        "/v1/models/published:predict",
        f"{SERVER}: the request's type does not count",
        id="Content-Type of UTF-16",
        body=ONE,
        sent={"Content-Type": "application/json; charset=utf-16"},
        json=DOUBLE,
    ),
    http(
        "GET",
        "/v1/models/published/versions/1",
        PROCESS,
        id="GET with a body",
        body=b"{",
        sent={"Content-Length": "1"},
        json=status(1),
    ),
    http(
        "GET",
        "/metrics",
        f"{SERVER} ProcessPrometheusRequest",
        headers={"Content-Type": "text/plain"},
    ),
    http("GET", "/metrics?a=1", f"{SERVER} ProcessPrometheusRequest", status=400, body=b""),
    http("POST", "/metrics", f"{SERVER} ProcessPrometheusRequest, for any method", status=200),
    http(
        "GET",
        "/v1/models/published/labels/stable",
        "model_servers/get_model_status_impl.cc GetModelStatusWithModelSpec: a label is not looked at",
        json=status(2, 1),
    ),
    http(
        "GET",
        "/v1/models/published/labels/none",
        "model_servers/get_model_status_impl.cc GetModelStatusWithModelSpec: a label is not looked at",
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
    http(
        "POST",
        "/v1/models/published/versions/9223372036854775807:predict",
        PARSE,
        body=ONE,
        status=404,
        error="Servable not found for request: Specific(published, 9223372036854775807)",
    ),
    http(
        "POST",
        "/v1/models/published/versions/0:predict",
        PARSE,
        body=ONE,
        status=404,
        error="Servable not found for request: Specific(published, 0)",
    ),
    http("POST", "/v1/models/published/versions/0001:predict", PARSE, body=ONE, json=DOUBLE),
    http(
        "POST",
        "/v1/models/published%zz:predict",
        f"{PARSE}: a wrong escape stays as it is (libcurl)",
        body=ONE,
        status=404,
        error="Latest(published%zz)",
    ),
    http(
        "POST",
        "/v1/models/a%20b+c:predict",
        f"{PARSE}: a plus sign stays as it is (libcurl)",
        body=ONE,
        status=404,
        error="Latest(a b+c)",
    ),
]
