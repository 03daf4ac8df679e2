"""What a user reads of an exception, and what is a fault of the package."""

import json
import pickle
import sqlite3
import zlib
from pathlib import Path

import alembic.util.exc
import pytest
import sqlalchemy.exc
import tensorflow as tf

from bert_tf.data.text.vocabulary import read_vocabulary
from bert_tf.system import known_errors
from bert_tf.system.known_errors import fault_message, is_of_database, message_of


def raised(call) -> Exception:
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def raise_(error: Exception) -> Exception:
    def call():
        raise error

    return raised(call)


def database_error() -> Exception:
    return sqlalchemy.exc.OperationalError(
        "SELECT 1", {}, sqlite3.OperationalError("database is locked")
    )


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            database_error(),
            r"^the MLflow database must .*Received: OperationalError: database is",
        ),
        (sqlite3.DatabaseError("malformed"), r"^the MLflow database must be whole.*malformed\. Wa"),
        (alembic.util.exc.CommandError("Can't locate"), r"must be of the installed MLflow's ver"),
        (tf.errors.DataLossError(None, None, "cut"), r"^a file must be whole. Received: DataLoss"),
        (tf.errors.ResourceExhaustedError(None, None, "OOM"), r"memory .*OOM\. Lower batch_size"),
        (tf.errors.UnavailableError(None, None, "gone"), r"^all workers must run .*gone\. Start"),
        (MemoryError(), r"^the machine's memory must be enough. Received: MemoryError\. Lower"),
        (zlib.error("incorrect header"), r"^a packed file must be whole. .*incorrect header\. Co"),
    ],
)
def test_errors_of_libraries_are_told_in_three_parts(error, message):
    with pytest.raises(ValueError, match=message):
        raise ValueError(message_of(raise_(error)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Path("/dev/null/x").read_text(), r"^/dev/null/x: must lie in folders alone\. Rec"),
        (lambda: Path("/tmp").read_text(), r"^/tmp: must be a file\. Received: Is a directory\. "),
        (lambda: Path("/nowhere").read_text(), r"^/nowhere: must exist\. Received: No such file"),
        (lambda: Path("/" + "x" * 300).read_text(), r"xxx: must be a path that .* takes\. Receiv"),
    ],
)
def test_errors_of_the_operating_system_are_told_with_the_path(call, message):
    with pytest.raises(ValueError, match=message):
        raise ValueError(message_of(raised(call)))


def test_own_messages_stay_as_they_are(tmp_path):
    error = raised(lambda: read_vocabulary(tmp_path / "vocab.txt"))
    assert message_of(error) == str(error)
    assert message_of(ValueError("told by a task of another package")) is not None


def test_what_python_raises_in_our_code_is_a_fault(monkeypatch):
    """`int("x")` in a module of the package says neither which file nor what to do."""
    scope = {"__name__": "bert_tf.somewhere"}
    exec("def builtin():\n    int('x')\ndef own():\n    raise ValueError('a must be b.')\n", scope)
    assert message_of(raised(scope["builtin"])) is None
    assert message_of(raised(scope["own"])) == "a must be b."
    sent = pickle.loads(pickle.dumps(raised(scope["own"])))  # as from a worker process
    assert message_of(raise_(sent)) == "a must be b."


@pytest.mark.parametrize(
    "call",
    [
        lambda: {}["x"],
        lambda: [][0],
        lambda: json.loads("{"),
        lambda: b"\xff".decode(),
        lambda: None.x,
        lambda: json.loads("[" * 100_000),
    ],
)
def test_the_rest_is_a_fault_with_its_traceback_in_a_file(call, tmp_path, monkeypatch):
    monkeypatch.setattr(known_errors.tempfile, "tempdir", str(tmp_path))
    error = raised(call)
    assert message_of(error) is None
    message = fault_message(error)
    (file,) = tmp_path.iterdir()
    assert message.startswith(f"this is a fault of the package. Received: {type(error).__name__}")
    assert str(file) in message
    assert "\n" not in message
    assert "Traceback (most recent call last)" in file.read_text()
    assert type(error).__name__ in file.read_text()


def test_without_a_folder_for_it_the_traceback_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(known_errors.tempfile, "tempdir", str(tmp_path / "absent"))
    assert "Traceback (most recent call last)" in fault_message(raised(lambda: {}["x"]))


def test_errors_of_the_database_are_told_from_others():
    assert is_of_database(database_error())
    assert is_of_database(alembic.util.exc.CommandError("x"))
    assert not is_of_database(ValueError("x"))
