"""What every command shares: the process's environment and logging, errors as exit codes."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import NoReturn

import click

# What libraries read when they start. A value that is already set stays.
_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
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
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("absl", "alembic", "mlflow", "h5py", "tensorflow", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def tracking_uri() -> str:
    """The MLflow server that commands use."""
    from bert_tf.training.tracking import DEFAULT_TRACKING_URI

    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_TRACKING_URI


@contextlib.contextmanager
def show_errors() -> Iterator[None]:
    """What a user can mend is shown as a message; anything else keeps its traceback."""
    try:
        yield
    except (ValueError, LookupError, OSError, FloatingPointError, RuntimeError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        fail(error, code=1)


def fail(error: BaseException, *, code: int) -> NoReturn:
    logging.getLogger(__name__).debug("Traceback:", exc_info=error)
    click.echo(f"Error: {error}", err=True)
    raise SystemExit(code) from error
