"""What the server does with connections: limits, slow clients, TLS, UNIX sockets, the profiler."""

import http.client
import json
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving import errors
from serving.client import GrpcClient, RestClient
from serving.local_server import LocalServer
from serving.server.config_messages import SSLConfig
from serving.server.model_config import ModelSettings


@pytest.fixture
def small_server(publish, tmp_path):
    publish(tmp_path, 1, "one")
    with LocalServer(
        [ModelSettings("demo", tmp_path)],
        port=0,
        rest_api_port=0,
        max_request_bytes=1000,
        max_requests=2,
        rest_api_timeout_in_ms=1500,
    ) as server:
        yield server


def test_a_body_that_is_too_large_is_refused(small_server):
    with RestClient(small_server.rest_url, model_name="demo") as client:
        with pytest.raises(errors.ResourceExhaustedError, match="larger than max"):
            client.predict_texts(["x" * 2000])
        assert client.predict_texts(["x"])[0]["label"] == "one"
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "demo"
    request.inputs["text"].CopyFrom(tf.make_tensor_proto([b"x" * 2000]))
    with grpc.insecure_channel(small_server.grpc_address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as raised:
            stub.Predict(request, 10)
    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_what_comes_beyond_the_limit_is_refused_and_slow_clients_end(small_server):
    host, _, port = small_server.rest_url.removeprefix("http://").partition(":")
    head = b"POST /v1/models/demo:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    slow = [socket.create_connection((host, int(port))) for _ in range(2)]
    for connection in slow:
        connection.sendall(head)
    time.sleep(0.3)
    connection = http.client.HTTPConnection(host, int(port))
    connection.request("GET", "/v1/models/demo")
    answer = connection.getresponse()
    assert answer.status == 503
    assert "2 requests under way" in json.loads(answer.read())["error"]
    connection.close()
    for waiting in slow:
        waiting.settimeout(10)
        assert waiting.recv(1000).startswith(b"HTTP/1.1 504")
        waiting.close()
    with RestClient(small_server.rest_url, model_name="demo") as client:
        assert client.predict_texts(["x"])[0]["label"] == "one"


def test_ten_megabytes_and_ten_thousand_texts_are_answered(server):
    with RestClient(server.rest_url, model_name="demo") as client:
        (answer,) = client.predict_texts(["x" * 10_000_000])
        assert answer["score"] == 1_000_000
        answers = client.predict_texts(["ab"] * 10_000)
        assert len(answers) == 10_000
        assert answers[-1]["score"] == 0.2


def test_grpc_over_tls(publish, tmp_path):
    publish(tmp_path / "demo", 1, "one")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    tls = SSLConfig(server_key=key.read_text(), server_cert=certificate.read_text())
    with LocalServer([ModelSettings("demo", tmp_path / "demo")], port=0, tls=tls) as server:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "demo"
        request.inputs["text"].CopyFrom(tf.make_tensor_proto([b"x"]))
        address = server.grpc_address.replace("127.0.0.1", "localhost")
        credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
        with grpc.secure_channel(address, credentials) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            assert stub.Predict(request, 10).outputs["label"].string_val[0] == b"one"


def test_headers_that_never_end_are_closed(small_server):
    host, _, port = small_server.rest_url.removeprefix("http://").partition(":")
    half = b"POST /v1/models/demo:predict HTTP/1.1\r\nHost: x\r\nX-Long: "
    whole = b"GET /v1/models/demo HTTP/1.1\r\nHost: x\r\n\r\n"
    waiting = []
    for sent in (b"", half, whole):
        connection = socket.create_connection((host, int(port)))
        connection.settimeout(10)
        connection.sendall(sent)
        waiting.append(connection)
    kept = waiting[-1]
    with http.client.HTTPResponse(kept) as answer:
        answer.begin()
        assert (answer.status, bool(answer.read())) == (200, True)
    kept.sendall(half)  # a second request on the same connection
    for connection in waiting:
        assert connection.recv(1000) == b"", "closed"
        connection.close()


def test_grpc_over_a_unix_socket(publish, tmp_path):
    publish(tmp_path / "demo", 1, "one")
    path = tmp_path / "socket"
    settings = ModelSettings("demo", tmp_path / "demo")
    with LocalServer([settings], grpc_socket_path=str(path)):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "demo"
        request.inputs["text"].CopyFrom(tf.make_tensor_proto([b"x"]))
        with grpc.insecure_channel(f"unix:{path}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            assert stub.Predict(request, timeout=10).outputs["label"].string_val[0] == b"one"
    assert not path.exists()


def test_the_profiler_answers_on_the_port_of_the_models(server, tmp_path):
    from tensorflow.python.profiler import profiler_client

    server.models.poll()
    with ThreadPoolExecutor(1) as pool:
        with RestClient(server.rest_url, model_name="demo") as client:
            traced = pool.submit(
                profiler_client.trace, server.grpc_address, str(tmp_path), 1000, "", 5
            )
            while not traced.done():
                client.predict_texts(["x"])
                time.sleep(0.05)
        traced.result()
    assert list(tmp_path.rglob("*.xplane.pb"))


def test_calls_without_their_message_hold_up_no_others(demo_settings):
    """A stream is open before its request has come, which may be never."""
    flags = {"port": 0, "grpc_max_threads": 2, "file_system_poll_wait_seconds": 0}
    never = threading.Event()
    with (
        LocalServer([demo_settings], **flags) as server,
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        call = channel.stream_unary("/tensorflow.serving.PredictionService/Predict")
        waiting = [call.future(iter(never.wait, True), timeout=60) for _ in range(5)]
        with GrpcClient(server.grpc_address, model_name="demo", timeout_seconds=10) as client:
            assert client.predict_texts(["a"])[0]["label"] == "two"
        never.set()
        for future in waiting:
            future.cancel()
