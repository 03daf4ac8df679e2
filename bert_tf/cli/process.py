"""What every command shares: the process's environment and logging, errors as exit codes."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import NoReturn, TextIO

import click

from bert_tf.system.disk_space import full_disk
from bert_tf.system.environment import library_environment

REFUSED = 3
"""Exit code where a new version may not replace the champion, or was sent back."""


def set_up_process() -> None:
    """Environment and logging of a process that runs commands; before TensorFlow is imported."""
    os.environ.update(library_environment())
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
    from bert_tf.tracking.tracker import DEFAULT_TRACKING_URI

    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_TRACKING_URI


_MENDABLE = (ValueError, OSError, FloatingPointError, RuntimeError, ImportError)


@contextlib.contextmanager
def show_errors() -> Iterator[None]:
    """What a user can mend is shown as a message; anything else keeps its traceback.

    `BERT_TF_DEBUG=1` shows the traceback of a message, too.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except Exception as error:
        if message := full_disk(error):
            fail(error, code=1, message=message)
        if isinstance(error, _MENDABLE):
            fail(error, code=1)
        raise


def fail(error: BaseException, *, code: int, message: str | None = None) -> NoReturn:
    """Show an error's message, or another in its place, and leave with `code`."""
    logging.getLogger(__name__).debug("Traceback:", exc_info=error)
    click.echo(f"Error: {message or error}", err=True)
    raise SystemExit(code) from error
