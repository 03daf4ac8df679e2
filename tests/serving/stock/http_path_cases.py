"""Paths of HTTP requests: which are answered, and what the others are told."""

from tests.serving.stock.case import Answer, Deviation
from tests.serving.stock.http_text import (
    DOUBLE,
    HANDLER,
    ONE,
    PARSE,
    PROCESS,
    SERVER,
    http,
    malformed,
)

BEYOND = "18446744073709551615"
EMPTY_REASON = "The answer says what is wrong; TensorFlow Serving's has an empty body."


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
    http(
        "GET",
        "/v1/models/%EA%B0%80",
        f"{PARSE} (DecodeArg)",
        status=404,
        error="Could not find any versions of model \uac00",
    ),
    http(
        "GET",
        "/v1/models/%FF",
        f"{PARSE} (DecodeArg): the bytes as they are",
        status=404,
        holds=b'"error":"Couldnotfindanyversionsofmodel\xff"',
    ),
    http(
        "GET",
        "/v1/models/a%00b",
        f"{PARSE} (DecodeArg): a zero byte, too",
        status=404,
        error="Could not find any versions of model a\0b",
    ),
    http(
        "POST",
        "/v1/models/none/labels/stable:predict",
        "model_servers/server_core.cc ServableRequestFromModelSpec: the label before the model",
        body=b'{"instances": [1]}',
        error="Unrecognized servable version label: stable",
    ),
    http(
        "GET",
        "/v1/models/none/labels/stable",
        "model_servers/get_model_status_impl.cc GetModelStatusWithModelSpec",
        status=404,
        error="Could not find any versions of model none",
    ),
]
