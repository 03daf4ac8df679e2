"""Runs a flow in a folder: does what has changed, reuses the rest, and writes down what it did.

    FLOW_DIR = OUTPUT_DIR/FLOW
    FLOW_DIR/config.yaml     the resolved configuration
    FLOW_DIR/steps/NAME/     what a step wrote
    FLOW_DIR/logs/NAME.log   what its process said, without passwords
    FLOW_DIR/reports/RUN/    a page a run

One run of a flow at a time. A run that failed, was stopped or killed is gone on with by running the
flow again: finished steps are reused, the step that was cut off begins where it can.
"""

import contextlib
import logging
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bert_tf.config import Config, write_config
from bert_tf.system.folder_lock import lock_folder
from bert_tf.system.output_folder import owned_folder
from pipelines.engine import history
from pipelines.engine.attempts import Attempts, InterruptedFlowError, Result, StepError, retried
from pipelines.engine.history import RunRecord, StepRecord
from pipelines.engine.redaction import redact
from pipelines.engine.spare_process import SpareProcess
from pipelines.engine.step import Context, Flow, Step, Stop, names_in
from pipelines.engine.step_state import (
    State,
    begin,
    fingerprint,
    read_state,
    result_digest,
    write_state,
)

log = logging.getLogger(__name__)

_LEFT = {"waiting": "not reached", "running": "interrupted"}
"""What steps are called that a run left so."""


@dataclass
class FlowRun:
    """A run that is under way. Made by `open_run`; `do` is called for each step in order."""

    flow: Flow
    config: Config
    flow_dir: Path
    tracking_uri: str
    processes: SpareProcess
    record: RunRecord
    is_stop_requested: Callable[[], bool]
    on_change: Callable[[RunRecord, str], None]
    """Takes the run as it is, and a line of the step's process."""
    write_report: Callable[["FlowRun"], Path] | None = None
    """Writes the page about the run when it has ended; its path."""
    folders: dict[str, Path] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)
    stop: Stop | None = None

    def do(self, step: Step) -> StepRecord:
        """Do, reuse or skip a step.

        Raises:
            StepError: it failed.
            InterruptedFlowError: a stop was requested.
        """
        record = self.record.step(step.name)
        context = self._context(step)
        if self.stop is not None:
            return self._end(record, "not reached", self.stop.reason)
        try:
            if self.is_stop_requested():
                raise InterruptedFlowError
            if reason := step.skip(context):
                return self._end(record, "skipped", reason)
            mark = self._retried(lambda: fingerprint(step, context, self.results))
            directory = self.flow_dir / "steps" / step.name
            before = read_state(directory)
            is_same = before is not None and before.is_finished and before.fingerprint == mark
            if before is not None and is_same and step.is_reused:
                self._take(step, before)
                return self._end(record, "reused", f"as in run {before.run_id}")
            self._check_disk(step, context)
            self._run(step, replace(context, fingerprint=mark), record)
        except InterruptedFlowError:
            self._end(record, "interrupted", "a stop was requested")
            raise
        except (StepError, OSError, ValueError, LookupError) as error:
            reason = redact(str(error))
            self._end(record, "failed", reason)
            raise StepError(f"{step.name}: {reason}") from error
        return self._end(record, "done", self.stop.reason if self.stop else "")

    def _run(self, step: Step, context: Context, record: StepRecord) -> None:
        state = begin(context.directory, context.fingerprint)
        record.status, record.started_at = "running", history.now()
        self._changed()
        log.info("%s: running in %s", step.name, context.directory)
        attempts = Attempts(
            log_path=self.flow_dir / "logs" / f"{step.name}.log",
            processes=self.processes,
            is_last=step is self.flow.steps[-1],
            is_stop_requested=self.is_stop_requested,
            on_line=lambda line: self.on_change(self.record, line),
        )
        started_at = time.monotonic()
        try:
            stop = attempts.run(step, context)
        finally:
            record.seconds = time.monotonic() - started_at
            state = replace(state, seconds=state.seconds + record.seconds)
            write_state(context.directory, state)
        digest = result_digest(step, context.directory, context.fingerprint)
        state = replace(
            state, is_finished=True, result=digest, stop=stop, run_id=self.record.run_id
        )
        write_state(context.directory, state)
        self._take(step, state)

    def _take(self, step: Step, state: State) -> None:
        """What a finished step has for those after it."""
        self.folders[step.name] = self.flow_dir / "steps" / step.name / step.result_folder
        self.results[step.name] = state.result
        self.stop = state.stop

    def _context(self, step: Step) -> Context:
        known = names_in((*step.after, *step.sees))
        return Context(
            config=self.config,
            directory=self.flow_dir / "steps" / step.name,
            folders={name: path for name, path in self.folders.items() if name in known},
            tracking_uri=self.tracking_uri,
        )

    def _check_disk(self, step: Step, context: Context) -> None:
        needed = step.disk_bytes(context) + int(self.config.flow.min_free_disk_gb * 1e9)
        free = shutil.disk_usage(self.flow_dir).free
        if free < needed:
            raise OSError(
                f"{self.flow_dir}: {needed / 1e9:.1f} GB must be free, what the step may write and "
                f"flow.min_free_disk_gb. Received: {free / 1e9:.1f} GB. Free some, or give another "
                "folder."
            )

    def _retried(self, call: Callable[[], Result]) -> Result:
        return retried(call, flow=self.config.flow, is_stop_requested=self.is_stop_requested)

    def _end(self, record: StepRecord, status: str, reason: str) -> StepRecord:
        record.status, record.reason = status, reason
        self._changed()
        if status != "not reached":
            took = f" in {record.seconds:.0f} s" if record.seconds else ""
            log.info("%s: %s%s%s", record.name, status, took, f" ({reason})" if reason else "")
        return record

    def _changed(self) -> None:
        history.write_state(self.flow_dir, self.record)
        self.on_change(self.record, "")


@contextlib.contextmanager
def open_run(
    flow: Flow,
    config: Config,
    output_dir: str | Path,
    *,
    tracking_uri: str,
    command: str = "bert-tf pipeline run",
    is_stop_requested: Callable[[], bool] = lambda: False,
    on_change: Callable[[RunRecord, str], None] = lambda *_: None,
    write_report: Callable[[FlowRun], Path] | None = None,
) -> Iterator[FlowRun]:
    """A run to call `do` on for each step; how it ended is written down when the block ends.

    Raises:
        ValueError: a run of the flow is under way in `output_dir`, and whose; or the folder
            holds what another command has written.
    """
    flow_dir = Path(output_dir).absolute() / flow.name
    with (
        owned_folder(output_dir, command="pipeline run", is_shared=True),
        lock_folder(flow_dir, command=f"{command} {flow.name}") as lock_fd,
    ):
        _note_killed(flow_dir)
        write_config(config, flow_dir)
        started_at = datetime.now(UTC)
        record = RunRecord(
            flow=flow.name,
            run_id=f"{started_at:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}",
            started_at=history.now(),
            steps=[StepRecord(step.name) for step in flow.steps],
        )
        run = FlowRun(
            flow=flow,
            config=config,
            flow_dir=flow_dir,
            tracking_uri=tracking_uri,
            processes=SpareProcess(
                lock_fd=lock_fd, tracking_uri=tracking_uri, imports=flow.imports
            ),
            record=record,
            is_stop_requested=is_stop_requested,
            on_change=on_change,
            write_report=write_report,
        )
        run._changed()
        try:
            yield run
            record.status, record.reason = _conclusion(run)
        except (InterruptedFlowError, KeyboardInterrupt, SystemExit):
            record.status, record.reason = history.INTERRUPTED, "a stop was requested"
            raise
        except BaseException as error:
            record.status, record.reason = history.FAILED, redact(str(error))
            raise
        finally:
            run.processes.close()
            _close(run)


def _note_killed(flow_dir: Path) -> None:
    """Adds a run that a kill or a power cut ended to the history. The lock is held here."""
    before = history.read_state(flow_dir)
    if before is not None and before.status == history.RUNNING:
        history.mark_killed(before)
    known = {run.run_id for run in history.read_history(flow_dir)}
    if before is not None and before.run_id not in known:
        log.warning("the run of %s was %s", before.started_at, before.reason or before.status)
        history.append(flow_dir, before)


def _conclusion(run: FlowRun) -> tuple[str, str]:
    for step in run.record.steps:
        if step.status == "failed":  # Dagster keeps the error to itself
            return history.FAILED, f"{step.name}: {step.reason}"
        if step.status == "interrupted":
            return history.INTERRUPTED, step.reason
    idle = ("reused", "skipped", "not reached", "waiting")  # Dagster asks for no step after a stop
    working = {step.name for step in run.flow.steps if not step.only_looks}
    if all(step.status in idle for step in run.record.steps if step.name in working):
        reasons = dict.fromkeys(s.reason for s in run.record.steps if s.status == "skipped")
        reasons |= {"nothing that the flow makes would be another: nothing was done": None}
        if run.stop is not None:
            reasons |= {f"still {run.stop.reason}": None}
        return history.NOTHING_NEW, "; ".join(reasons)
    return (run.stop.status, run.stop.reason) if run.stop else (history.DONE, "")


def _close(run: FlowRun) -> None:
    """Writes how the run ended into the report, the history and `state.json`."""
    record = run.record
    for step in record.steps:
        step.status = _LEFT.get(step.status, step.status)
    record.ended_at = history.now()
    try:
        record.report = str(run.write_report(run)) if run.write_report else ""
    except Exception as error:  # a page that cannot be drawn must not hide how the run ended
        log.warning("no report: %s", redact(str(error)))
    history.append(run.flow_dir, record)
    history.write_state(run.flow_dir, record)
    run.on_change(record, "")


def run_flow(
    flow: Flow, config: Config, output_dir: str | Path, *, until: str | None = None, **options: Any
) -> RunRecord:
    """All steps in order, or those up to `until`; `options` as of `open_run`.

    Raises:
        StepError: a step failed; the steps before it are kept.
        InterruptedFlowError: a stop was requested; likewise.
    """
    last = None if until is None else flow.step(until)
    with open_run(flow, config, output_dir, **options) as run:
        for step in flow.steps:
            run.do(step)
            if step is last:
                break
    return run.record
