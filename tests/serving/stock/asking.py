"""Asks a server: over a bare socket, so that requests go out as they are written, and over gRPC."""

from __future__ import annotations

import dataclasses
import socket
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

import grpc


@dataclasses.dataclass(frozen=True)
class Reply:
    """An HTTP answer: its status, its headers with lower-case names, and its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(
    url: str,
    method: str,
    path: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str | None] | None = None,
    timeout_seconds: float = 60.0,
) -> Reply:
    """Sends one request and reads the answer to its end; a header that is None is not sent."""
    address = urllib.parse.urlsplit(url)
    fields = {"Host": address.netloc, "Connection": "close"}
    if body or method in ("POST", "PUT", "PATCH"):
        fields["Content-Length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1"]
    sent = fields | dict(headers or {})
    lines += [f"{key}: {value}" for key, value in sent.items() if value is not None]
    with socket.create_connection(
        (address.hostname, address.port), timeout=timeout_seconds
    ) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        raw = b"".join(iter(lambda: connection.recv(1 << 20), b""))
    return read_reply(raw)


def read_reply(raw: bytes) -> Reply:
    """Takes an answer apart; chunks are joined."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {key.strip().lower(): value.strip() for key, _, value in pairs}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = join_chunks(body)
    return Reply(int(first.split(" ")[1]), headers, body)


def join_chunks(body: bytes) -> bytes:
    parts = []
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            break
        parts.append(body[:length])
        body = body[length + 2 :]
    return b"".join(parts)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a gRPC call came to: a response, or a code other than OK with its message."""

    code: str = "OK"
    details: str = ""
    response: Any = None


def call(method: Callable[..., Any], request: Any, *, timeout_seconds: float = 30.0) -> Outcome:
    """Calls a method of a stub; an error is an outcome like any other."""
    try:
        return Outcome(response=method(request, timeout=timeout_seconds))
    except grpc.RpcError as error:
        return Outcome(error.code().name, error.details() or "")
