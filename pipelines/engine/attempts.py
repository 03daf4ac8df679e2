"""Runs a step's process: starts, watches and stops it, and tries again where that may help."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bert_tf.config import FlowConfig
from pipelines.engine.json_files import read_json
from pipelines.engine.processes import end
from pipelines.engine.redaction import redact
from pipelines.engine.spare_process import SpareProcess
from pipelines.engine.step import Context, Step, Stop
from pipelines.engine.step_process import OUTCOME_FILE, TRANSIENT
from pipelines.engine.step_state import work_address

log = logging.getLogger(__name__)

GRACE_SECONDS = 60.0
"""For a training to write its checkpoint."""
_POLL_SECONDS = 0.1
Result = TypeVar("Result")


class StepError(Exception):
    """A step failed."""

    def __init__(self, reason: str, *, is_transient: bool = False):
        super().__init__(reason)
        self.is_transient = is_transient
        """Whether it may be gone at the next attempt."""


class InterruptedFlowError(Exception):
    """Somebody asked the flow to stop."""


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """How a step's processes are run."""

    log_path: Path
    processes: SpareProcess
    is_last: bool
    """No step comes after it."""
    is_stop_requested: Callable[[], bool]
    on_line: Callable[[str], None]

    def run(self, step: Step, context: Context) -> Stop | None:
        """Try until it is done, or there is no use in it; what the step said of the flow.

        Raises:
            StepError: it failed. The folder is as it was left, and the next run goes on there.
            InterruptedFlowError: a stop was requested.
        """
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self.log_path.write_bytes(b"")
        return retried(
            lambda: self._once(step, context),
            flow=context.config.flow,
            is_stop_requested=self.is_stop_requested,
        )

    def _once(self, step: Step, context: Context) -> Stop | None:
        outcome = self._outcome(step, context)
        if outcome.get("kind") == "interrupted":
            raise InterruptedFlowError
        if "error" in outcome:
            raise StepError(outcome["error"], is_transient=outcome["kind"] == "transient")
        return Stop(**outcome["stop"]) if "stop" in outcome else None

    def _outcome(self, step: Step, context: Context) -> dict[str, Any]:
        """What came of the work, see `step_process.do`."""
        outcome_path = context.directory / OUTCOME_FILE
        outcome_path.unlink(missing_ok=True)
        flow = context.config.flow
        minutes = flow.timeout_minutes.get(step.name, flow.step_timeout_minutes)
        with self._process(plan_of(step, context)) as process:
            give_up_at = time.monotonic() + 60 * minutes
            while process.poll() is None:
                if self.is_stop_requested():
                    raise InterruptedFlowError
                if time.monotonic() > give_up_at:
                    raise StepError(
                        f"it must end within {minutes:g} minutes (flow.timeout_minutes.{step.name})"
                        ". Received: it went on. A training goes on from its checkpoint when the "
                        "flow is run again."
                    )
                time.sleep(_POLL_SECONDS)
        if not outcome_path.is_file():
            raise StepError(_death(process.returncode))
        outcome: dict[str, Any] = read_json(outcome_path)
        return outcome

    @contextlib.contextmanager
    def _process(self, plan: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
        process = self.processes.take()
        assert process.stdin is not None
        reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        reader.start()
        try:
            process.stdin.write(json.dumps(plan).encode() + b"\n")
            process.stdin.flush()
            if not self.is_last:
                self.processes.prepare()
            yield process
        finally:
            end(process, grace_seconds=GRACE_SECONDS)
            with contextlib.suppress(ProcessLookupError):  # what it started and left behind
                os.killpg(process.pid, signal.SIGKILL)
            reader.join(GRACE_SECONDS)
            process.stdin.close()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout, self.log_path.open("a", encoding="utf-8") as out:
            for raw in process.stdout:
                line = redact(raw.decode("utf-8", "replace").rstrip())
                print(line, file=out, flush=True)
                self.on_line(line)


def plan_of(step: Step, context: Context) -> dict[str, Any]:
    """What a process has to be told to do a step, as JSON has it."""
    return {
        "work": work_address(step.work),
        # What is not set stays unset: a stored model says the rest of its architecture.
        "config": context.config.model_dump(mode="json", exclude_unset=True),
        "directory": str(context.directory),
        "folders": {name: str(path) for name, path in context.folders.items()},
        "tracking_uri": context.tracking_uri,
        "fingerprint": context.fingerprint,
    }


def retried(
    call: Callable[[], Result], *, flow: FlowConfig, is_stop_requested: Callable[[], bool]
) -> Result:
    """Call again, after longer and longer pauses, while the failure is transient.

    Raises:
        StepError: it failed for another reason, or `flow.max_attempts` times.
        InterruptedFlowError: a stop was requested meanwhile.
    """
    for attempt in range(1, flow.max_attempts + 1):
        try:
            return call()
        except (StepError, *TRANSIENT) as error:
            is_transient = isinstance(error, TRANSIENT) or error.is_transient
            if not is_transient or attempt == flow.max_attempts:
                raise StepError(redact(str(error)), is_transient=is_transient) from error
            pause = flow.backoff_seconds * 2 ** (attempt - 1)
            log.warning(
                "attempt %d of %d failed, the next in %.0f s: %s",
                attempt,
                flow.max_attempts,
                pause,
                redact(str(error)),
            )
            _pause(pause, is_stop_requested)
    raise AssertionError("max_attempts is positive")


def _pause(seconds: float, is_stop_requested: Callable[[], bool]) -> None:
    goes_on_at = time.monotonic() + seconds
    while time.monotonic() < goes_on_at:
        if is_stop_requested():
            raise InterruptedFlowError
        time.sleep(_POLL_SECONDS)


def _death(code: int) -> str:
    if code == -signal.SIGKILL:
        return "its process was killed; out of memory, perhaps"
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    return f"its process ended {how} before it was done"
