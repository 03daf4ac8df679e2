"""`bert-tf registry …` and `bert-tf send-tracking`: wiring, output, exit codes."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
import tensorflow as tf
from click.testing import CliRunner, Result
from mlflow import MlflowClient
from rich.console import Console

from bert_tf.cli.main import main
from bert_tf.cli.registry import make_table
from bert_tf.config import TrackingConfig
from bert_tf.registry import RegisteredVersion
from bert_tf.registry.lock import lock_name
from bert_tf.tracking.tracker import Tracker
from tests.mlflow_stores import free_port, make_database

Run = Callable[..., Result]


class Exclaim(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def answer(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"label": text + "!"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BASE/NAME with version 2; version 1 is broken."""
    base = tmp_path_factory.mktemp("export") / "reviews"
    (base / "1").mkdir(parents=True)
    module = Exclaim()
    tf.saved_model.save(module, str(base / "2"), signatures={"serving_default": module.answer})
    return base


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = make_database(tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture
def run(uri: str) -> Run:
    """Run a command of the registry; its exit code must be `exit_code`."""

    def run_command(*arguments: object, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(main, ["registry", *map(str, arguments)])
        assert result.exit_code == exit_code, result.output
        return result

    return run_command


@pytest.fixture
def run_dir(tmp_path: Path, uri: str) -> Path:
    """The output folder of a tracked training."""
    directory = tmp_path / "finetuned"
    config = TrackingConfig(experiment="tests")
    with Tracker.open(directory, config=config, tracking_uri=uri, stage="finetune") as tracker:
        tracker.log_metrics({"final/accuracy": 0.75}, step=0)
    (directory / "metrics.json").write_text(json.dumps({"accuracy": 0.75, "f1": 0.5}))
    (directory / "model.json").write_text("{}")
    (directory / "vocab.txt").write_text("[PAD]\n한국\n", encoding="utf-8")
    (directory / "checkpoint").write_text("not for the registry")
    return directory


def test_model_goes_from_training_to_serving(
    run: Run, run_dir: Path, exported: Path, uri: str, tmp_path: Path
) -> None:
    tracked = json.loads((run_dir / "tracking" / "sent.json").read_text())["run_id"]
    registered = run("register", "--model", exported, "--name", "reviews", "--run-dir", run_dir)
    assert registered.stdout == "reviews version 1 is registered\n"
    client = MlflowClient(uri)
    files = [file.path for file in client.list_artifacts(tracked, "files")]
    assert files == ["files/metrics.json", "files/model.json", "files/vocab.txt"]

    again = run("register", "--model", exported / "2", "--name", "reviews", "--alias", "challenger")
    assert again.stdout == "reviews version 2 is registered as challenger\n"
    promoted = run("promote", "--name", "reviews", "--version", 1)
    assert promoted.stdout == "reviews version 1 is champion\n"

    first, second = map(json.loads, run("list", "--json").stdout.splitlines())
    created_at = datetime.fromisoformat(first.pop("created_at"))
    assert abs((datetime.now(UTC) - created_at).total_seconds()) < 300
    assert first == {
        "name": "reviews",
        "version": 1,
        "aliases": ["champion"],
        "metrics": {"accuracy": 0.75, "f1": 0.5},
        "run_id": tracked,
    }
    assert (second["aliases"], second["metrics"]) == (["challenger"], {})
    line, _ = run("list", "--name", "reviews").stdout.splitlines()
    date = f"{created_at:%Y-%m-%d %H:%M}"
    expected = ["reviews", "1", "champion", "accuracy 0.75, f1 0.5", date, tracked]
    assert line.split("\t") == expected

    fetched = run("fetch", "--name", "reviews", "--alias", "challenger", "--output-dir", "out")
    assert fetched.stdout == "out/saved_model is reviews version 2\n"
    assert (tmp_path / "out" / "saved_model" / "saved_model.pb").is_file()
    for _ in range(2):  # the second time there is nothing to do
        published = run("publish", "--name", "reviews", "--version", 1, "--base-dir", "models")
        assert published.stdout == "models/reviews/1 is reviews version 1\n"
    names = sorted(path.name for path in (tmp_path / "models" / "reviews").iterdir())
    assert names == [".highest_version", "1", "folder.json"]


def test_table_shows_aliases_metrics_and_run() -> None:
    version = RegisteredVersion(
        name="reviews",
        version=7,
        aliases=("champion", "stable"),
        metrics={"f1": 2 / 3, "accuracy": 0.75},
        tags={},
        created_at=datetime(2025, 3, 1, 9, 5, tzinfo=UTC),
        run_id="5f1aac9905684c13bd569f815554d513",
        model_id=None,
    )
    console = Console(width=120, file=StringIO())
    console.print(make_table([version]))
    lines = [line.split() for line in console.file.getvalue().splitlines() if line.strip()]
    assert lines[0] == ["name", "version", "aliases", "metrics", "registered", "(UTC)", "run"]
    first = ["reviews", "7", "champion", "accuracy", "0.75", "2025-03-01", "09:05"]
    assert lines[2] == [*first, "5f1aac9905684c13bd569f815554d513"]
    assert lines[3] == ["stable", "f1", "0.6667"]


def test_failures_are_messages_with_exit_code_1(
    run: Run, exported: Path, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ("--model", exported, "--name", "reviews")
    assert run("list").stderr == "No version is registered.\n"
    result = run("promote", "--name", "reviews", "--version", 1, exit_code=1)
    assert result.stderr == (
        "Error: the model must be registered. Received: 'reviews'. Registered: nothing yet.\n"
    )
    MlflowClient(uri).create_registered_model(lock_name("reviews", 1))  # another promotes
    result = run("register", *model, "--alias", "stable", exit_code=1)
    assert "Error: reviews version 1 is registered, but not as stable: " in result.stderr
    result = run("register", "--model", tmp_path, "--name", "reviews", exit_code=1)
    assert "must be a SavedModel, or a folder of numbered versions" in result.stderr
    result = run("register", *model, "--run-dir", tmp_path / "none", exit_code=1)
    assert "none: must be the output folder of a training. Received: " in result.stderr
    result = run("publish", "--name", "reviews", "--alias", "best", "--base-dir", ".", exit_code=1)
    assert "Received: 'best'. Versions: 1; aliases: none." in result.stderr
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    assert "the MLflow server must answer" in run("list", exit_code=1).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch", "--name", "a", "--output-dir", "b"], "Give either --alias or --version."),
        (
            ["publish", "--name", "a", "--alias", "b", "--version", "1", "--base-dir", "c"],
            "Give either --alias or --version.",
        ),
        (["promote", "--name", "a", "--version", "0"], "0 is not in the range x>=1"),
        (
            ["promote", "--name", "a", "--version", "1", "--alias", "3"],
            "Received: '3'. Choose another alias.",
        ),
        (
            ["fetch", "--name", "a", "--alias", "3", "--output-dir", "b"],
            "an alias must not be a number. Received: 3.",
        ),
        (["register", "--name", "a"], "Missing option '--model'"),
        (["delete"], "No such command 'delete'"),
    ],
)
def test_wrong_use_has_exit_code_2(run: Run, arguments: list[str], message: str) -> None:
    assert message in run(*arguments, exit_code=2).stderr


def test_pending_events_are_sent_once(uri: str, tmp_path: Path) -> None:
    config = TrackingConfig(enabled=False)
    with Tracker.open(tmp_path / "run", config=config, tracking_uri=None, stage="pretrain") as run:
        run.log_metrics({"loss": 1.0}, step=1)
    command = ["send-tracking", "--output-dir", str(tmp_path / "run")]
    first, again = CliRunner().invoke(main, command), CliRunner().invoke(main, command)
    run_id = json.loads((tmp_path / "run" / "tracking" / "sent.json").read_text())["run_id"]
    assert first.stdout == f"3 events sent to MLflow run {run_id}\n"
    assert again.stdout == f"0 events sent to MLflow run {run_id}\n"
    assert MlflowClient(uri).get_run(run_id).data.metrics == {"loss": 1.0}
    missing = CliRunner().invoke(main, ["send-tracking", "--output-dir", str(tmp_path)])
    assert missing.exit_code == 1
    assert "Error: " in missing.stderr
    assert "a tracked run's journal must exist" in missing.stderr


def test_command_line_starts_without_mlflow_and_tensorflow() -> None:
    heavy = "{'mlflow', 'tensorflow', 'rich'}"
    program = f"import sys, bert_tf.cli.main; sys.exit(bool({heavy} & {{*sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
