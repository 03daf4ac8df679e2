"""Both clients, and the command for people."""

import io
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from serving import errors
from serving.client import GrpcClient, RestClient
from serving.client.__main__ import main
from serving.local_server import LocalServer
from serving.server.model_config import ModelSettings


@pytest.fixture(params=["rest", "grpc"])
def make_client(request, server):
    """Makes a client of either kind, so that both are held to the same answers."""
    made = []

    def make(**options):
        options.setdefault("model_name", "demo")
        if request.param == "rest":
            made.append(RestClient(server.rest_url, **options))
        else:
            made.append(GrpcClient(server.grpc_address, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def find_free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_rows_and_columns(make_client):
    asked = make_client()
    assert asked.predict(instances=["ab"]) == [
        {"label": "two", "score": 0.2, "probabilities": [0.2, 0.8]}
    ]
    assert asked.predict(inputs={"text": ["ab", "abcde"]})["score"] == [0.2, 0.5]
    assert asked.predict(inputs=["ab"], signature_name="echo") == ["ab"]


def test_texts_and_pairs(make_client):
    asked = make_client()
    assert [one["score"] for one in asked.predict_texts(["한글", "abcde"])] == [0.2, 0.5]
    pairs = asked.predict_texts(["가", "b"], text_pairs=["c", "나"], signature_name="pair")
    names = ("text_pair", "text")
    assert pairs == asked.predict_texts(
        ["c", "나"], text_pairs=["가", "b"], signature_name="pair", input_names=names
    )
    assert pairs == ["가|c", "b|나"]
    assert asked.predict_texts([]) == []


@pytest.mark.parametrize(
    ("options", "label"), [({"version": 1}, "one"), ({"label": "stable"}, "one")]
)
def test_version_and_label(make_client, options, label):
    asked = make_client(**options)
    assert asked.predict_texts(["a"])[0]["label"] == label
    versions = [one["version"] for one in asked.status()["model_version_status"]]
    assert versions == (["1"] if "version" in options else ["2", "1"])
    assert asked.metadata()["model_spec"]["version"] == "1"


def test_bytes_and_text_are_the_same_over_both(server):
    data = {"b64": "AP8="}
    with (
        RestClient(server.rest_url, model_name="demo") as rest,
        GrpcClient(server.grpc_address, model_name="demo") as grpc,
    ):
        for asked in (rest, grpc):
            assert asked.predict(instances=[data], signature_name="bytes") == [data]
        assert rest.status() == grpc.status()
        assert rest.metadata() == grpc.metadata()


def test_errors_are_typed(make_client):
    asked = make_client()
    with pytest.raises(errors.InvalidArgumentError, match="not of expected type: string"):
        asked.predict(instances=[1])
    with pytest.raises(errors.ServingError, match='"nope" not found'):
        asked.predict(instances=["a"], signature_name="nope")
    with pytest.raises(errors.NotFoundError, match=r"Servable not found for request: Latest\(x\)"):
        make_client(model_name="x").predict(instances=["a"])
    with pytest.raises(errors.NotFoundError, match=r"Specific\(demo, 9\)"):
        make_client(version=9).predict(instances=["a"])


def test_wrong_use_is_refused(make_client):
    asked = make_client()
    with pytest.raises(ValueError, match=r"either instances \(rows\) or inputs .* both"):
        asked.predict(instances=["a"], inputs=["a"])
    with pytest.raises(ValueError, match=r"either instances \(rows\) or inputs .* neither"):
        asked.predict()
    with pytest.raises(ValueError, match=r"texts must be a list of texts\. Received: 'a'"):
        asked.predict_texts("a")
    with pytest.raises(ValueError, match="Received: 1 for 2"):
        asked.predict_texts(["a", "b"], text_pairs=["c"])
    with pytest.raises(ValueError, match="version and label exclude each other"):
        make_client(version=1, label="stable")
    with pytest.raises(ValueError, match=r"url must be like http://127.0.0.1:8501"):
        RestClient("ftp://x", model_name="demo")


def test_time_limit(make_client):
    asked = make_client(timeout_seconds=0.3)
    with pytest.raises(errors.DeadlineExceededError):
        asked.predict(instances=[300_000], signature_name="count_slowly")


def test_nobody_listening_is_unavailable():
    address = f"127.0.0.1:{find_free_port()}"
    for make in (RestClient, GrpcClient):
        with (
            make(address, model_name="demo", num_retries=1, timeout_seconds=5) as asked,
            pytest.raises(errors.UnavailableError),
        ):
            asked.predict(instances=["a"])


def test_proxy_of_the_environment_is_not_asked(make_client, monkeypatch):
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "grpc_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{find_free_port()}")
    asked = make_client(timeout_seconds=5)
    assert asked.predict_texts(["a"])[0]["label"] == "two"


def test_waits_until_a_model_appears(publish, tmp_path):
    port = find_free_port()
    settings = ModelSettings("late", tmp_path / "late")
    with RestClient(f"127.0.0.1:{port}", model_name="late") as asked:
        with pytest.raises(
            errors.UnavailableError, match=r"'late' must be available within 0\.1 s"
        ):
            asked.wait_until_available(timeout_seconds=0.1)
        with LocalServer([settings], rest_api_port=port, file_system_poll_wait_seconds=0.05):
            with pytest.raises(errors.UnavailableError, match="Could not find any versions"):
                asked.wait_until_available(timeout_seconds=0.1)
            publish(settings.base_path, 1, "one")
            asked.wait_until_available(timeout_seconds=20)
            assert asked.predict_texts(["a"])[0]["label"] == "one"


class _Flaky(BaseHTTPRequestHandler):
    """Answers 503, then cuts a connection, then answers; counts connections."""

    protocol_version = "HTTP/1.1"
    num_requests = 0
    num_connections = 0

    def setup(self):
        type(self).num_connections += 1
        super().setup()

    def do_POST(self):
        type(self).num_requests += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.num_requests == 1:
            self._reply(503, {"error": "not now"})
        elif self.num_requests == 2:
            self.close_connection = True
        else:
            self._reply(200, {"predictions": [self.num_requests]})

    def _reply(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Keeps quiet."""


@pytest.fixture
def flaky_url():
    _Flaky.num_requests = _Flaky.num_connections = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), _Flaky) as flaky:
        thread = threading.Thread(target=flaky.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{flaky.server_address[1]}"
        flaky.shutdown()
        thread.join()


def test_rest_client_retries_and_keeps_its_connection(flaky_url):
    with RestClient(flaky_url, model_name="demo") as asked:
        assert asked.predict(instances=["a"]) == [3]
        assert asked.predict(instances=["a"]) == [4]
    assert (_Flaky.num_requests, _Flaky.num_connections) == (4, 2)


def test_rest_client_gives_up_after_its_retries(flaky_url):
    with (
        RestClient(flaky_url, model_name="demo", num_retries=0) as asked,
        pytest.raises(errors.UnavailableError, match="not now"),
    ):
        asked.predict(instances=["a"])
    assert _Flaky.num_requests == 1


def test_rest_client_may_be_shared_by_threads(rest_client):
    answers = []
    askers = [
        threading.Thread(target=lambda: answers.append(rest_client.predict_texts(["ab"])))
        for _ in range(8)
    ]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert len(answers) == 8
    assert all(answer[0]["score"] == 0.2 for answer in answers)


def test_command_prints_one_object_a_text(server, capsys):
    arguments = ["--url", server.rest_url, "--model", "demo", "--version", "1", "한글", "abcde"]
    assert main(arguments) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["text"], line["label"], line["score"]) for line in lines] == [
        ("한글", "one", 0.2),
        ("abcde", "one", 0.5),
    ]


def test_command_reads_pairs_from_standard_input(server, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"a{i}\tb{i}\n\n" for i in range(70))))
    arguments = ["--grpc", server.grpc_address, "--model", "demo", "--signature_name", "pair"]
    assert main(arguments) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"text": f"a{i}", "text_pair": f"b{i}", "prediction": f"a{i}|b{i}"} for i in range(70)
    ]


def test_command_fails_with_the_code_and_the_message(server, capsys):
    assert main(["--url", server.rest_url, "--model", "nope", "a"]) == 1
    assert capsys.readouterr().err == "NOT_FOUND: Servable not found for request: Latest(nope)\n"
    assert main(["--url", server.rest_url, "--model", "demo", "a", "b\tc"]) == 2
    assert "every line must hold one text" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["a"])


def test_back_off_ends_with_the_time_limit():
    started_at = time.monotonic()
    address = f"127.0.0.1:{find_free_port()}"
    with (
        RestClient(address, model_name="x", timeout_seconds=0.5, num_retries=99) as asked,
        pytest.raises(errors.UnavailableError, match="Is the server running"),
    ):
        asked.status()
    assert time.monotonic() - started_at < 2
