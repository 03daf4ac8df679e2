"""Raw bytes on both ports from many threads at once, while versions are swapped.

The server is a process of its own, so that it does not share Python's lock with those who ask.
"""

import gzip
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from serving.client import GrpcClient, RestClient
from tests.serving.server_process import ServerProcess, serve

NUM_THREADS = 16
ROWS = b'{"instances": ["a"]}'
POST = b"POST /v1/models/demo:predict HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /v1/models/demo HTTP/1.1\r\nHost: x\r\n"
BOMB = gzip.compress(b'{"instances": ["' + b"a" * (70 << 20) + b'"]}', 1)


def post(body: bytes, *, headers: bytes = b"", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return POST + headers + b"Content-Length: %d\r\n\r\n" % size + body


# What is sent -> the statuses that may be answered; none where the connection may just be closed.
REQUESTS = {
    "whole": (post(ROWS), {200}),
    "twenty in one": (post(ROWS) * 20, {200}),
    "garbage after one": (post(ROWS) + b"\x00\xff garbage\r\n\r\n", {200}),
    "chunks": (POST + b"Transfer-Encoding: chunked\r\n\r\n14\r\n" + ROWS + b"\r\n0\r\n\r\n", {200}),
    "a chunk that is longer": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n" + ROWS + b"\r\n0\r\n\r\n",
        {400},
    ),
    "a chunk of 2^80": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n" + ROWS,
        {400, 504},
    ),
    "a chunk below 0": (POST + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n" + ROWS, {400}),
    "chunked twice": (POST + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n", {400, 501}),
    "another coding": (POST + b"Transfer-Encoding: gzip\r\n\r\n", {400, 501}),
    "a length that is too large": (post(ROWS, length=500), {504}),
    "a length that is too small": (post(ROWS, length=5), {400}),
    "a length below 0": (post(ROWS, length=-5), {400}),
    "a length of 10^30": (post(ROWS, length=10**30), {400, 504}),
    "two lengths": (post(ROWS, headers=b"Content-Length: 3\r\n"), {400}),
    "three thousand headers": (GET + b"X: a\r\n" * 3000 + b"\r\n", {200, 400}),
    "a header of two megabytes": (GET + b"X: " + b"a" * (2 << 20) + b"\r\n\r\n", {400}),
    "HTTP/1.0": (b"GET /v1/models/demo HTTP/1.0\r\n\r\n", {200}),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), {400, 501}),
    "an upgrade": (GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", {200}),
    "CONNECT": (b"CONNECT a:80 HTTP/1.1\r\nHost: x\r\n\r\n", {404}),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), {400}),
    "a host that is none": (b"GET /v1/models/demo HTTP/1.1\r\nHost: [\r\n\r\n", {200}),
    "a bomb": (post(BOMB, headers=b"Content-Encoding: gzip\r\n"), {429}),
}


@pytest.fixture
def served(publish, tmp_path):
    publish(tmp_path, 1, "one")
    with serve(
        tmp_path,
        "--rest_api_timeout_in_ms=1500",
        "--rest_api_enable_cors_support",
        "--file_system_poll_wait_seconds=0.2",
    ) as server:
        yield server


def ask_raw(server: ServerProcess, number: int) -> tuple[str, int]:
    """What one request is answered with: its status, 0 if the connection is closed without one."""
    name, (sent, _) = list(REQUESTS.items())[number % len(REQUESTS)]
    host, _, port = server.rest_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        try:
            half = len(sent) // 2 if number % 3 == 0 else len(sent)
            connection.sendall(sent[:half])
            connection.sendall(sent[half:])
            answer = connection.recv(100)
        except (BrokenPipeError, ConnectionResetError):  # answered before all of it was sent
            return name, 0
    return name, int(answer.split(b" ")[1]) if answer else 0


def ask_grpc(server: ServerProcess, number: int) -> str:
    """Cancelled calls, and deadlines that are over at once, on connections of their own."""
    with grpc.insecure_channel(server.grpc_address) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        compression = (None, grpc.Compression.Gzip, grpc.Compression.Deflate)[number % 3]
        timeout = (0, 0.001, 5)[number // 3 % 3]
        future = call.future(b"\xff" * 100_000, timeout=timeout, compression=compression)
        if number % 5 == 0:
            future.cancel()
            return "CANCELLED"
        return future.exception(timeout=30).code().name


def test_many_hostile_connections_harm_no_others(served, publish, tmp_path):
    stop = threading.Event()

    def ask_well() -> list[float]:
        """How long each answer took in seconds."""
        waits = []
        with (
            RestClient(served.rest_url, model_name="demo", num_retries=0) as rest,
            GrpcClient(served.grpc_address, model_name="demo", num_retries=0) as over_grpc,
        ):
            while not stop.wait(0.02):
                for client in (rest, over_grpc):
                    started_at = time.monotonic()
                    assert client.predict_texts(["a"])[0]["label"] in ("one", "two")
                    waits.append(time.monotonic() - started_at)
        return waits

    with ThreadPoolExecutor(NUM_THREADS + 1) as threads:
        good = threads.submit(ask_well)
        asked = [threads.submit(ask_raw, served, number) for number in range(6 * len(REQUESTS))]
        called = [threads.submit(ask_grpc, served, number) for number in range(60)]
        for version in (2, 3, 4):
            time.sleep(0.5)
            publish(tmp_path, version, "two" if version % 2 == 0 else "one")
        answers = [future.result() for future in asked]
        codes = {future.result() for future in called}
        stop.set()
        waits = good.result()
    wrong = {(name, status) for name, status in answers if status not in REQUESTS[name][1] | {0}}
    assert not wrong
    assert codes <= {"CANCELLED", "DEADLINE_EXCEEDED", "INVALID_ARGUMENT"}
    assert len(waits) > 10
    assert max(waits) < 5, "a second, and what a busy machine adds"
