"""Behaviour of tracking with a SQLite file, a real server that dies, and no server at all."""

import contextlib
import errno
import json
import logging
import math
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from bert_tf.config import TrackingConfig
from bert_tf.tracking.journal import JOURNAL_FILE, Journal, take_lock
from bert_tf.tracking.sender import Sender
from bert_tf.tracking.tracker import (
    SEND_COMMAND,
    Tracker,
    describe_tracking_uri,
    read_metrics,
    run_id_of,
    send_pending,
)
from tests.mlflow_stores import free_port, make_database, running_server, wait_for

CONFIG = TrackingConfig(experiment="tests")


@pytest.fixture(autouse=True)
def _in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # MLflow puts `mlruns` there
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")


@pytest.fixture
def sqlite_uri(tmp_path: Path) -> str:
    return make_database(tmp_path / "mlflow.db")


def test_sqlite_run_holds_what_was_logged(tmp_path: Path, sqlite_uri: str) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n한국\n", encoding="utf-8")
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "loss.png").write_bytes(b"picture")
    with open_tracker(tmp_path, sqlite_uri) as tracker:
        tracker.log_parameters({"seed": 1, "model": {"size": "mini", "layers": [1, 2]}})
        for step in range(3):
            tracker.log_metrics({"loss": 3.0 - step, "rate": 0.5}, step=step)
        tracker.log_metrics({"loss": math.nan}, step=3)
        tracker.set_tags({"hardware": "cpu"})
        tracker.log_artifact(tmp_path / "vocab.txt", "files")
        tracker.log_artifact(folder, "pictures")

    client = MlflowClient(sqlite_uri)
    run = client.get_run(str(tracker.run_id))
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "pretrain run"
    assert run.data.params == {"seed": "1", "model.size": "mini", "model.layers": "[1, 2]"}
    assert run.data.tags["hardware"] == "cpu"
    assert run.data.tags["stage"] == "pretrain"
    assert points(client, run, "loss")[:3] == [(0, 3.0), (1, 2.0), (2, 1.0)]
    assert math.isnan(points(client, run, "loss")[3][1])
    for folder_name, path in (("files", "files/vocab.txt"), ("pictures", "pictures/loss.png")):
        assert [item.path for item in client.list_artifacts(run.info.run_id, folder_name)] == [path]


def test_system_metrics_carry_mlflow_names(tmp_path: Path, sqlite_uri: str) -> None:
    config = TrackingConfig(experiment="tests", system_metrics_interval_seconds=0.05)
    with Tracker.open(
        tmp_path / "run", config=config, tracking_uri=sqlite_uri, stage="pretrain"
    ) as tracker:
        wait_for(lambda: journal_text(tmp_path).count("system/cpu") == 2)
    steps = [
        event["step"]
        for event in map(json.loads, journal_text(tmp_path).splitlines())
        if "step" in event
    ]
    assert len(steps) == len(set(steps))
    names = MlflowClient(sqlite_uri).get_run(str(tracker.run_id)).data.metrics
    assert {
        "system/cpu_utilization_percentage",
        "system/system_memory_usage_percentage",
        "system/disk_available_megabytes",
    } <= set(names)


def test_disabled_tracking_writes_the_journal_only(tmp_path: Path) -> None:
    config = TrackingConfig(enabled=False)
    num_threads = threading.active_count()
    with Tracker.open(
        tmp_path / "run", config=config, tracking_uri="http://127.0.0.1:9", stage="finetune"
    ) as tracker:
        assert threading.active_count() == num_threads
        tracker.log_metrics({"loss": math.inf}, step=1)
    assert tracker.run_id is None
    events = [json.loads(line) for line in journal_text(tmp_path).splitlines()]
    assert [event["event"] for event in events] == ["open", "metrics", "close"]
    assert events[1]["values"] == {"loss": "inf"}


def test_importing_tracking_does_not_import_mlflow() -> None:
    program = "import sys, bert_tf.tracking.tracker; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_resumed_run_goes_on_in_the_same_mlflow_run(tmp_path: Path, sqlite_uri: str) -> None:
    first = open_tracker(tmp_path, sqlite_uri)
    first.log_parameters({"seed": 1})
    first.log_metrics({"loss": 3.0}, step=1)
    with pytest.raises(KeyboardInterrupt), first:
        raise KeyboardInterrupt
    client = MlflowClient(sqlite_uri)
    assert client.get_run(str(first.run_id)).info.status == "KILLED"

    with open_tracker(tmp_path, sqlite_uri) as second:
        second.log_metrics({"loss": 3.0}, step=1)  # repeated from the last checkpoint
        second.log_metrics({"loss": 2.0}, step=2)
        wait_for(lambda: client.get_run(str(first.run_id)).info.status == "RUNNING")
    assert second.run_id == first.run_id
    run = only_run(client)
    assert run.info.status == "FINISHED"
    assert points(client, run, "loss") == [(1, 3.0), (2, 2.0)]


def test_steps_that_are_done_again_after_any_number_of_kills_are_sent_once(
    tmp_path: Path, sqlite_uri: str
) -> None:
    for first, last in ((1, 4), (3, 6), (3, 8), (7, 10)):
        tracker = open_tracker(tmp_path, sqlite_uri)
        for step in range(first, last + 1):
            rate = 100.0 * last + step  # Times differ from one go to the next.
            tracker.log_metrics({"loss": 1.0 / step, "rate": rate, "bad": math.nan}, step=step)
        if last == 6:  # sent in part
            wait_for(lambda: '"offset"' in (tmp_path / "run/tracking/sent.json").read_text())
        tracker.close("KILLED")
    client = MlflowClient(sqlite_uri)
    run = only_run(client)
    assert points(client, run, "loss") == [(step, 1.0 / step) for step in range(1, 11)]
    for name in ("rate", "bad"):
        assert [step for step, _ in points(client, run, name)] == [*range(1, 11)]


def test_a_result_replaces_the_one_before_if_it_is_another(tmp_path: Path, sqlite_uri: str) -> None:
    for accuracy in (0.5, 0.5, 0.75, 0.75):
        with open_tracker(tmp_path, sqlite_uri) as tracker:
            results = {"accuracy": accuracy, "correlation": math.nan}
            tracker.log_metrics(results, step=0, replaces=True)
    client = MlflowClient(sqlite_uri)
    run = only_run(client)
    assert points(client, run, "accuracy") == [(0, 0.5), (0, 0.75)]
    assert run.data.metrics["accuracy"] == 0.75
    assert len(points(client, run, "correlation")) == 1


def test_of_a_long_run_only_what_may_come_again_is_held(tmp_path: Path) -> None:
    journal = Journal(tmp_path / JOURNAL_FILE)
    for step in range(1, 2001):
        journal.append("metrics", step=step, values={"loss": 1.0})
        journal.append("metrics", step=step, values={"system/cpu": 1.0})
    journal.append("metrics", step=0, values={"final/loss": 1.0})
    journal.close()
    with contextlib.closing(Journal(tmp_path / JOURNAL_FILE, from_step=1990)) as journal:
        held = journal.before.values
    assert held == {"loss": dict.fromkeys(range(1990, 2001), 1.0), "final/loss": {0: 1.0}}


def test_a_training_that_begins_anew_with_other_settings_logs_its_own_steps(
    tmp_path: Path,
) -> None:
    config = TrackingConfig(enabled=False)
    options = {"config": config, "tracking_uri": None, "stage": "pretrain"}
    for begins_with, loss in (("slow", 3.0), ("slow", 3.5), (None, 3.5), ("fast", 2.0)):
        with Tracker.open(tmp_path / "run", begins_with=begins_with, **options) as tracker:
            tracker.log_metrics({"loss": loss}, step=1)
            if begins_with == "slow":
                tracker.log_metrics({"loss": loss}, step=2)
        expected = [(1, 2.0)] if begins_with == "fast" else [(1, 3.0), (2, 3.0)]
        assert read_metrics(tmp_path / "run") == {"loss": expected}


def test_forgotten_offset_doubles_nothing(tmp_path: Path, sqlite_uri: str) -> None:
    with open_tracker(tmp_path, sqlite_uri) as tracker:
        tracker.log_parameters({"seed": 1})
        for step in range(250):
            tracker.log_metrics({"loss": 1.0 / (step + 1)}, step=step)
    (tmp_path / "run" / "tracking" / "sent.json").unlink()
    assert send_pending(tmp_path / "run", tracking_uri=sqlite_uri) == 253
    client = MlflowClient(sqlite_uri)
    assert len(points(client, only_run(client), "loss")) == 250


def test_refused_values_are_named_and_the_rest_arrives(
    tmp_path: Path, sqlite_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    with open_tracker(tmp_path, sqlite_uri) as tracker:
        tracker.log_parameters({"seed": 1, "size": "mini"})
        tracker.log_parameters({"seed": 2, "layers": 4})
        tracker.log_metrics({"bad!name": 1.0, "loss": 2.0}, step=1)
        tracker.log_artifact(tmp_path / "missing.txt")
    client = MlflowClient(sqlite_uri)
    run = only_run(client)
    assert run.data.params == {"seed": "1", "size": "mini", "layers": "4"}
    assert run.data.metrics["loss"] == 2.0
    assert run.info.status == "FINISHED"
    assert "refused seed: " in caplog.text
    assert "refused bad!name: " in caplog.text
    assert "missing.txt: no such file any more; it is not uploaded" in caplog.text


def test_run_deleted_on_the_server_is_sent_again_whole(
    tmp_path: Path, sqlite_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    with open_tracker(tmp_path, sqlite_uri) as first:
        first.log_metrics({"loss": 3.0}, step=1)
    client = MlflowClient(sqlite_uri)
    client.delete_run(str(first.run_id))
    with open_tracker(tmp_path, sqlite_uri) as second:
        second.log_metrics({"loss": 2.0}, step=2)
    assert second.run_id != first.run_id
    assert points(client, only_run(client), "loss") == [(1, 3.0), (2, 2.0)]
    assert "is gone from the server; a new one gets all events" in caplog.text


def test_half_written_line_is_skipped(
    tmp_path: Path, sqlite_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    with open_tracker(tmp_path, sqlite_uri) as first:
        first.log_metrics({"loss": 3.0}, step=1)
    with (tmp_path / "run" / "tracking" / "journal.jsonl").open("a") as file:
        file.write('{"event": "metr')
    with open_tracker(tmp_path, sqlite_uri) as second:
        second.log_metrics({"loss": 2.0}, step=2)
    client = MlflowClient(sqlite_uri)
    assert points(client, only_run(client), "loss") == [(1, 3.0), (2, 2.0)]
    assert "skipped a broken line at byte" in caplog.text


def test_dead_server_harms_no_run_and_pending_events_are_sent_later(
    tmp_path: Path, sqlite_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    uri = f"http://user:secret@127.0.0.1:{free_port()}"
    with open_tracker(tmp_path, uri) as tracker:
        started_at = time.monotonic()
        for step in range(100):
            tracker.log_metrics({"loss": 1.0}, step=step)
        assert time.monotonic() - started_at < 1.0
        wait_for(lambda: "tracking server failed" in caplog.text)
        time.sleep(2.5)
        closing_at = time.monotonic()
        tracker.close(timeout_seconds=2.0)
        assert time.monotonic() - closing_at < 3.0
    assert tracker.run_id is None
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [f"{SEND_COMMAND} {tmp_path / 'run'}" in w.getMessage() for w in warnings] == [
        False,
        True,
    ]
    assert "journal.jsonl" in warnings[1].getMessage()
    assert "secret" not in caplog.text

    with pytest.raises(ConnectionError, match=r"the tracking server must answer\. Received"):
        send_pending(tmp_path / "run", tracking_uri=uri)
    assert send_pending(tmp_path / "run", tracking_uri=sqlite_uri) == 102
    assert send_pending(tmp_path / "run", tracking_uri=sqlite_uri) == 0
    client = MlflowClient(sqlite_uri)
    assert len(points(client, only_run(client), "loss")) == 100
    assert only_run(client).info.status == "FINISHED"


def test_hanging_server_does_not_hold_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")  # longer than close may wait
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with open_tracker(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}") as tracker:
            tracker.log_metrics({"loss": 1.0}, step=1)
            time.sleep(0.2)
            closing_at = time.monotonic()
            tracker.close(timeout_seconds=0.5)
            assert time.monotonic() - closing_at < 1.5
        for thread in tracker._threads:
            thread.join(30)


def test_server_killed_during_a_run_loses_and_doubles_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    database, artifacts = make_database(tmp_path / "server.db"), tmp_path / "artifacts"
    artifact = tmp_path / "report.md"
    artifact.write_text("# 보고서\n", encoding="utf-8")
    with running_server(database, artifacts=artifacts, port=port):
        tracker = open_tracker(tmp_path, uri)
        log_steps(tracker, range(0, 200))
        client = MlflowClient(uri)
        wait_for(lambda: tracker.run_id is not None and len(journal_left(tmp_path)) == 0)
        log_steps(tracker, range(200, 400))  # the kill falls in here
    log_steps(tracker, range(400, 600))
    wait_for(lambda: "tracking server failed" in caplog.text)
    with running_server(database, artifacts=artifacts, port=port):
        log_steps(tracker, range(600, 800))
        tracker.log_artifact(artifact)
        tracker.close()
        run = only_run(client)
        assert points(client, run, "loss") == [(step, 1.0 / (step + 1)) for step in range(800)]
        assert run.info.status == "FINISHED"
        assert [item.path for item in client.list_artifacts(run.info.run_id)] == ["report.md"]
    failures = [r for r in caplog.records if "tracking server failed" in r.getMessage()]
    assert len(failures) == 1
    assert "tracking server answers again" in caplog.text


def test_artifact_waits_until_its_store_is_back(tmp_path: Path, sqlite_uri: str) -> None:
    store = tmp_path / "store"
    store.write_text("in the way")
    client = MlflowClient(sqlite_uri)
    client.create_experiment("tests", artifact_location=str(store / "artifacts"))
    (tmp_path / "vocab.txt").write_text("[PAD]\n", encoding="utf-8")
    with open_tracker(tmp_path, sqlite_uri) as tracker:
        tracker.log_artifact(tmp_path / "vocab.txt")
        tracker.log_metrics({"loss": 1.0}, step=1)
        tracker.close(timeout_seconds=0.2)
        for thread in tracker._threads:
            thread.join(30)
    directory = tmp_path / "run" / "tracking"
    with (directory / "lock").open("ab") as lock:
        sender = Sender(directory, tracking_uri=sqlite_uri, lock=lock)
        for _ in range(5):
            with pytest.raises(OSError, match="store"):
                sender.send_next()
    with pytest.raises(ConnectionError, match="the tracking server must answer"):
        send_pending(tmp_path / "run", tracking_uri=sqlite_uri)
    store.unlink()
    assert send_pending(tmp_path / "run", tracking_uri=sqlite_uri) == 3
    run = only_run(client)
    assert run.info.status == "FINISHED"
    assert [item.path for item in client.list_artifacts(run.info.run_id)] == ["vocab.txt"]


def test_artifact_that_cannot_be_read_is_skipped(
    tmp_path: Path, sqlite_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "gone.png").symlink_to(tmp_path / "nowhere")
    with open_tracker(tmp_path, sqlite_uri) as tracker:
        tracker.log_artifact(folder)
        tracker.log_metrics({"loss": 1.0}, step=1)
    run = only_run(MlflowClient(sqlite_uri))
    assert (run.info.status, run.data.metrics["loss"]) == ("FINISHED", 1.0)
    assert "pictures: cannot be read; it is not uploaded: FileNotFoundError: " in caplog.text


class _FullStore(BaseHTTPRequestHandler):
    """An artifact store for which every file is too large."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(413)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Keeps quiet."""


def test_artifact_that_the_store_refuses_is_skipped(
    tmp_path: Path, sqlite_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n", encoding="utf-8")
    client = MlflowClient(sqlite_uri)
    with ThreadingHTTPServer(("127.0.0.1", 0), _FullStore) as store:
        threading.Thread(target=store.serve_forever, daemon=True).start()
        location = f"http://127.0.0.1:{store.server_address[1]}"
        client.create_experiment("tests", artifact_location=location)
        with open_tracker(tmp_path, sqlite_uri) as tracker:
            tracker.log_artifact(tmp_path / "vocab.txt")
            tracker.log_metrics({"loss": 1.0}, step=1)
        store.shutdown()
    run = only_run(client)
    assert (run.info.status, run.data.metrics["loss"]) == ("FINISHED", 1.0)
    assert f"refused {tmp_path / 'vocab.txt'}: HTTPError: 413 " in caplog.text


def test_copied_output_folder_sends_its_own_files(tmp_path: Path, sqlite_uri: str) -> None:
    config = TrackingConfig(enabled=False)
    run_dir = tmp_path / "run"
    with Tracker.open(run_dir, config=config, tracking_uri=None, stage="pretrain") as tracker:
        (run_dir / "vocab.txt").write_text("[PAD]\n", encoding="utf-8")
        tracker.log_artifact(run_dir / "vocab.txt")
    run_dir.rename(tmp_path / "elsewhere")
    assert send_pending(tmp_path / "elsewhere", tracking_uri=sqlite_uri) == 3
    client = MlflowClient(sqlite_uri)
    (run,) = client.search_runs([client.get_experiment_by_name("bert_tf").experiment_id])
    assert [item.path for item in client.list_artifacts(run.info.run_id)] == ["vocab.txt"]


def test_artifacts_of_a_sqlite_file_lie_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "work").mkdir()
    make_database(tmp_path / "data" / "runs.db")
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "vocab.txt").write_text("[PAD]\n", encoding="utf-8")
    with open_tracker(tmp_path, "sqlite:///../data/runs.db") as tracker:
        tracker.log_artifact(tmp_path / "vocab.txt")
    (stored,) = tmp_path.glob("data/mlartifacts/*/artifacts/vocab.txt")
    assert stored.parts[-3] == tracker.run_id
    assert list((tmp_path / "work").iterdir()) == []


def test_run_of_a_killed_process_is_closed_as_killed(tmp_path: Path, sqlite_uri: str) -> None:
    program = (
        "import os, sys\n"
        "from bert_tf.config import TrackingConfig\n"
        "from bert_tf.tracking.tracker import Tracker\n"
        "tracker = Tracker.open(sys.argv[1], config=TrackingConfig(experiment='tests'),"
        " tracking_uri=sys.argv[2], stage='pretrain')\n"
        "tracker.log_metrics({'loss': 1.0}, step=1)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "run"), sqlite_uri]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert send_pending(tmp_path / "run", tracking_uri=sqlite_uri) >= 1
    client = MlflowClient(sqlite_uri)
    assert only_run(client).info.status == "KILLED"
    assert points(client, only_run(client), "loss") == [(1, 1.0)]


def test_curves_come_from_the_journal_with_each_step_once(
    tmp_path: Path,
) -> None:
    config = TrackingConfig(enabled=False)
    with Tracker.open(
        tmp_path / "run", config=config, tracking_uri=None, stage="pretrain"
    ) as first:
        first.log_parameters({"seed": 1})
        first.log_metrics({"loss": 3.0, "accuracy": 0.5}, step=1)
        first.log_metrics({"loss": 2.0}, step=2)
        first.log_metrics({"loss": 1.0}, step=3)
    with (tmp_path / "run" / "tracking" / "journal.jsonl").open("a") as file:
        file.write('{"event": "metr')
    with Tracker.open(
        tmp_path / "run", config=config, tracking_uri=None, stage="pretrain"
    ) as second:
        second.log_metrics({"loss": 2.5}, step=2)  # resumed from step 1: done again
        second.log_metrics({"loss": math.inf}, step=4)
        going_on = read_metrics(tmp_path / "run")
    assert going_on == read_metrics(tmp_path / "run")
    assert going_on == {
        "loss": [(1, 3.0), (2, 2.0), (3, 1.0), (4, math.inf)],
        "accuracy": [(1, 0.5)],
    }


def test_run_id_is_known_once_the_server_has_the_run(tmp_path: Path, sqlite_uri: str) -> None:
    assert run_id_of(tmp_path / "run") is None
    with open_tracker(tmp_path, sqlite_uri):
        pass
    assert run_id_of(tmp_path / "run") == only_run(MlflowClient(sqlite_uri)).info.run_id


@pytest.mark.parametrize(
    ("uri", "description"),
    [
        ("sqlite:///mlflow.db", "mlflow ui --backend-store-uri sqlite:///mlflow.db"),
        ("sqlite:////a b/x.db", "mlflow ui --backend-store-uri 'sqlite:////a b/x.db'"),
        (
            "postgresql+psycopg2://me:s@cret@db.local/runs",
            "mlflow ui --backend-store-uri postgresql+psycopg2://db.local/runs",
        ),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("https://me:secret@mlflow.local/a", "https://mlflow.local/a"),
    ],
)
def test_tracking_uri_is_described_without_its_password(uri: str, description: str) -> None:
    assert describe_tracking_uri(uri) == description


def test_errors_say_what_to_do(tmp_path: Path, sqlite_uri: str) -> None:
    with pytest.raises(FileNotFoundError, match="a tracked run's journal must exist"):
        send_pending(tmp_path, tracking_uri=sqlite_uri)
    with pytest.raises(FileNotFoundError, match=r"journal\.jsonl: a tracked run's journal must"):
        read_metrics(tmp_path)
    tracker = open_tracker(tmp_path, sqlite_uri)
    tracker.close()
    with pytest.raises(ValueError, match="a tracker must be open to take events"):
        tracker.log_metrics({"loss": 1.0}, step=1)


def open_tracker(tmp_path: Path, tracking_uri: str) -> Tracker:
    return Tracker.open(
        tmp_path / "run", config=CONFIG, tracking_uri=tracking_uri, stage="pretrain"
    )


def log_steps(tracker: Tracker, steps: range) -> None:
    for step in steps:
        tracker.log_metrics({"loss": 1.0 / (step + 1)}, step=step)


def only_run(client: MlflowClient) -> Run:
    (run,) = client.search_runs([client.get_experiment_by_name("tests").experiment_id])
    return run


def points(client: MlflowClient, run: Run, name: str) -> list[tuple[int, float]]:
    history = client.get_metric_history(run.info.run_id, name)
    return sorted((point.step, point.value) for point in history)


def journal_text(tmp_path: Path) -> str:
    return (tmp_path / "run" / "tracking" / "journal.jsonl").read_text(encoding="utf-8")


def journal_left(tmp_path: Path) -> bytes:
    directory = tmp_path / "run" / "tracking"
    path = directory / "sent.json"  # it is not there before the first event is sent
    offset = json.loads(path.read_text())["offset"] if path.is_file() else 0
    return (directory / "journal.jsonl").read_bytes()[offset:]


def test_a_disk_without_space_is_no_server_that_failed(tmp_path, caplog, monkeypatch):
    def fail(_sender):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Sender, "send_next", fail)
    tracker = Tracker.open(tmp_path, config=CONFIG, tracking_uri="sqlite:///x.db", stage="t")
    tracker.close(timeout_seconds=1)
    assert "no space for tracking; the run goes on" in caplog.text
    assert "server failed" not in caplog.text


def test_nothing_stays_open_of_a_tracker_that_cannot_write(tmp_path, monkeypatch):
    def fail(_journal, _kind, **_fields):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", fail)
        with pytest.raises(OSError, match="No space left"):
            Tracker.open(tmp_path, config=CONFIG, tracking_uri="sqlite:///x.db", stage="t")
    lock = take_lock(tmp_path / "tracking", wait_seconds=0)
    assert lock is not None, "the one that failed holds it no more"
    lock.close()
