"""What every command shares: the process's environment and logging, errors as exit codes."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn, TextIO

import click

from bert_tf.system.environment import library_environment
from bert_tf.system.known_errors import fault_message, message_of

REFUSED = 3
"""Exit code where a new version may not replace the champion, or was sent back."""
FAULT = 70
"""Exit code of a fault of the package; `EX_SOFTWARE` of sysexits.h."""


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


@contextlib.contextmanager
def show_errors() -> Iterator[None]:
    """What a user can mend is shown as a message, exit code 1; what not as a fault, 70.

    The traceback of a fault goes into a file. `BERT_TF_DEBUG=1` shows that of a message, too.
    """
    try:
        yield
    except (BrokenPipeError, click.ClickException, click.exceptions.Exit, click.Abort):
        raise  # click's to deal with
    except Exception as error:
        if message := message_of(error):
            fail(error, code=1, message=message)
        fail(error, code=FAULT, message=fault_message(error))


class CheckedCommand(click.Command):
    """A program's command: its arguments are checked, its errors shown."""

    def make_context(
        self, info_name: str | None, args: list[str], *rest: Any, **extra: Any
    ) -> click.Context:
        """Refuse arguments that are not UTF-8, those of a group's commands, too."""
        _check_arguments(args)
        return super().make_context(info_name, args, *rest, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run within `show_errors`."""
        with show_errors():
            return super().invoke(ctx)


def _check_arguments(arguments: Iterable[str]) -> None:
    """Refuse arguments that are not UTF-8: no file that is written could name them."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            received = argument.encode("utf-8", "surrogateescape").decode(
                "utf-8", "backslashreplace"
            )
            raise click.UsageError(
                f"every argument must be UTF-8. Received: {received}. Rename the file, or convert "
                "the text."
            ) from error


def fail(error: BaseException, *, code: int, message: str | None = None) -> NoReturn:
    """Show an error's message, or another in its place, and leave with `code`."""
    logging.getLogger(__name__).debug("Traceback:", exc_info=error)
    click.echo(f"Error: {message or error}", err=True)
    raise SystemExit(code) from error
