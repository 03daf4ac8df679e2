"""What the tables of HTTP requests share: how a row is written, and the names of sources."""

from tests.serving.stock.case import Answer, Deviation, RestCase

HANDLER = "model_servers/http_rest_api_handler_test.cc HttpRestApiHandlerTest"
PARSE = "model_servers/http_rest_api_util.cc ParseModelInfo"
PROCESS = "model_servers/http_rest_api_handler.cc ProcessRequest"
SERVER = "model_servers/http_server.cc"
NET = "util/net_http/server/internal/evhttp_request.cc"
MALFORMED = "Malformed request: "
ONE, DOUBLE = b'{"instances": [1.0, 2.0]}', '{"predictions": [2.5, 3.0]}'


def http(
    method: str,
    path: str,
    source: str,
    *,
    id: str = "",
    body: bytes = b"",
    ours: Deviation | None = None,
    sent: dict[str, str | None] | None = None,
    **answer: object,
) -> RestCase:
    if answer.get("error") is not None:
        answer.setdefault("status", 400)
    stock = Answer(**answer)  # type: ignore[arg-type]
    return RestCase(id or f"{method} {path}", path, stock, source, method, body, sent or {}, ours)


def malformed(method: str, path: str, source: str, **more: object) -> RestCase:
    return http(method, path, source, error=f"{MALFORMED}{method} {path}", **more)


def status(*versions: int) -> str:
    entries = (
        f'{{"version": "{version}", "state": "AVAILABLE",'
        ' "status": {"error_code": "OK", "error_message": ""}}'
        for version in versions
    )
    return '{"model_version_status": [' + ", ".join(entries) + "]}"
