"""Methods, queries, headers and bodies of HTTP requests, and the metrics."""

import gzip
import zlib

from tests.serving.stock.case import Answer, RestCase
from tests.serving.stock.http_text import (
    DOUBLE,
    MALFORMED,
    NET,
    ONE,
    PROCESS,
    SERVER,
    http,
    malformed,
    status,
)

LIBEVENT = "third_party/libevent (2.1.12) http.c evhttp_handle_request"
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}

CASES = [
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
    *(
        http(method, "/v1/models/published", LIBEVENT, status=501)
        for method in ("TRACE", "BREW", "get", "post", "PROPFIND")
    ),
    http(
        "POST",
        "/v1/models/published:predict",
        f"{LIBEVENT}, evhttp_handle_chunked_read",
        id="a body in chunks",
        body=b"5\r\n" + ONE[:5] + b"\r\n%x\r\n" % (len(ONE) - 5) + ONE[5:] + b"\r\n0\r\n\r\n",
        sent={"Transfer-Encoding": "chunked", "Content-Length": None},
        json=DOUBLE,
    ),
    http(
        "POST",
        "/v1/models/published:predict",
        f"{LIBEVENT}, evhttp_get_body: without a length there is no body",
        id="a body without its length",
        sent={"Content-Length": None},
        error="JSON Parse error: The document is empty",
    ),
    http(
        "POST",
        "/v1/models/published:predict",
        f"{LIBEVENT}, evhttp_have_expect",
        id="an expectation that cannot be met",
        body=ONE,
        sent={"Expect": "200-ok"},
        status=417,
    ),
    *(
        RestCase(
            f"CORS: {method} {path}",
            path,
            Answer(code, headers=CORS),
            f"{SERVER} ProcessRequest",
            method,
            body,
            {"Origin": origin} if origin else {},
            has_cors=True,
        )
        for method, path, body, origin, code in (
            ("POST", "/v1/models/published:predict", ONE, "http://example.com", 200),
            ("POST", "/v1/models/published:predict", ONE, "", 200),
            ("POST", "/v1/models/published:predict", b"{", "http://example.com", 400),
            ("GET", "/v1/models/published/versions/1", b"", "http://example.com", 200),
            ("GET", "/v1/models/none", b"", "http://example.com", 404),
            ("OPTIONS", "/v1/models/published:predict", b"", "http://example.com", 200),
            ("OPTIONS", "/v1/models/published:predict", b"", "", 400),
        )
    ),
    RestCase(
        "CORS: not beyond the paths of models",
        "/index",
        Answer(404, headers={"Access-Control-Allow-Origin": None}),
        f"{SERVER} RestApiRequestDispatcher.Dispatch",
        "GET",
        has_cors=True,
    ),
]
