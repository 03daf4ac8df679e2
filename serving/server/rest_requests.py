"""What a REST request asks, by its path, and the JSON of the answer.

POST /v1/models/NAME[/versions/N|/labels/L]:predict|classify|regress
GET  /v1/models/NAME[/versions/N|/labels/L][/metadata]
"""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.parse
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import classification_pb2, regression_pb2

from serving import errors
from serving.formats import json_tensors, json_text, predict_json, status_json
from serving.server import inference, messages
from serving.server.examples_json import read_examples
from serving.server.manager import ModelManager
from serving.server.servable import DEFAULT_SIGNATURE_NAME, Servable

PREFIX = "/v1/"
_SPEC_PATTERN = r"(?:/versions/([0-9]+)|/labels/([^/:]+))?"
_PREDICTION_PATTERN = re.compile(
    rf"/v1/models/([^/:]+){_SPEC_PATTERN}:(classify|regress|predict)", re.IGNORECASE
)
_STATUS_PATTERN = re.compile(
    rf"/v1/models(?:/([^/:]+))?{_SPEC_PATTERN}(?:/(metadata))?", re.IGNORECASE
)
_PATTERNS = {"POST": _PREDICTION_PATTERN, "GET": _STATUS_PATTERN}
_MAX_VERSION = 2**63 - 1
_Use = contextlib.AbstractContextManager[tuple[int, Servable]]


def answer(models: ModelManager, method: str, path: str, body: bytes, *, deadline_at: float) -> str:
    """Answers a request whose path begins with `PREFIX`, and counts it; raises `ServingError`.

    `deadline_at`: by the monotonic clock.
    """
    with models.metrics.watch("REST") as asked:
        match = _PATTERNS[method].fullmatch(path) if method in _PATTERNS else None
        if match is None:
            raise errors.InvalidArgumentError(f"Malformed request: {method} {path}")
        asked.model_name, version, label = _read_model_spec(match)
        if method == "GET":
            return _describe(models, asked.model_name, version, label, match[4])
        asked.api = match[4]
        # The pattern takes capitals; a verb must not have them.
        if asked.api not in ("predict", *_INFERENCES):
            raise errors.InvalidArgumentError(f"Malformed request: {method} {path}")
        document = json_text.parse_json_object(body)
        use = models.use_version(asked.model_name, version=version, label=label)
        if asked.api == "predict":
            return _predict(document, use, deadline_at)
        return _infer(asked.api, document, use, deadline_at)


def _predict(document: json_text.JsonObject, use: _Use, deadline_at: float) -> str:
    signature_name = predict_json.read_signature_name(document)
    with use as (_, servable):
        signature = _find_signature(servable, signature_name)
        inputs, is_row_form = predict_json.read_inputs(document, signature)
        outputs = servable.predict(
            inputs,
            signature_name=signature_name,
            timeout_seconds=deadline_at - time.monotonic(),
        )
    return predict_json.write_outputs(outputs, is_row_form=is_row_form)


def _infer(verb: str, document: json_text.JsonObject, use: _Use, deadline_at: float) -> str:
    method, to_json = _INFERENCES[verb]
    signature_name = predict_json.read_signature_name(document)
    examples = read_examples(document)
    with use as (_, servable):
        result = inference.infer(
            method,
            servable,
            examples,
            signature_name=signature_name,
            timeout_seconds=deadline_at - time.monotonic(),
        )
    return to_json(result)


def _describe(
    models: ModelManager, name: str, version: int | None, label: str | None, subresource: str | None
) -> str:
    """The metadata or the status of a model."""
    if not name:
        raise errors.InvalidArgumentError("Missing model name in request.")
    if subresource == "metadata":
        found = messages.build_metadata(models, name, version=version, label=label)
        return json.dumps(status_json.metadata_to_json(found))
    # As in TensorFlow Serving a label is left aside, and every version told.
    states = messages.build_status(models, name, version=version)
    return json.dumps(status_json.status_to_json(states), ensure_ascii=False)


def _classes_to_json(result: classification_pb2.ClassificationResult) -> str:
    """TensorFlow Serving's JSON: a list of [label, score] for each example."""
    rows = []
    for classifications in result.classifications:
        labels = (json.dumps(entry.label, ensure_ascii=False) for entry in classifications.classes)
        scores = _numbers_to_json(entry.score for entry in classifications.classes)
        pairs = (f"[{label}, {score}]" for label, score in zip(labels, scores, strict=True))
        rows.append(f"[{', '.join(pairs)}]")
    return f'{{"results": [{", ".join(rows)}]}}'


def _values_to_json(result: regression_pb2.RegressionResult) -> str:
    """TensorFlow Serving's JSON: a number for each example."""
    values = _numbers_to_json(entry.value for entry in result.regressions)
    return f'{{"results": [{", ".join(values)}]}}'


def _numbers_to_json(values: Iterable[float]) -> list[str]:
    return json_tensors.decimals_to_json(np.fromiter(values, dtype=np.float32))


_INFERENCES: dict[str, tuple[inference.Method, Callable[[Any], str]]] = {
    "classify": (inference.CLASSIFY, _classes_to_json),
    "regress": (inference.REGRESS, _values_to_json),
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


def _read_model_spec(match: re.Match[str]) -> tuple[str, int | None, str | None]:
    name, version, label = _unquote(match[1] or ""), match[2], match[3]
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
        _unquote(label) if label else None,
    )


def _unquote(text: str) -> str:
    return urllib.parse.unquote(text, errors="surrogateescape")
