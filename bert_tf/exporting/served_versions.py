"""Asks TensorFlow Servings whether they have done what `models.config` says.

In: the REST address of one server, or a name that stands for many, such as a headless service of
Kubernetes. Out: what each of them still lacks. The model's metadata tells it: they are answered for
a version that is loaded, and of a label they name the version. (A status is no answer: of a label
TensorFlow Serving tells the states of all versions.)
"""

import http.client
import json
import logging
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote, urlsplit

log = logging.getLogger(__name__)

SECONDS_A_REQUEST = 10.0
SECONDS_BETWEEN = 1.0


def wait_until_served(
    server: str,
    *,
    name: str,
    versions: Sequence[int] = (),
    labels: Mapping[str, int] | None = None,
    timeout_seconds: float,
) -> int:
    """Wait until every server at an address has the versions and labels; their number.

    Raises:
        ValueError: the address is none.
        TimeoutError: one of them lacks something still; the message says which and what.
    """
    ends_at = time.monotonic() + timeout_seconds
    while True:
        addresses, lacking = _ask(server, name=name, versions=versions, labels=labels or {})
        if addresses and not lacking:
            return len(addresses)
        if time.monotonic() >= ends_at:
            raise TimeoutError(
                f"{server}: every server must have what models.config says of {name!r} within "
                f"{timeout_seconds:g} s. Received: {'; '.join(lacking)}. Look at the log of the "
                "server, and see `Roll-out and roll-back` in docs/operations.md."
            )
        time.sleep(min(SECONDS_BETWEEN, max(0.0, ends_at - time.monotonic())))


def check_served(server: str, *, name: str, version: int) -> None:
    """That every server at an address has a version loaded now.

    Raises:
        ValueError: one has not, or the address is none.
    """
    _, lacking = _ask(server, name=name, versions=[version], labels={})
    if lacking:
        raise ValueError(
            f"{server}: every server must have version {version} of {name!r} before a label stands "
            f"for it. Received: {'; '.join(lacking)}. `bert-tf serving wait` waits for them."
        )


def _ask(
    server: str, *, name: str, versions: Sequence[int], labels: Mapping[str, int]
) -> tuple[list[str], list[str]]:
    """The addresses behind the name, and what is lacking at them."""
    url = urlsplit(server)
    if url.scheme != "http" or not url.hostname or url.path not in ("", "/"):
        raise ValueError(
            "A server is given as http://HOST:PORT: TensorFlow Serving has no TLS over REST, and a "
            f"gateway would hide which server answers. Received: {server!r}."
        )
    port = url.port or 8501
    try:
        found = socket.getaddrinfo(url.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        return [], [f"{url.hostname} has no address ({error.strerror or error})"]
    hosts = sorted({str(entry[4][0]) for entry in found})
    if url.hostname == "localhost":  # One server, whether it listens at ::1 or not.
        hosts = ["127.0.0.1"]
    lacking = []
    for host in hosts:
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lacks = _lacks(host, port, name=name, versions=versions, labels=labels)
        lacking += [f"{place} {what}" for what in lacks]
    return hosts, lacking


def _lacks(
    host: str, port: int, *, name: str, versions: Sequence[int], labels: Mapping[str, int]
) -> Iterator[str]:
    path = f"/v1/models/{quote(name, safe='')}"
    try:
        for version in versions:
            if _version_at(host, port, f"{path}/versions/{version}/metadata") != version:
                yield f"has not loaded version {version}"
        for label, version in labels.items():
            at = _version_at(host, port, f"{path}/labels/{quote(label, safe='')}/metadata")
            if at != version:
                yield f"has {label} at {at or 'no version'}, not at {version}"
    except (OSError, http.client.HTTPException) as error:
        yield f"does not answer ({error or type(error).__name__})"


def _version_at(host: str, port: int, path: str) -> int | None:
    """The version whose metadata are answered; None where none is loaded."""
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS_A_REQUEST)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        return None
    try:
        return int(json.loads(body)["model_spec"]["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise http.client.HTTPException("not with a model's metadata") from error
