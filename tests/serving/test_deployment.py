"""What docs/operations.md rehearses, against the local server, and the health check of Compose."""

import contextlib
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from bert_tf.cli.main import main
from serving import errors
from serving.client.rest_client import RestClient
from serving.local_server import LocalServer
from serving.server.flags import parse_flags

FOLDER = Path(__file__).parents[2] / "serving" / "production"


@pytest.fixture
def base(publish, tmp_path: Path) -> Path:
    """BASE with versions 1 and 2 of `classifier`."""
    publish(tmp_path / "classifier", 1, "one")
    publish(tmp_path / "classifier", 2, "two")
    return tmp_path


def invoke(command: str, base: Path) -> Result:
    """A `bert-tf` command, with BASE for the volume's `/models`."""
    return CliRunner().invoke(main, shlex.split(command.replace("/models/", f"{base}/")))


def bert_tf(command: str, base: Path) -> str:
    """What a command prints that goes well."""
    result = invoke(command, base)
    assert result.exit_code == 0, result.output
    return result.output


@contextlib.contextmanager
def serve(base: Path, **flags: Any) -> Iterator[LocalServer]:
    """A server that starts now, as a new pod does."""
    path = base / "config" / "models.config"
    chosen: dict[str, Any] = {
        "rest_api_port": 0,
        "model_config_file": str(path),
        "model_config_file_poll_wait_seconds": 0.1,
        "file_system_poll_wait_seconds": 0.1,
    }
    models = parse_flags([f"--model_config_file={path}"]).models
    with LocalServer(models, **(chosen | flags)) as server:
        yield server


COMMON = "--models-config /models/config/models.config --name classifier"


def first_version(base: Path) -> None:
    bert_tf(f"serving load {COMMON} --base-path /models/classifier --version 1", base)
    bert_tf(f"serving label {COMMON} --version 1", base)


def label_at(server: LocalServer, label: str = "stable") -> str:
    """Which version's mark a client of the label sees."""
    with RestClient(server.rest_url, model_name="classifier", label=label) as client:
        return client.predict_texts(["x"])[0]["label"]


def wait(server: LocalServer, base: Path) -> str:
    return bert_tf(f"serving wait {COMMON} --server {server.rest_url} --timeout-seconds 20", base)


def test_a_version_is_rolled_out_rolled_back_and_pruned(base, publish) -> None:
    first_version(base)
    publish(base / "classifier", 3, "one")
    with serve(base) as server:
        assert label_at(server) == "one"
        bert_tf(f"serving load {COMMON} --version 2", base)
        assert wait(server, base) == "classifier: 1 of 1 servers have 1, 2, stable at 1\n"
        assert label_at(server) == "one", "a loaded version changes nothing for the label"
        bert_tf(f"serving label {COMMON} --version 2 --server {server.rest_url}", base)
        wait(server, base)
        assert label_at(server) == "two"
        bert_tf(f"serving load {COMMON} --version 3", base)
        bert_tf("serving prune --model-dir /models/classifier --keep 1", base)
        wait(server, base)
        assert [path.name for path in sorted((base / "classifier").glob("[0-9]*"))] == [*"123"]
        bert_tf(f"serving rollback {COMMON}", base)
        wait(server, base)
        assert label_at(server) == "one"
        bert_tf(f"serving unload {COMMON} --version 3", base)
        wait(server, base)
        with serve(base) as another:
            assert label_at(another) == "one", "a new pod reads what the others have"
        removed = bert_tf("serving prune --model-dir /models/classifier --keep 1", base)
        assert removed.endswith("removed 2\n"), "1 is stable, 3 the newest"
        time.sleep(0.3)
        assert label_at(server) == "one"


def test_a_label_waits_until_every_server_has_the_version(base) -> None:
    first_version(base)
    with serve(base) as server:
        (base / "classifier" / "2" / "saved_model.pb").write_bytes(b"broken")
        bert_tf(f"serving load {COMMON} --version 2", base)
        time.sleep(0.3)
        url = server.rest_url
        result = invoke(f"serving label {COMMON} --version 2 --server {url}", base)
        assert result.exit_code == 1
        assert "has not loaded version 2" in result.output
        assert label_at(server) == "one"
        result = invoke(f"serving wait {COMMON} --server {url} --timeout-seconds 0.5", base)
        assert result.exit_code == 1
        assert f"{url.removeprefix('http://')} has not loaded version 2" in result.output
        assert '{"stable": 1}' in bert_tf(f"serving labels {COMMON}", base)


def test_every_server_behind_a_name_is_asked(base, monkeypatch) -> None:
    """As the pods behind a service: one of these two does not see the change."""
    first_version(base)
    with serve(base) as quick:
        port = int(quick.rest_url.rpartition(":")[2])
        slow = {"host": "127.0.0.2", "model_config_file_poll_wait_seconds": 0}
        with serve(base, rest_api_port=port, **slow):
            resolve = socket.getaddrinfo

            def resolve_service(host: str, *rest: Any, **named: Any) -> list[Any]:
                hosts = ["127.0.0.1", "127.0.0.2"] if host == "bert-serving" else [host]
                return [found for each in hosts for found in resolve(each, *rest, **named)]

            monkeypatch.setattr(socket, "getaddrinfo", resolve_service)
            server = f"--server http://bert-serving:{port}"
            answer = bert_tf(f"serving wait {COMMON} {server}", base)
            assert answer == "classifier: 2 of 2 servers have 1, stable at 1\n"
            bert_tf(f"serving load {COMMON} --version 2", base)
            for command in ("wait --timeout-seconds 1", "label --version 2"):
                result = invoke(f"serving {command} {COMMON} {server}", base)
                assert result.exit_code == 1
                assert f"127.0.0.2:{port} has not loaded version 2" in result.output
                assert "127.0.0.1:" not in result.output


@pytest.mark.parametrize(
    ("server", "message"),
    [
        ("https://127.0.0.1:1", "http://HOST:PORT"),
        ("http://no-such-host.invalid:1", "has no address"),
        ("http://127.0.0.1:1", "does not answer"),
    ],
)
def test_a_server_that_cannot_be_asked_is_named(base, server, message) -> None:
    first_version(base)
    result = invoke(f"serving wait {COMMON} --server {server} --timeout-seconds 0", base)
    assert result.exit_code == 1
    assert message in result.output


def test_a_server_that_starts_while_a_label_has_no_version_is_not_ready(base) -> None:
    first_version(base)
    (base / "classifier" / "1").rename(base / "1")
    bert_tf(f"serving load {COMMON} --version 2", base)
    with serve(base) as server, RestClient(server.rest_url, model_name="classifier") as client:
        assert client.predict_texts(["x"])[0]["label"] == "two"
        with pytest.raises(errors.NotFoundError):
            label_at(server)
        assert health_check(server.rest_url) != 0


def health_check(url: str) -> int:
    """The very command of the Compose file, at another port."""
    (document,) = yaml.safe_load_all((FOLDER / "docker-compose.yaml").read_text())
    kind, *command = document["services"]["serving"]["healthcheck"]["test"]
    assert kind == "CMD", "not the sh of the image, which has no /dev/tcp"
    port = url.rpartition(":")[2]
    command = [part.replace("$$", "$").replace("/8501", f"/{port}") for part in command]
    return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode


def test_the_health_check_passes_while_the_labelled_version_answers(base) -> None:
    first_version(base)
    with serve(base) as server:
        url = server.rest_url
        assert health_check(url) == 0
    assert health_check(url) != 0, "the port is closed"


def test_the_health_check_fails_without_the_label(base) -> None:
    bert_tf(f"serving load {COMMON} --base-path /models/classifier --version 1", base)
    with serve(base) as server:
        assert health_check(server.rest_url) != 0


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server of one answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1000)
                    answer(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


@pytest.mark.parametrize(
    ("answer", "is_healthy"),
    [
        (b'HTTP/1.1 503 Service Unavailable\r\n\r\n{"error_code": "UNAVAILABLE"}', False),
        (b'HTTP/1.0 404 Not Found\r\n\r\n{"state": "AVAILABLE"}', False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", True),
        (b"", False),
    ],
    ids=["unavailable", "not found", "ok", "cut"],
)
def test_the_health_check_looks_at_the_status_of_the_answer(answer, is_healthy) -> None:
    with answering(lambda connection: connection.sendall(answer)) as url:
        assert (health_check(url) == 0) is is_healthy


def test_the_health_check_does_not_wait_for_a_server_that_hangs() -> None:
    started_at = time.monotonic()
    with answering(lambda connection: connection.settimeout(8) or connection.recv(1)) as url:
        assert health_check(url) != 0
    assert time.monotonic() - started_at < 7
