"""The REST surface: an ASGI application with TensorFlow Serving's answers and errors.

`rest_requests` has the paths of models; those of metrics and of CORS are answered here.
Parsing, the model and writing run in a thread pool, so that the event loop only moves bytes. What
comes while so many requests are under way that more would only wait is refused at once.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import logging
import re
import time
import zlib
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving import errors
from serving.server.flags import Flags
from serving.server.manager import ModelManager
from serving.server.metrics import CONTENT_TYPE, Metrics
from serving.server.rest_requests import PREFIX, answer

_logger = logging.getLogger(__name__)

_ORIGIN = re.compile("^https?://[^/]*", re.IGNORECASE)
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "PATCH")
_CORS_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}


def build_rest_app(
    models: ModelManager, *, executor: concurrent.futures.Executor, flags: Flags
) -> ASGIApp:
    """Makes the application; `flags` tell what it takes, and until when."""
    num_requests = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal num_requests
        request = Request(scope, receive)
        if num_requests >= flags.max_requests:
            reason = f"The server has {num_requests} requests under way. Try again later."
            response = _error_response(errors.UnavailableError(reason))
        else:
            num_requests += 1
            try:
                response = await _read_and_answer(request, models, executor, flags)
            finally:
                num_requests -= 1
            if flags.rest_api_enable_cors_support and scope["path"].lower().startswith(PREFIX):
                response.headers.update(_CORS_HEADERS)
        await response(scope, receive, send)

    return app


async def _read_and_answer(
    request: Request,
    models: ModelManager,
    executor: concurrent.futures.Executor,
    flags: Flags,
) -> Response:
    timeout_seconds = flags.rest_api_timeout_in_ms / 1000
    deadline_at = time.monotonic() + timeout_seconds
    if request.method not in _METHODS:
        return _error_response(errors.UnimplementedError(f"Not a method: {request.method}"))
    if request.headers.get("expect", "100-continue").lower() != "100-continue":
        return Response(status_code=417)
    # Still percent-encoded, so that a name may hold a slash or a colon; as in TensorFlow Serving a
    # query belongs to it.
    path = _ORIGIN.sub("", request.scope["raw_path"].decode("latin-1"))
    if query := request.scope["query_string"].decode("latin-1"):
        path = f"{path}?{query}"
    if flags.metrics_path and path.partition("?")[0] == flags.metrics_path:
        return _answer_metrics(models.metrics, path, flags.metrics_path)
    try:
        async with asyncio.timeout(timeout_seconds):
            body = await _read_body(request, flags.max_request_bytes)
    except ClientDisconnect:
        return _error_response(errors.CancelledError("The client closed the connection."))
    except TimeoutError:
        return _error_response(errors.DeadlineExceededError("The request came too slowly."))
    except errors.ServingError as error:
        return _error_response(error)
    if request.method == "OPTIONS" and path.lower().startswith(PREFIX):
        return _answer_preflight(request.headers.get("origin", ""))
    return await asyncio.get_running_loop().run_in_executor(
        executor, _answer, models, request.method, path, body, deadline_at
    )


def _answer_metrics(metrics: Metrics, path: str, expected: str) -> Response:
    headers = {"Content-Type": CONTENT_TYPE}
    if path != expected:
        return Response(f"Unexpected path: {path}. Should be {expected}", 400, headers)
    return Response(metrics.render(), headers=headers)


async def _read_body(request: Request, max_bytes: int) -> bytes:
    """The body, decompressed if it is sent with gzip; `max_bytes` limits both forms."""
    decompress: Any = None
    if "gzip" in request.headers.get("content-encoding", ""):
        decompress = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    parts, num_bytes, num_sent = [], 0, 0
    async for part in request.stream():
        num_sent += len(part)
        if decompress is not None:
            try:
                part = decompress.decompress(part, max_bytes + 1 - num_bytes)
            except zlib.error as error:
                raise _not_gzip(str(error)) from error
        parts.append(part)
        num_bytes += len(part)
        if max(num_bytes, num_sent) > max_bytes:
            raise errors.ResourceExhaustedError(
                f"Received message larger than max ({max(num_bytes, num_sent)} vs. {max_bytes})"
            )
    if decompress is not None and num_sent and not decompress.eof:
        raise _not_gzip("It ends too early.")
    return b"".join(parts)


def _not_gzip(reason: str) -> errors.InvalidArgumentError:
    return errors.InvalidArgumentError(
        "JSON Parse error: The document is empty. The body must be gzip, as its header says. "
        f"Received: {reason}"
    )


def _answer_preflight(origin: str) -> Response:
    """What a browser asks before it lets a page of another host ask."""
    return Response(status_code=200 if re.search("https?://", origin) else 400)


def _answer(
    models: ModelManager, method: str, path: str, body: bytes, deadline_at: float
) -> Response:
    """Answers one request; any error becomes an answer, too."""
    try:
        if not path.lower().startswith(PREFIX):
            raise errors.NotFoundError(f"Not found: {path}. Paths start with /v1/models/.")
        return _json_response(200, answer(models, method, path, body, deadline_at=deadline_at))
    except errors.ServingError as error:
        return _error_response(error)
    except MemoryError:
        return _error_response(errors.ResourceExhaustedError("The server is out of memory."))
    except Exception as error:
        _logger.exception("%s %s failed", method, path)
        return _error_response(errors.InternalError(f"{type(error).__name__}: {error}"))


def _json_response(status: int, text: str) -> Response:
    # Whatever is not Unicode came in as bytes, or else, such as half a surrogate pair, in a path.
    try:
        body = text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        body = text.encode(errors="backslashreplace")
    return Response(body, status, media_type="application/json")


def _error_response(error: errors.ServingError) -> Response:
    text = json.dumps({"error": error.message}, ensure_ascii=False)
    return _json_response(errors.HTTP_STATUS.get(error.code, 500), text)
