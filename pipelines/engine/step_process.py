"""A process that does one step, so that it can be stopped, timed out and killed.

It ends when its standard input does: that is, when the runner has gone, however it went. What it
has to say beside its log stands in `outcome.json` in the step's folder.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bert_tf.cli.process import set_up_process
from bert_tf.cli.progress import ProgressDisplay
from bert_tf.config import validate_config
from bert_tf.system.files import write_whole
from bert_tf.system.known_errors import message_of
from pipelines.engine.redaction import redact
from pipelines.engine.step import Context, Stop

OUTCOME_FILE = "outcome.json"
TRANSIENT = (ConnectionError, TimeoutError)
"""What may be gone at the next attempt."""
_LINE_EVERY_SECONDS = 5.0


def main() -> None:
    """The plan is the first line of standard input: JSON, see `attempts.plan_of`.

    The modules that arguments name are imported while it is waited for.
    """
    set_up_process()
    _import(sys.argv[1:])
    line = sys.stdin.readline()
    if not line:
        return  # The runner has gone.
    plan = json.loads(line)
    stop = _StopRequest()
    signal.signal(signal.SIGTERM, stop.note)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The runner says when to stop.
    threading.Thread(target=_watch_runner, daemon=True).start()
    with ProgressDisplay(is_terminal=False, line_every_seconds=_LINE_EVERY_SECONDS) as display:
        outcome = do(plan, show=display.update, is_stop_requested=stop.is_made)
    write_whole(Path(plan["directory"]) / OUTCOME_FILE, json.dumps(outcome, ensure_ascii=False))


def _import(modules: Iterable[str]) -> None:
    """None of it is garbage: the collector need not look at half a million objects now or later."""
    gc.disable()
    for module in modules:
        with contextlib.suppress(ImportError):  # The step that needs it says so, in its log.
            importlib.import_module(module)
    gc.freeze()
    gc.enable()


def do(
    plan: dict[str, Any],
    *,
    show: Callable[..., None] = lambda *_: None,
    is_stop_requested: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Do a step; what came of it: nothing to say, a word to stop, or an error in words.

    `plan` is as `attempts.plan_of` makes it.
    """
    context = Context(
        config=validate_config(plan["config"]),
        directory=Path(plan["directory"]),
        folders={name: Path(path) for name, path in plan["folders"].items()},
        tracking_uri=plan["tracking_uri"],
        fingerprint=plan["fingerprint"],
        show=show,
        is_stop_requested=is_stop_requested,
    )
    module, _, name = plan["work"].partition(":")
    work: Callable[[Context], Stop | None] = getattr(importlib.import_module(module), name)
    try:
        stopped = work(context)
    except Exception as error:
        if type(error).__name__ == "TrainingInterruptedError":
            return {"error": str(error), "kind": "interrupted"}
        import traceback

        traceback.print_exc()
        kind = "transient" if isinstance(error, TRANSIENT) else "permanent"
        message = message_of(error) or (
            f"this is a fault of the package. Received: {type(error).__name__}: {error}. Report it "
            "with the log, which holds the traceback."
        )
        return {"error": redact(message), "kind": kind}
    return {} if stopped is None else {"stop": vars(stopped)}


class _StopRequest:
    """Work that asks whether it is to stop is waited for; any other ends at once, with its own.

    That loses nothing: what a step writes appears whole or not at all.
    """

    def __init__(self) -> None:
        self._is_noted = self._is_asked_for = False

    def note(self, _number: int, _frame: Any) -> None:
        self._is_noted = True
        if not self._is_asked_for:
            os.killpg(0, signal.SIGKILL)  # the runner made a process group of it

    def is_made(self) -> bool:
        self._is_asked_for = True
        return self._is_noted


def _watch_runner() -> None:
    """Standard input ends when the runner does."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
