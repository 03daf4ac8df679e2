"""What the commands print and return when something is wrong."""

import sqlite3

import click
import pytest
from click.testing import CliRunner

from bert_tf.cli.main import main
from bert_tf.cli.process import FAULT, show_errors
from bert_tf.system import known_errors


def run(*arguments: str, uri: str = ""):
    env = {"MLFLOW_TRACKING_URI": uri} if uri else {}
    return CliRunner(env=env).invoke(main, list(arguments))


@pytest.fixture
def broken_command(monkeypatch):
    @click.command()
    def broken() -> None:
        raise KeyError("shards")

    monkeypatch.setitem(main.commands, "broken", broken)


def test_a_fault_of_the_package_shows_no_traceback(broken_command, tmp_path, monkeypatch):
    monkeypatch.setattr(known_errors.tempfile, "tempdir", str(tmp_path))
    result = run("broken")
    assert result.exit_code == FAULT
    assert "Error: this is a fault of the package. Received: KeyError: 'shards'." in result.output
    assert "Traceback" not in result.output
    (file,) = tmp_path.iterdir()
    assert str(file) in result.output
    assert "Traceback" in file.read_text()


@pytest.mark.parametrize("argument", ["a\udcffb", "corpus.paths=[\udce9]"])
def test_arguments_that_are_no_utf8_are_refused_by_name(argument, tmp_path):
    result = run("vocab", "--set", argument, "--output-dir", str(tmp_path / "out"))
    assert result.exit_code == 2
    shown = argument.replace("\udcff", r"\xff").replace("\udce9", r"\xe9")
    assert f"every argument must be UTF-8. Received: {shown}. Rename the file" in result.output
    assert not (tmp_path / "out").exists()


def test_usage_and_exits_stay_with_click():
    with pytest.raises(click.UsageError, match="both"), show_errors():
        raise click.UsageError("both")
    with pytest.raises(SystemExit) as caught, show_errors():
        raise SystemExit(143)
    assert caught.value.code == 143
    assert run("--help").exit_code == 0
    assert run("nothing").exit_code == 2


def test_a_deeply_nested_configuration_is_refused(tmp_path):
    (tmp_path / "c.yaml").write_text("[" * 5000)
    config, output_dir = str(tmp_path / "c.yaml"), str(tmp_path / "out")
    result = run("vocab", "--config", config, "--output-dir", output_dir)
    assert result.exit_code == 2
    assert "c.yaml: a configuration file must be YAML. Received: lists or sec" in result.output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no database at all" * 100, "file is not a database"),
        (b"SQLite format 3\0" + bytes(4000), "must be whole, writable and free"),
        ("revision", "must be of the installed MLflow's version, or older"),
        ("locked", "database is locked. Wait for the process that holds it"),
    ],
)
def test_a_damaged_or_locked_registry_is_told_with_its_address(content, message, tmp_path):
    path = tmp_path / "mlflow.db"
    connection = None
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("create table alembic_version (version_num text)")
        connection.execute("insert into alembic_version values ('abc')")
        if content == "locked":
            connection.execute("begin exclusive")
    result = run("registry", "list", uri=f"sqlite:///{path}")
    if connection is not None:
        connection.close()
    assert result.exit_code == 1, result.output
    assert f"Error: sqlite:///{path}: the MLflow database must" in result.output
    assert message in result.output
    assert "Traceback" not in result.output
