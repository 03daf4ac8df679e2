"""The REST surface: an ASGI application with TensorFlow Serving's paths, answers and errors.

    POST /v1/models/NAME[/versions/N|/labels/L]:predict|classify|regress
    GET  /v1/models/NAME[/versions/N|/labels/L][/metadata]
    GET  /monitoring/prometheus/metrics

Parsing, the model and writing run in a thread pool, so that the event loop only moves bytes. What
comes while so many requests are under way that more would only wait is refused at once.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import json
import logging
import re
import time
import urllib.parse
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from tensorflow.core.protobuf import meta_graph_pb2

from serving import errors
from serving.formats import json_text, predict_json, status_json
from serving.server import inference, messages
from serving.server.examples_json import read_examples
from serving.server.manager import ModelManager
from serving.server.metrics import CONTENT_TYPE, Metrics
from serving.server.models import find_model
from serving.server.servable import DEFAULT_SIGNATURE_NAME, Servable

_logger = logging.getLogger(__name__)

_SPEC_PATTERN = r"(?:/versions/([0-9]+)|/labels/([^/:]+))?"
_PREDICTION_PATTERN = re.compile(
    rf"/v1/models/([^/:]+){_SPEC_PATTERN}:(classify|regress|predict)", re.IGNORECASE
)
_STATUS_PATTERN = re.compile(
    rf"/v1/models(?:/([^/:]+))?{_SPEC_PATTERN}(?:/(metadata))?", re.IGNORECASE
)
_PATTERNS = {"POST": _PREDICTION_PATTERN, "GET": _STATUS_PATTERN}
_ORIGIN = re.compile("^https?://[^/]*", re.IGNORECASE)
_MAX_VERSION = 2**63 - 1
_CORS_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}


@dataclasses.dataclass(frozen=True)
class RestLimits:
    """What the REST surface takes."""

    timeout_seconds: float = 30.0
    """Of a request, from its arrival on."""
    max_requests: int = 1024
    """At once; more are answered with UNAVAILABLE."""
    max_body_bytes: int = 64 << 20


def build_rest_app(
    models: ModelManager,
    *,
    executor: concurrent.futures.Executor,
    limits: RestLimits | None = None,
    metrics_path: str | None = None,
    has_cors: bool = False,
) -> ASGIApp:
    """Makes the application.

    `metrics_path`: where metrics are read; None is nowhere. `has_cors`: whether answers have the
    headers that let pages of other hosts read them.
    """
    limits = limits or RestLimits()
    num_requests = 0

    async def answer_request(request: Request) -> Response:
        nonlocal num_requests
        if num_requests >= limits.max_requests:
            return _error_response(
                errors.UnavailableError(
                    f"The server has {num_requests} requests under way. Try again later."
                )
            )
        num_requests += 1
        try:
            response = await read_and_answer(request)
        finally:
            num_requests -= 1
        if has_cors:
            response.headers.update(_CORS_HEADERS)
        return response

    async def read_and_answer(request: Request) -> Response:
        deadline_at = time.monotonic() + limits.timeout_seconds
        # Still percent-encoded, so that a name may hold a slash or a colon; as in TensorFlow
        # Serving a query belongs to it.
        path = _ORIGIN.sub("", request.scope["raw_path"].decode("latin-1"))
        if query := request.scope["query_string"].decode("latin-1"):
            path = f"{path}?{query}"
        if metrics_path and path.partition("?")[0] == metrics_path:
            return _answer_metrics(models.metrics, path, metrics_path)
        try:
            async with asyncio.timeout(limits.timeout_seconds):
                body = await _read_body(request, limits.max_body_bytes)
        except ClientDisconnect:
            return _error_response(errors.CancelledError("The client closed the connection."))
        except TimeoutError:
            return _error_response(errors.DeadlineExceededError("The request came too slowly."))
        except errors.ServingError as error:
            return _error_response(error)
        if request.method == "OPTIONS" and path.lower().startswith("/v1/"):
            return _answer_preflight(request.headers.get("origin", ""))
        return await asyncio.get_running_loop().run_in_executor(
            executor, _answer, models, request.method, path, body, deadline_at
        )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await answer_request(Request(scope, receive))
        await response(scope, receive, send)

    return app


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
        if not path.lower().startswith("/v1/"):
            raise errors.NotFoundError(f"Not found: {path}. Paths start with /v1/models/.")
        match = _PATTERNS[method].fullmatch(path) if method in _PATTERNS else None
        if match is None:
            raise errors.InvalidArgumentError(f"Malformed request: {method} {path}")
        name, version, label = _read_model_spec(match)
        # The pattern takes capitals, and what it found must not have them: so it is there, too.
        if method == "GET":
            return _json_response(200, _answer_about_model(models, match, name, version, label))
        if match[4] not in ("classify", "regress", "predict"):
            raise errors.InvalidArgumentError(f"Malformed request: {method} {path}")
        ask = _Question(models, name, version, label, deadline_at)
        return _json_response(
            200, ask.predict(body) if match[4] == "predict" else ask.infer(match[4], body)
        )
    except errors.ServingError as error:
        return _error_response(error)
    except MemoryError:
        return _error_response(errors.ResourceExhaustedError("The server is out of memory."))
    except Exception as error:
        _logger.exception("%s %s failed", method, path)
        return _error_response(errors.InternalError(f"{type(error).__name__}: {error}"))


@dataclasses.dataclass(frozen=True)
class _Question:
    """What a request asks of which model, and until when."""

    models: ModelManager
    name: str
    version: int | None
    label: str | None
    deadline_at: float

    def predict(self, body: bytes) -> str:
        with self.models.metrics.watch(self.name, "Predict", "REST"):
            document = json_text.parse_json_object(body)
            signature_name = predict_json.read_signature_name(document)
            with self._use_model() as servable:
                signature = _find_signature(servable, signature_name)
                inputs, is_row_form = predict_json.read_inputs(document, signature)
                outputs = servable.predict(
                    inputs,
                    signature_name=signature_name,
                    timeout_seconds=self.deadline_at - time.monotonic(),
                )
        return predict_json.write_outputs(outputs, is_row_form=is_row_form)

    def infer(self, verb: str, body: bytes) -> str:
        """Classify and Regress, which differ in what they run and write only."""
        run, to_json = _INFERENCES[verb]
        with self.models.metrics.watch(self.name, verb.capitalize(), "REST"):
            document = json_text.parse_json_object(body)
            signature_name = predict_json.read_signature_name(document)
            examples = read_examples(document)
            with self._use_model() as servable:
                result = run(
                    servable,
                    examples,
                    signature_name=signature_name,
                    timeout_seconds=self.deadline_at - time.monotonic(),
                )
        return to_json(result)

    @contextlib.contextmanager
    def _use_model(self) -> Iterator[Servable]:
        model = find_model(self.models, self.name, version=self.version, label=self.label)
        with model.use_version(version=self.version, label=self.label) as (_, servable):
            yield servable


_INFERENCES: dict[str, tuple[Callable[..., Any], Callable[[Any], str]]] = {
    "classify": (inference.classify, inference.classes_to_json),
    "regress": (inference.regress, inference.values_to_json),
}


def _find_signature(servable: Servable, given_name: str) -> meta_graph_pb2.SignatureDef:
    signature_name = given_name or DEFAULT_SIGNATURE_NAME
    if signature_name not in servable.signatures:
        raise errors.InvalidArgumentError(
            f'Serving signature name: "{signature_name}" not found in signature def. '
            f"The model has: {', '.join(servable.signature_names())}."
        )
    signature = servable.signatures[signature_name]
    if not signature.inputs:
        raise errors.InvalidArgumentError(
            f"Failed to get input map for signature: {given_name or 'DEFAULT'}"
        )
    return signature


def _answer_about_model(
    models: ModelManager,
    match: re.Match[str],
    name: str,
    version: int | None,
    label: str | None,
) -> str:
    if not name:
        raise errors.InvalidArgumentError("Missing model name in request.")
    if match[4] == "metadata":
        found = messages.build_metadata(models, name, version=version, label=label)
        return json.dumps(status_json.metadata_to_json(found))
    # As in TensorFlow Serving a label is left aside, and every version told.
    found = messages.build_status(models, name, version=version)
    return json.dumps(status_json.status_to_json(found))


def _read_model_spec(match: re.Match[str]) -> tuple[str, int | None, str | None]:
    name, version, label = urllib.parse.unquote(match[1] or ""), match[2], match[3]
    # The length first: Python refuses to convert thousands of digits.
    digits = (version or "").lstrip("0")
    if len(digits) > 19 or int(digits or "0") > _MAX_VERSION:
        raise errors.InvalidArgumentError(
            f"Failed to convert version: {match[2][:40]} to numeric. "
            f"The highest version is {_MAX_VERSION}."
        )
    return (
        name,
        int(digits or "0") if version else None,
        urllib.parse.unquote(label) if label else None,
    )


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
