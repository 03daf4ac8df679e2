"""The REST surface: an ASGI application with TensorFlow Serving's paths, answers and errors.

    POST /v1/models/NAME[/versions/N|/labels/L]:predict
    GET  /v1/models/NAME[/versions/N|/labels/L][/metadata]

Parsing, the model and writing run in a thread pool, so that the event loop only moves bytes.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import re
import time
import urllib.parse
from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from serving import errors, messages, predict_json
from serving.models import ServedModel, find_model
from serving.servable import DEFAULT_SIGNATURE_NAME

_logger = logging.getLogger(__name__)

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_MODEL_PATTERN = r"/v1/models/([^/:]+)(?:/versions/([0-9]+)|/labels/([^/:]+))?"
_PREDICTION_PATTERN = re.compile(_MODEL_PATTERN + r":(classify|regress|predict)", re.IGNORECASE)
_STATUS_PATTERN = re.compile(_MODEL_PATTERN + r"(/metadata)?", re.IGNORECASE)
_MAX_VERSION = 2**63 - 1


def build_rest_app(
    models: Mapping[str, ServedModel],
    *,
    executor: concurrent.futures.Executor,
    timeout_seconds: float,
) -> Starlette:
    """Makes the application. `timeout_seconds` limits a request from its arrival on."""

    async def answer_request(request: Request) -> Response:
        arrived_at = time.monotonic()
        # Still percent-encoded, so that a name may hold a slash or a colon.
        path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
        try:
            body = await request.body()
        except ClientDisconnect:
            return _error_response(errors.CancelledError("The client closed the connection."))
        return await asyncio.get_running_loop().run_in_executor(
            executor, _answer, models, request.method, path, body, arrived_at + timeout_seconds
        )

    return Starlette(routes=[Route("/{path:path}", answer_request, methods=_METHODS)])


def _answer(
    models: Mapping[str, ServedModel], method: str, path: str, body: bytes, deadline_at: float
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
    models: Mapping[str, ServedModel], match: re.Match[str], body: bytes, deadline_at: float
) -> object:
    name, version, label = _read_model_spec(match)
    verb = match[4].lower()
    if verb != "predict":
        raise errors.UnimplementedError(
            f"The local server does not have :{verb}. Use :predict, or TensorFlow Serving."
        )
    model = find_model(models, name, version=version)
    document = predict_json.parse_json_object(body)
    signature_name = predict_json.read_signature_name(document) or DEFAULT_SIGNATURE_NAME
    with model.use_version(version=version, label=label) as (_, servable):
        if signature_name not in servable.signatures:
            raise errors.InvalidArgumentError(
                f'Serving signature name: "{signature_name}" not found in signature def. '
                f"The model has: {', '.join(servable.signature_names())}."
            )
        signature = servable.signatures[signature_name]
        inputs, is_row_form = predict_json.read_inputs(document, signature)
        outputs = servable.predict(
            inputs,
            signature_name=signature_name,
            timeout_seconds=deadline_at - time.monotonic(),
        )
    return predict_json.write_outputs(outputs, is_row_form=is_row_form)


def _answer_about_model(models: Mapping[str, ServedModel], match: re.Match[str]) -> object:
    name, version, label = _read_model_spec(match)
    if match[4]:
        return messages.metadata_to_json(
            messages.build_metadata(models, name, version=version, label=label)
        )
    return messages.status_to_json(
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
