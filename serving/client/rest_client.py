"""A client for the REST surface. It imports no TensorFlow."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Sequence
from typing import Any, Unpack

import urllib3

from serving import errors
from serving.client.model_client import ModelClient, Options, check_one_form

_MAX_CONNECTIONS = 32


class RestClient(ModelClient):
    """Asks one model over REST; may be shared by threads.

    `url` is where the server listens: "http://127.0.0.1:8501", or just "127.0.0.1:8501".
    Connections are kept and used again. A request that found the port closed, that was cut
    off, or that was answered with 503 is sent again up to `num_retries` times, each after twice
    the pause: a prediction changes nothing, so that is safe.
    """

    def __init__(self, url: str, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        if "://" not in url:
            url = f"http://{url}"
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                f"url must be like http://127.0.0.1:8501. Received: {url!r}. Add scheme and host."
            )
        self.url = url.rstrip("/")
        path = f"/v1/models/{urllib.parse.quote(self.model_name, safe='')}"
        if self.version is not None:
            path += f"/versions/{self.version}"
        elif self.label is not None:
            path += f"/labels/{urllib.parse.quote(self.label, safe='')}"
        self._model_url = self.url + path
        self._pool = urllib3.PoolManager(maxsize=_MAX_CONNECTIONS, retries=False)

    def predict(
        self,
        *,
        instances: Sequence[Any] | None = None,
        inputs: Any = None,
        signature_name: str | None = None,
    ) -> Any:
        check_one_form(instances, inputs)
        document: dict[str, Any] = {}
        if signature_name is not None:
            document["signature_name"] = signature_name
        if instances is not None:
            document["instances"] = list(instances)
            return self._request("POST", ":predict", document)["predictions"]
        document["inputs"] = inputs
        return self._request("POST", ":predict", document)["outputs"]

    def status(self) -> dict[str, Any]:
        return self._request("GET", "")

    def metadata(self) -> dict[str, Any]:
        return self._request("GET", "/metadata")

    def close(self) -> None:
        self._pool.clear()

    def _request(self, method: str, suffix: str, document: object = None) -> dict[str, Any]:
        """Sends a request, again if need be, and returns the answer's JSON object."""
        body = None if document is None else json.dumps(document).encode("utf-8")
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        url = self._model_url + suffix
        return self._ask_again(lambda seconds: self._send(method, url, body, headers, seconds))

    def _send(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: dict[str, str],
        timeout_seconds: float,
    ) -> dict[str, Any]:
        try:
            response = self._pool.request(
                method,
                url,
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(total=timeout_seconds),
                redirect=False,
            )
        # NewConnectionError is also a timeout error, so it stands first.
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ProtocolError) as error:
            raise errors.UnavailableError(
                f"{self.url} must be reachable. Received: {error}. Is the server running?"
            ) from error
        except urllib3.exceptions.TimeoutError as error:
            raise errors.DeadlineExceededError(
                f"{url} did not answer within {self.timeout_seconds} s."
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise errors.UnavailableError(f"{url}: {type(error).__name__}: {error}") from error
        return _read_answer(url, response.status, response.data)


def _read_answer(url: str, status: int, body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if status == 200 and isinstance(document, dict):
        return document
    if isinstance(document, dict) and isinstance(document.get("error"), str):
        raise errors.error_for_http_status(status, document["error"])
    text = body[:200].decode("utf-8", errors="replace")
    if status == 200:
        raise errors.InternalError(f"{url} must answer with a JSON object. Received: {text!r}.")
    raise errors.error_for_http_status(status, f"{url}: {text!r}")
