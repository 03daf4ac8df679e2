"""The process that does one step, so that the step can be stopped, timed out and killed.

It ends when its standard input does: that is, when the runner has ended, however it ended. Its
result, or its error, stands in `outcome.json` in the step's folder.
"""

import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bert_tf.cli.process import set_up_process, tracking_uri
from bert_tf.cli.progress import ProgressDisplay
from bert_tf.config import validate_config
from bert_tf.system.files import write_whole
from pipelines.engine.redaction import redact
from pipelines.engine.step import Context, Stop

OUTCOME_FILE = "outcome.json"
TRANSIENT = (ConnectionError, TimeoutError)
"""What may be gone at the next attempt."""
_LINE_EVERY_SECONDS = 5.0


def main() -> None:
    """The plan is the first line of standard input: JSON, see `attempts`."""
    plan = json.loads(sys.stdin.readline())
    stop = _StopRequest()
    signal.signal(signal.SIGTERM, stop.note)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The runner says when to stop.
    threading.Thread(target=_watch_runner, daemon=True).start()
    set_up_process()
    directory = Path(plan["directory"])
    with ProgressDisplay(is_terminal=False, line_every_seconds=_LINE_EVERY_SECONDS) as display:
        context = Context(
            config=validate_config(plan["config"]),
            directory=directory,
            folders={name: Path(path) for name, path in plan["folders"].items()},
            tracking_uri=tracking_uri(),
            fingerprint=plan["fingerprint"],
            show=display.update,
            is_stop_requested=stop.is_made,
        )
        outcome = _do(plan["work"], context)
    write_whole(directory / OUTCOME_FILE, json.dumps(outcome, ensure_ascii=False))


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


def _do(address: str, context: Context) -> dict[str, Any]:
    """The outcome: nothing, a `Stop` with its reason, or an error with its message."""
    module, _, name = address.partition(":")
    work: Callable[[Context], Stop | None] = getattr(importlib.import_module(module), name)
    try:
        stopped = work(context)
    except Exception as error:
        if type(error).__name__ == "TrainingInterruptedError":
            return {"error": str(error), "kind": "interrupted"}
        import traceback

        traceback.print_exc()
        kind = "transient" if isinstance(error, TRANSIENT) else "permanent"
        return {"error": redact(str(error)) or type(error).__name__, "kind": kind}
    return {} if stopped is None else {"stop": vars(stopped)}


def _watch_runner() -> None:
    """Standard input ends when the runner does."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
