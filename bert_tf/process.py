"""What every command shares: the process's environment and logging, errors as exit codes."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import NoReturn, TextIO

import click

# What libraries read when they start. A value that is already set stays.
_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # a local server may run beside a training
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "KERAS_BACKEND": "tensorflow",
}


def set_up_process() -> None:
    """Environment and logging of a process that runs commands; before TensorFlow is imported."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    level = logging.DEBUG if os.environ.get("BERT_TF_DEBUG") else logging.INFO
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[_StandardError()])
    for ours in ("bert_tf", "pipelines"):
        logging.getLogger(ours).setLevel(level)
    for noisy in ("absl", "alembic", "mlflow", "h5py", "tensorflow", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at that moment: a live bar takes it over while it is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def tracking_uri() -> str:
    """The MLflow server that commands use."""
    from bert_tf.training.tracking import DEFAULT_TRACKING_URI

    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_TRACKING_URI


@contextlib.contextmanager
def show_errors() -> Iterator[None]:
    """What a user can mend is shown as a message; anything else keeps its traceback.

    `BERT_TF_DEBUG=1` shows the traceback of a message, too.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except (ValueError, OSError, FloatingPointError, RuntimeError, ImportError) as error:
        fail(error, code=1)


def fail(error: BaseException, *, code: int) -> NoReturn:
    """Show an error's message and leave with `code`."""
    logging.getLogger(__name__).debug("Traceback:", exc_info=error)
    click.echo(f"Error: {error}", err=True)
    raise SystemExit(code) from error
