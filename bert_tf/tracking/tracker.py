"""MLflow tracking that no dead server can hurt.

In: parameters, metrics, tags and files of a run. Out: an MLflow run, and `OUTPUT_DIR/tracking/`:

    journal.jsonl   the run's events, one JSON object a line, only ever appended to: the truth
    sent.json       the MLflow run, and how many bytes of the journal it has
    lock            held by the process that sends

The training thread only appends to the journal. A daemon thread sends it, waits longer and longer
while the server fails, and goes on where it was. What is left at the end is sent by the next run
on the same folder or by `send_pending`. Nothing is doubled by sending twice: every event keeps the
time it was logged at, and MLflow holds one row for equal name, step, time and value. Nothing is
doubled by a training that resumes from a checkpoint either: MLflow cannot take a point back, so
the journal takes each metric of a step once, and steps that are done again add nothing to it.
"""

import contextlib
import logging
import math
import shlex
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from bert_tf.config import TrackingConfig
from bert_tf.system.disk_space import full_disk
from bert_tf.system.lookalikes import path_hint
from bert_tf.tracking.journal import (
    JOURNAL_FILE,
    SYSTEM,
    TRACKING_FOLDER,
    Curves,
    Journal,
    read_events,
    read_sent,
    take_lock,
)
from bert_tf.tracking.sender import Sender, describe_error, without_password

DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
PARENT_TAG = "mlflow.parentRunId"
"""By which MLflow shows a run below another."""
SEND_COMMAND = "bert-tf send-tracking --output-dir"

_log = logging.getLogger(__name__)

_SEND_INTERVAL_SECONDS = 2.0
_LONGEST_DELAY_SECONDS = 60.0
_IDENTITY = ("tracking_id", "experiment", "run_name", "stage")


class Tracker:
    """One run's journal and the thread that sends it. Use `Tracker.open`, as a context manager.

    With `config.enabled` false there is the journal only: no thread, no MLflow import, no system
    metrics. No method but `close` waits for anything, and none raises because of the server.
    """

    def __init__(self, directory: Path, *, journal: Journal, sender: Sender | None):
        self._directory = directory
        self._journal = journal
        self._sender = sender
        self._closed = threading.Event()
        self._ending = threading.Event()
        self._deadline = math.inf
        self._threads: list[threading.Thread] = []

    @classmethod
    def open(
        cls,
        output_dir: str | Path,
        *,
        config: TrackingConfig,
        tracking_uri: str | None,
        stage: str,
        run_name: str | None = None,
        begins_with: str | None = None,
        from_step: int = 0,
    ) -> Self:
        """Start a run, or go on in the run that `output_dir` already has.

        Name and experiment are those of the first start. `tracking_uri` defaults to
        `DEFAULT_TRACKING_URI`, `run_name` to `config.run_name`, then to stage and folder name.

        Args:
            begins_with: a digest of the settings of a training that begins at its first step. If
                one with other settings began in the journal before, steps are logged again.
            from_step: no earlier step will be logged again by a training that goes on.
        """
        output_dir = Path(output_dir)
        directory = output_dir / TRACKING_FOLDER
        directory.mkdir(parents=True, exist_ok=True)
        sender = None
        with contextlib.ExitStack() as opened:  # closed where the disk is full
            if config.enabled:
                # Here, not in the thread: imports at the same time collide.
                import mlflow  # noqa: F401

                lock = take_lock(directory, wait_seconds=5.0)
                if lock is None:
                    _log.warning(
                        "%s: another process is sending this run, these events too", directory
                    )
                else:
                    opened.callback(lock.close)
                    uri = tracking_uri or DEFAULT_TRACKING_URI
                    sender = Sender(directory, tracking_uri=uri, lock=lock)
            journal = Journal(directory / JOURNAL_FILE, from_step=from_step)
            opened.callback(journal.close)
            identity = journal.first or {
                "tracking_id": uuid.uuid4().hex,
                "experiment": config.experiment,
                "run_name": run_name or config.run_name or f"{stage} {output_dir.resolve().name}",
                "stage": stage,
            }
            begun = {} if begins_with is None else {"begins_with": begins_with}
            event = {name: identity[name] for name in _IDENTITY} | begun
            journal.append("open", **event)
            journal.before.note({"event": "open", **event})
            opened.pop_all()
        tracker = cls(directory, journal=journal, sender=sender)
        if config.parent_run_id is not None:
            tracker.set_tags({PARENT_TAG: config.parent_run_id})
        if sender:
            tracker._start(tracker._send, sender)
            tracker._start(tracker._measure, config.system_metrics_interval_seconds)
        return tracker

    @property
    def run_id(self) -> str | None:
        """The MLflow run; None until the server knows it."""
        return self._sender.run_id if self._sender else read_sent(self._directory)[0]

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Settings of the run. Sections become dotted names. MLflow keeps a name's first value."""
        self._append("parameters", values=dict(_flatten(parameters)))

    def log_metrics(
        self, metrics: Mapping[str, float], *, step: int, replaces: bool = False
    ) -> None:
        """Numbers (Python, NumPy or TensorFlow scalars) measured at `step`.

        What the journal has of the step stays, see `unlogged`. With `replaces` another value is
        logged beside it, and counts from then on: of what is no curve, but a result.
        """
        values = self.unlogged(metrics, step=step, replaces=replaces)
        if values:
            self._append("metrics", step=int(step), values=values)

    def unlogged(
        self, metrics: Mapping[str, float], *, step: int, replaces: bool = False
    ) -> dict[str, float]:
        """Those that the journal did not have at `step`, or not with this value."""
        known = self._journal.before.at(int(step))
        values = {name: float(value) for name, value in metrics.items()}
        return {
            name: value
            for name, value in values.items()
            # As text: NaN is no other value than NaN.
            if name not in known or (replaces and repr(known[name]) != repr(value))
        }

    def log_artifact(self, path: str | Path, folder: str | None = None) -> None:
        """A file or folder, uploaded as it is when its turn comes. A missing one is skipped.

        One inside the output folder is found there, even if that folder has moved by then.
        """
        path, output_dir = Path(path).resolve(), self._directory.parent.resolve()
        if path.is_relative_to(output_dir):
            path = path.relative_to(output_dir)
        self._append("artifact", path=str(path), folder=folder)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Labels of the run. The last value of a name stays."""
        self._append("tags", values={name: str(value) for name, value in tags.items()})

    def log_inputs(self, inputs: Sequence[Mapping[str, Any]]) -> None:
        """Data sets that the run reads: `role`, `source`, `sha256`, `num_examples`."""
        self._append("inputs", values=list(inputs))

    def close(
        self,
        status: Literal["FINISHED", "FAILED", "KILLED"] = "FINISHED",
        *,
        timeout_seconds: float = 20.0,
    ) -> None:
        """End the run and send the rest, for `timeout_seconds` at most. Only the first call counts.

        What could not be sent stays in the journal, and a warning says how to send it.
        """
        if self._closed.is_set():
            return
        self._closed.set()
        try:
            self._journal.append("close", status=status)
        finally:  # on a full disk, too
            self._journal.close()
            self._deadline = time.monotonic() + timeout_seconds
            self._ending.set()
            for thread in self._threads:
                thread.join(max(0.0, self._deadline - time.monotonic()))
        if self._sender and self._sender.is_pending:
            _log.warning(
                "%s holds events that the tracking server has not got. Run the same command again, "
                "or `%s %s`, to send them.",
                self._directory / JOURNAL_FILE,
                SEND_COMMAND,
                self._directory.parent,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close("FINISHED")
        else:
            self.close("FAILED" if issubclass(kind, Exception) else "KILLED")

    def _append(self, kind: str, **fields: Any) -> None:
        if self._closed.is_set():
            raise ValueError(
                f"{self._directory}: a tracker must be open to take events. "
                f"Received: {kind} after close."
            )
        self._journal.append(kind, **fields)

    def _start(self, work: Callable[[Any], None], argument: Any) -> None:
        thread = threading.Thread(target=work, args=(argument,), name=work.__name__, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _send(self, sender: Sender) -> None:
        num_failures = 0
        with sender.lock:
            while time.monotonic() < self._deadline:
                is_ending = self._ending.is_set()
                try:
                    has_sent = sender.send_next()
                except Exception as error:
                    num_failures += 1
                    if num_failures == 1:
                        _log.warning(
                            "%s; the run goes on and its events wait in %s: %s",
                            "no space for tracking"
                            if full_disk(error)
                            else "tracking server failed",
                            self._directory / JOURNAL_FILE,
                            describe_error(error),
                        )
                    if is_ending:
                        time.sleep(0.5)
                    self._ending.wait(min(_LONGEST_DELAY_SECONDS, 2.0**num_failures))
                    continue
                if has_sent and num_failures:
                    _log.warning("tracking server answers again; sending what it has missed")
                    num_failures = 0
                if not has_sent:
                    if is_ending:
                        return
                    self._ending.wait(_SEND_INTERVAL_SECONDS)

    def _measure(self, interval_seconds: float) -> None:
        """System metrics, named as MLflow names them; the step is the run's age in seconds."""
        last_step = -1
        try:
            monitors = _make_system_monitors()
            while not self._closed.wait(interval_seconds):
                values: dict[str, float] = {}
                for monitor in monitors:
                    monitor.collect_metrics()
                    values.update(monitor.aggregate_metrics())
                    monitor.clear_metrics()
                system = {f"{SYSTEM}{name}": float(value) for name, value in values.items()}
                step = self._journal.age_seconds
                if step > last_step:  # A step has one value, however short the interval is.
                    self._journal.append("metrics", step=step, values=system)
                last_step = step
        except Exception as error:
            _log.warning("system metrics are no longer measured: %s", describe_error(error))


def send_pending(output_dir: str | Path, *, tracking_uri: str | None) -> int:
    """Send what a run that has ended could not. Returns the number of events sent.

    A run whose process died without closing it is closed as KILLED.

    Raises:
        FileNotFoundError: `output_dir` has no journal.
        ValueError: the run is still going on.
        ConnectionError: the server fails; what it got until then is not sent again.
    """
    path = _find_journal(output_dir)
    directory = path.parent
    lock = take_lock(directory, wait_seconds=30.0)
    if lock is None:
        raise ValueError(
            f"{directory}: a run must have ended. Received: one that is still sending. "
            "Wait until it ends."
        )
    with lock:
        with contextlib.closing(Journal(path)) as journal:
            if journal.last_kind != "close":
                journal.append("close", status="KILLED")
        uri = tracking_uri or DEFAULT_TRACKING_URI
        sender = Sender(directory, tracking_uri=uri, lock=lock)
        try:
            while sender.send_next():
                pass
        except Exception as error:
            raise ConnectionError(
                f"{path}: the tracking server must answer. "
                f"Received: {describe_error(error)}. {sender.num_sent} events were sent; "
                "try again when it is back."
            ) from error
        return sender.num_sent


def read_metrics(output_dir: str | Path) -> dict[str, list[tuple[int, float]]]:
    """The curves in a run's journal: name → (step, value), by step. No server is asked.

    Where a step was logged again, the last value counts. A run that is still going on can be
    read, too.

    Raises:
        FileNotFoundError: `output_dir` has no journal.
    """
    curves = Curves(read_events(_find_journal(output_dir)))
    return {name: sorted(curve.items()) for name, curve in curves.values.items()}


def run_id_of(output_dir: str | Path) -> str | None:
    """The MLflow run that `output_dir` was tracked in; None if the server never got it."""
    return read_sent(Path(output_dir) / TRACKING_FOLDER)[0]


def describe_tracking_uri(uri: str) -> str:
    """Where a person looks: a server's address, or the command that shows a database's runs.

    Without user and password.
    """
    address = without_password(uri)
    if address.startswith(("http://", "https://")):
        return address
    return f"mlflow ui --backend-store-uri {shlex.quote(address)}"


def _find_journal(output_dir: str | Path) -> Path:
    path = Path(output_dir) / TRACKING_FOLDER / JOURNAL_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: a tracked run's journal must exist. Received: no such file. "
            f"Give the output folder of a training.{path_hint(path)}"
        )
    return path


def _make_system_monitors() -> list[Any]:
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    monitors: list[Any] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    monitors[0].collect_metrics()  # psutil's first CPU share is always 0
    monitors[0].clear_metrics()
    with contextlib.suppress(ImportError, RuntimeError):  # no nvidia-ml-py, or no GPU
        monitors.append(GPUMonitor())
    return monitors


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)
