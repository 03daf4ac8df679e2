"""The rows of the tables: a request, the answer of TensorFlow Serving 2.20.0, its source, and ours.

    predict("int32", '{"instances": [1, 2]}', json='{"predictions": [1, 2]}', source=...)

`source` names the file and the test or function of TensorFlow Serving at 2.20.0 that the answer
follows from. Paths are relative to `tensorflow_serving/`. The requests are written for the tests;
names and values are facts about the server.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Answer:
    """What comes back over HTTP. What is None is not looked at."""

    status: int = 200
    json: str | None = None
    """The body as JSON. Numbers are compared as they are written: 1 is not 1.0."""
    error: str | None = None
    """Words of the body's `error`."""
    holds: bytes | None = None
    """Bytes that the body holds, spaces and line ends left out."""
    headers: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    """Headers by name; None is one that is not sent."""
    examples: tuple[str, ...] | None = None
    """The examples that reached the model `examples`, in text form."""


@dataclasses.dataclass(frozen=True)
class Deviation:
    """The local server's own answer, where the project wants another than TensorFlow Serving's."""

    answer: Answer
    reason: str


@dataclasses.dataclass(frozen=True)
class RestCase:
    """One HTTP request. It goes out byte for byte as it stands here."""

    id: str
    path: str
    stock: Answer
    source: str
    method: str = "POST"
    body: bytes = b""
    headers: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    ours: Deviation | None = None
    has_cors: bool = False
    """Asked of a server with `--rest_api_enable_cors_support`."""

    @property
    def expected(self) -> Answer:
        """What the local server must answer."""
        return self.ours.answer if self.ours else self.stock


@dataclasses.dataclass(frozen=True)
class GrpcCase:
    """One gRPC request; messages are in text form."""

    id: str
    method: str
    """Name of the method, such as "Predict"."""
    request: str
    source: str
    response: str | None = None
    code: str = "OK"
    error: str = ""
    """Words of the status message."""


def predict(
    model: str, body: str | bytes, *, source: str, id: str = "", **answer: object
) -> RestCase:
    """A predict request to one of the models of `models.py`."""
    return _post(model, "predict", body, source=source, id=id, **answer)


def classify(
    model: str, body: str | bytes, *, source: str, id: str = "", **answer: object
) -> RestCase:
    return _post(model, "classify", body, source=source, id=id, **answer)


def regress(
    model: str, body: str | bytes, *, source: str, id: str = "", **answer: object
) -> RestCase:
    return _post(model, "regress", body, source=source, id=id, **answer)


def _post(
    model: str,
    verb: str,
    body: str | bytes,
    *,
    source: str,
    id: str,
    ours: Deviation | None = None,
    **answer: object,
) -> RestCase:
    raw = body.encode() if isinstance(body, str) else body
    if answer.get("error") is not None:
        answer.setdefault("status", 400)
    shown = raw[:60].decode("latin-1")
    return RestCase(
        id or f"{model}:{verb} {shown}",
        f"/v1/models/{model}:{verb}",
        Answer(**answer),  # type: ignore[arg-type]
        source,
        body=raw,
        ours=ours,
    )
