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
import dataclasses
import logging
import re
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from serving import errors
from serving.formats import predict_json, status_json
from serving.server import inference, messages
from serving.server.examples_json import read_examples
from serving.server.manager import ModelManager
from serving.server.metrics import CONTENT_TYPE
from serving.server.models import find_model
from serving.server.servable import DEFAULT_SIGNATURE_NAME, Servable

_logger = logging.getLogger(__name__)

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_MODEL_PATTERN = r"/v1/models/([^/:]+)(?:/versions/([0-9]+)|/labels/([^/:]+))?"
_PREDICTION_PATTERN = re.compile(_MODEL_PATTERN + r":(classify|regress|predict)", re.IGNORECASE)
_STATUS_PATTERN = re.compile(_MODEL_PATTERN + r"(/metadata)?", re.IGNORECASE)
_MAX_VERSION = 2**63 - 1


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
) -> Starlette:
    """Makes the application. `metrics_path`: where metrics are read; None is nowhere."""
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
            return await read_and_answer(request)
        finally:
            num_requests -= 1

    async def read_and_answer(request: Request) -> Response:
        deadline_at = time.monotonic() + limits.timeout_seconds
        # Still percent-encoded, so that a name may hold a slash or a colon.
        path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
        if path == metrics_path and request.method == "GET":
            return Response(models.metrics.render(), media_type=CONTENT_TYPE)
        try:
            async with asyncio.timeout(limits.timeout_seconds):
                body = await _read_body(request, limits.max_body_bytes)
        except ClientDisconnect:
            return _error_response(errors.CancelledError("The client closed the connection."))
        except TimeoutError:
            return _error_response(errors.DeadlineExceededError("The request came too slowly."))
        except errors.ServingError as error:
            return _error_response(error)
        return await asyncio.get_running_loop().run_in_executor(
            executor, _answer, models, request.method, path, body, deadline_at
        )

    return Starlette(routes=[Route("/{path:path}", answer_request, methods=_METHODS)])


async def _read_body(request: Request, max_bytes: int) -> bytes:
    parts, num_bytes = [], 0
    async for part in request.stream():
        parts.append(part)
        num_bytes += len(part)
        if num_bytes > max_bytes:
            raise errors.ResourceExhaustedError(
                f"Received message larger than max ({num_bytes} vs. {max_bytes})"
            )
    return b"".join(parts)


def _answer(
    models: ModelManager, method: str, path: str, body: bytes, deadline_at: float
) -> Response:
    """Answers one request; any error becomes an answer, too."""
    try:
        if not path.lower().startswith("/v1/"):
            raise errors.NotFoundError(f"Not found: {path}. Paths start with /v1/models/.")
        if method == "POST" and (match := _PREDICTION_PATTERN.fullmatch(path)):
            return _json_response(200, _answer_prediction(models, match, body, deadline_at))
        if method == "GET" and (match := _STATUS_PATTERN.fullmatch(path)):
            return _json_response(200, _answer_about_model(models, match))
        if method == "GET" and path.lower() == "/v1/models":
            raise errors.InvalidArgumentError("Missing model name in request.")
        raise errors.InvalidArgumentError(f"Malformed request: {method} {path}")
    except errors.ServingError as error:
        return _error_response(error)
    except Exception as error:
        _logger.exception("%s %s failed", method, path)
        return _error_response(errors.InternalError(f"{type(error).__name__}: {error}"))


def _answer_prediction(
    models: ModelManager, match: re.Match[str], body: bytes, deadline_at: float
) -> object:
    name, version, label = _read_model_spec(match)
    verb = match[4].lower()
    model = find_model(models, name, version=version)
    with models.metrics.watch(name, verb.capitalize(), "REST"):
        document = predict_json.parse_json_object(body)
        signature_name = predict_json.read_signature_name(document)
        with model.use_version(version=version, label=label) as (_, servable):
            if verb == "predict":
                return _predict(document, servable, signature_name, deadline_at)
            return _infer(verb, document, servable, signature_name, deadline_at)


def _predict(
    document: dict[str, Any], servable: Servable, signature_name: str, deadline_at: float
) -> object:
    signature_name = signature_name or DEFAULT_SIGNATURE_NAME
    if signature_name not in servable.signatures:
        raise errors.InvalidArgumentError(
            f'Serving signature name: "{signature_name}" not found in signature def. '
            f"The model has: {', '.join(servable.signature_names())}."
        )
    inputs, is_row_form = predict_json.read_inputs(document, servable.signatures[signature_name])
    outputs = servable.predict(
        inputs,
        signature_name=signature_name,
        timeout_seconds=deadline_at - time.monotonic(),
    )
    return predict_json.write_outputs(outputs, is_row_form=is_row_form)


def _infer(
    verb: str, document: dict[str, Any], servable: Servable, signature_name: str, deadline_at: float
) -> object:
    """Classify and Regress, which differ in what they run and write only."""
    run, to_json = _INFERENCES[verb]
    result = run(
        servable,
        read_examples(document, method=verb),
        signature_name=signature_name,
        timeout_seconds=deadline_at - time.monotonic(),
    )
    return to_json(result)


_INFERENCES: dict[str, tuple[Callable[..., Any], Callable[[Any], object]]] = {
    "classify": (inference.classify, inference.classes_to_json),
    "regress": (inference.regress, inference.values_to_json),
}


def _answer_about_model(models: ModelManager, match: re.Match[str]) -> object:
    name, version, label = _read_model_spec(match)
    if match[4]:
        return status_json.metadata_to_json(
            messages.build_metadata(models, name, version=version, label=label)
        )
    return status_json.status_to_json(
        messages.build_status(models, name, version=version, label=label)
    )


def _read_model_spec(match: re.Match[str]) -> tuple[str, int | None, str | None]:
    name, version, label = urllib.parse.unquote(match[1]), match[2], match[3]
    # The length first: Python refuses to convert thousands of digits.
    if version and (len(version) > 19 or int(version) > _MAX_VERSION):
        raise errors.InvalidArgumentError(
            f"Failed to convert version: {version[:40]} to numeric. "
            f"The highest version is {_MAX_VERSION}."
        )
    return name, int(version) if version else None, urllib.parse.unquote(label) if label else None


def _json_response(status: int, value: object) -> Response:
    return Response(predict_json.encode_json(value), status, media_type="application/json")


def _error_response(error: errors.ServingError) -> Response:
    return _json_response(errors.HTTP_STATUS.get(error.code, 500), {"error": error.message})
