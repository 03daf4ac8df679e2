"""MLflow tracking that no dead server can hurt.

In: parameters, metrics, tags and files of a run. Out: an MLflow run, and `OUTPUT_DIR/tracking/`:

    journal.jsonl   the run's events, one JSON object a line, only ever appended to: the truth
    sent.json       the MLflow run, and how many bytes of the journal it has
    lock            held by the process that sends

The training thread only appends to the journal. A daemon thread sends it, waits longer and longer
while the server fails, and goes on where it was. What is left at the end is sent by the next run
on the same folder or by `send_pending`. Nothing is doubled by sending twice: every event keeps the
time it was logged at, and MLflow holds one row for equal name, step, time and value. A training
that resumes from a checkpoint and logs step N again adds a second point there: both happened.
"""

import contextlib
import fcntl
import json
import logging
import math
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

from bert_tf.config import TrackingConfig

DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
SEND_COMMAND = "bert-tf send-tracking --output-dir"
TRACKING_ID_TAG = "bert_tf.tracking_id"

_log = logging.getLogger(__name__)

_JOURNAL = "journal.jsonl"
_SENT = "sent.json"
_SEND_INTERVAL_SECONDS = 2.0
_LONGEST_DELAY_SECONDS = 60.0
_EVENTS_PER_SENDING = 200
_METRICS_PER_REQUEST = 1000  # mlflow.utils.validation.MAX_METRICS_PER_BATCH
_OTHERS_PER_REQUEST = 100  # mlflow.utils.validation.MAX_PARAMS_TAGS_PER_BATCH
_ARTIFACT_ATTEMPTS = 3
_IDENTITY = ("tracking_id", "experiment", "run_name", "stage")
_TOGETHER = frozenset({"metrics", "parameters", "tags"})


class Tracker:
    """One run's journal and the thread that sends it. Use `Tracker.open`, as a context manager.

    With `config.enabled` false there is the journal only: no thread, no MLflow import, no system
    metrics. No method but `close` waits for anything, and none raises because of the server.
    """

    def __init__(self, directory: Path, *, journal: "_Journal", sender: "_Sender | None"):
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
    ) -> Self:
        """Start a run, or go on in the run that `output_dir` already has.

        Name and experiment are those of the first start. `tracking_uri` defaults to
        `DEFAULT_TRACKING_URI`, `run_name` to `config.run_name`, then to stage and folder name.
        """
        output_dir = Path(output_dir)
        directory = output_dir / "tracking"
        directory.mkdir(parents=True, exist_ok=True)
        sender = None
        if config.enabled:
            import mlflow  # noqa: F401  Here, not in the thread: imports at the same time collide.

            lock = _take_lock(directory, wait_seconds=5.0)
            if lock is None:
                _log.warning("%s: another process is sending this run, these events too", directory)
            else:
                sender = _Sender(directory, tracking_uri=tracking_uri, lock=lock)
        journal = _Journal(directory / _JOURNAL)
        identity = journal.first or {
            "tracking_id": uuid.uuid4().hex,
            "experiment": config.experiment,
            "run_name": run_name or config.run_name or f"{stage} {output_dir.resolve().name}",
            "stage": stage,
        }
        journal.append("open", **{name: identity[name] for name in _IDENTITY})
        tracker = cls(directory, journal=journal, sender=sender)
        if sender:
            tracker._start(tracker._send, sender)
            tracker._start(tracker._measure, config.system_metrics_interval_seconds)
        return tracker

    @property
    def run_id(self) -> str | None:
        """The MLflow run; None until the server knows it."""
        return self._sender.run_id if self._sender else _read_sent(self._directory)[0]

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Settings of the run. Sections become dotted names. MLflow keeps a name's first value."""
        self._append("parameters", values=dict(_flatten(parameters)))

    def log_metrics(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Numbers (Python, NumPy or TensorFlow scalars) measured at `step`."""
        values = {name: float(value) for name, value in metrics.items()}
        self._append("metrics", step=int(step), values=values)

    def log_artifact(self, path: str | Path, folder: str | None = None) -> None:
        """A file or folder, uploaded as it is when its turn comes. A missing one is skipped."""
        self._append("artifact", path=str(Path(path).resolve()), folder=folder)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Labels of the run. The last value of a name stays."""
        self._append("tags", values={name: str(value) for name, value in tags.items()})

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
        self._journal.append("close", status=status)
        self._deadline = time.monotonic() + timeout_seconds
        self._ending.set()
        for thread in self._threads:
            thread.join(max(0.0, self._deadline - time.monotonic()))
        if self._sender and self._sender.is_pending:
            _log.warning(
                "%s holds events that the tracking server has not got. Run the same command again, "
                "or `%s %s`, to send them.",
                self._directory / _JOURNAL,
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

    def _send(self, sender: "_Sender") -> None:
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
                            "tracking server failed; the run goes on and its events wait in %s: %s",
                            self._directory / _JOURNAL,
                            _describe(error),
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
        try:
            monitors = _make_system_monitors()
            while not self._closed.wait(interval_seconds):
                values: dict[str, float] = {}
                for monitor in monitors:
                    monitor.collect_metrics()
                    values.update(monitor.aggregate_metrics())
                    monitor.clear_metrics()
                system = {f"system/{name}": float(value) for name, value in values.items()}
                self._journal.append("metrics", step=self._journal.age_seconds, values=system)
        except Exception as error:
            _log.warning("system metrics are no longer measured: %s", _describe(error))


def send_pending(output_dir: str | Path, *, tracking_uri: str | None) -> int:
    """Send what a run that has ended could not. Returns the number of events sent.

    A run whose process died without closing it is closed as KILLED.

    Raises:
        FileNotFoundError: `output_dir` has no journal.
        ValueError: the run is still going on.
        ConnectionError: the server fails; what it got until then is not sent again.
    """
    directory = Path(output_dir) / "tracking"
    if not (directory / _JOURNAL).is_file():
        raise FileNotFoundError(
            f"{directory / _JOURNAL}: a tracked run's journal must exist. Received: no such file. "
            "Give the output folder of a training."
        )
    lock = _take_lock(directory, wait_seconds=30.0)
    if lock is None:
        raise ValueError(
            f"{directory}: a run must have ended. Received: one that is still sending. "
            "Wait until it ends."
        )
    with lock:
        with contextlib.closing(_Journal(directory / _JOURNAL)) as journal:
            if journal.last_kind != "close":
                journal.append("close", status="KILLED")
        sender = _Sender(directory, tracking_uri=tracking_uri, lock=lock)
        try:
            while sender.send_next():
                pass
        except Exception as error:
            raise ConnectionError(
                f"{directory / _JOURNAL}: the tracking server must answer. "
                f"Received: {_describe(error)}. {sender.num_sent} events were sent; "
                "try again when it is back."
            ) from error
        return sender.num_sent


class _Journal:
    """An append-only file of events, "close" the last. A half-written line is closed off."""

    def __init__(self, path: Path):
        self.first: dict[str, Any] | None = None
        self.last_kind: str | None = None
        self._lock = threading.Lock()
        self._file = path.open("a+b", buffering=0)
        if self._file.seek(0, os.SEEK_END):
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")
        with path.open("rb") as file:
            for event in filter(None, map(_parse, file)):
                self.last_kind = event["event"]
                if self.first is None and self.last_kind == "open":
                    self.first = event

    @property
    def age_seconds(self) -> int:
        return (_now_ms() - (self.first or {}).get("time_ms", _now_ms())) // 1000

    def append(self, kind: str, **fields: Any) -> None:
        event = {"event": kind, "time_ms": _now_ms(), **fields}
        if self.first is None and kind == "open":
            self.first = event
        if kind == "metrics":  # JSON has no NaN and no infinity
            event["values"] = {
                name: value if math.isfinite(value) else repr(value)
                for name, value in fields["values"].items()
            }
        line = json.dumps(event, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            if not self._file.closed:
                self._file.write(line)
            if kind == "close":
                self._file.close()

    def close(self) -> None:
        with self._lock:
            self._file.close()


class _RunIsGoneError(Exception):
    """The run that has part of the journal is no longer on the server."""


class _Sender:
    """Moves a journal's events into its MLflow run, in order, and remembers how far it came.

    Its methods raise what MLflow raises when the server fails; calling again goes on there. Events
    that the server refuses for what they are (a parameter changed, a bad name) are dropped with a
    warning: waiting would not help them.
    """

    def __init__(self, directory: Path, *, tracking_uri: str | None, lock: IO[bytes]):
        self.lock = lock
        self.num_sent = 0
        self.run_id, self._offset = _read_sent(directory)
        self._directory = directory
        self._tracking_uri = tracking_uri or DEFAULT_TRACKING_URI
        self._may_start_over = True
        self._num_artifact_failures = 0

    @property
    def is_pending(self) -> bool:
        return (self._directory / _JOURNAL).stat().st_size > self._offset

    def send_next(self) -> bool:
        """Send the next few events; False when there are none."""
        events, end = self._read_next()
        if end == self._offset:
            return False
        try:
            if events:
                self._send(events)
        except _RunIsGoneError:
            if not self._may_start_over:
                raise
            _log.warning("run %s is gone from the server; a new one gets all events", self.run_id)
            self._may_start_over, self.run_id, events, end = False, None, [], 0
        self._offset = end
        self.num_sent += len(events)
        _write_sent(self._directory, run_id=self.run_id, offset=end)
        return True

    def _read_next(self) -> tuple[list[dict[str, Any]], int]:
        events: list[dict[str, Any]] = []
        end = self._offset
        with (self._directory / _JOURNAL).open("rb") as file:
            file.seek(end)
            for line in file:
                event = _parse(line)
                kinds = {known["event"] for known in (*events, event) if known}
                is_full = len(events) == _EVENTS_PER_SENDING
                if not line.endswith(b"\n") or is_full or (events and kinds - _TOGETHER):
                    break
                end += len(line)
                if event:
                    events.append(event)
                elif line.strip():
                    _log.warning("%s: skipped a broken line at byte %d", file.name, end - len(line))
        return events, end

    def _send(self, events: list[dict[str, Any]]) -> None:
        from mlflow import MlflowClient

        client = MlflowClient(self._tracking_uri, registry_uri=self._tracking_uri)
        first = events[0]
        if first["event"] == "open":
            self._open_run(client, first)
        elif first["event"] == "close":
            client.set_terminated(self.run_id, first["status"], end_time=first["time_ms"])
        elif first["event"] == "artifact":
            self._upload(client, Path(first["path"]), first["folder"])
        else:
            for batch in _make_batches(events):
                self._log_batch(client, batch)

    def _open_run(self, client: Any, event: dict[str, Any]) -> None:
        experiment = client.get_experiment_by_name(event["experiment"])
        experiment_id = (
            experiment.experiment_id
            if experiment
            else client.create_experiment(event["experiment"])
        )
        # By tag, not by id: a server killed between making the run and saying so has made it.
        found = client.search_runs(
            [experiment_id], f"tags.`{TRACKING_ID_TAG}` = '{event['tracking_id']}'"
        )
        if not found and self.run_id:
            raise _RunIsGoneError(self.run_id)
        if not found:
            tags = {TRACKING_ID_TAG: event["tracking_id"], "stage": event["stage"]}
            run = client.create_run(
                experiment_id, start_time=event["time_ms"], tags=tags, run_name=event["run_name"]
            )
        else:
            run = found[0]
            client.update_run(run.info.run_id, status="RUNNING")
        self.run_id = run.info.run_id

    def _log_batch(self, client: Any, items: list[Any]) -> None:
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.exceptions import MlflowException

        try:
            client.log_batch(
                self.run_id,
                metrics=[item for item in items if isinstance(item, Metric)],
                params=[item for item in items if isinstance(item, Param)],
                tags=[item for item in items if isinstance(item, RunTag)],
                synchronous=True,
            )
        except MlflowException as error:
            self._check_run(client)
            if error.get_http_status_code() not in (400, 413):
                raise
            if len(items) == 1:
                _log.warning("tracking server refused %s: %s", items[0].key, _describe(error))
                return
            middle = len(items) // 2
            self._log_batch(client, items[:middle])
            self._log_batch(client, items[middle:])

    def _upload(self, client: Any, path: Path, folder: str | None) -> None:
        try:
            if path.is_dir():
                client.log_artifacts(self.run_id, str(path), folder)
            elif path.exists():
                client.log_artifact(self.run_id, str(path), folder)
            else:
                _log.warning("%s: no such file any more; it is not uploaded", path)
        except Exception as error:
            self._check_run(client)
            self._num_artifact_failures += 1
            if self._num_artifact_failures < _ARTIFACT_ATTEMPTS:
                raise
            _log.warning("%s: could not be uploaded; skipped: %s", path, _describe(error))
        self._num_artifact_failures = 0

    def _check_run(self, client: Any) -> None:
        """Raise when the server is away, and _RunIsGoneError when the run is gone."""
        from mlflow.exceptions import MlflowException

        try:
            is_active = client.get_run(self.run_id).info.lifecycle_stage == "active"
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            is_active = False
        if not is_active:
            raise _RunIsGoneError(self.run_id)


def _make_batches(events: list[dict[str, Any]]) -> Iterator[list[Any]]:
    from mlflow.entities import Metric, Param, RunTag

    metrics: list[Any] = []
    parameters: list[Any] = []
    tags: dict[str, Any] = {}
    for event in events:
        for name, value in event["values"].items():
            if event["event"] == "metrics":
                metrics.append(Metric(name, float(value), event["time_ms"], event["step"]))
            elif event["event"] == "parameters":
                parameters.append(Param(name, value))
            else:
                tags[name] = RunTag(name, value)
    for items, limit in (
        (parameters, _OTHERS_PER_REQUEST),
        (list(tags.values()), _OTHERS_PER_REQUEST),
        (metrics, _METRICS_PER_REQUEST),
    ):
        for start in range(0, len(items), limit):
            yield items[start : start + limit]


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


def _take_lock(directory: Path, *, wait_seconds: float) -> IO[bytes] | None:
    """An open file whose closing, or whose process's death, frees the lock."""
    file = (directory / "lock").open("ab")
    end = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() >= end:
                file.close()
                return None
        time.sleep(0.05)


def _read_sent(directory: Path) -> tuple[str | None, int]:
    try:
        sent = json.loads((directory / _SENT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, 0
    return sent["run_id"], sent["offset"]


def _write_sent(directory: Path, *, run_id: str | None, offset: int) -> None:
    temporary = directory / f".{_SENT}"
    temporary.write_text(json.dumps({"run_id": run_id, "offset": offset}), encoding="utf-8")
    temporary.replace(directory / _SENT)


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)


def _describe(error: BaseException) -> str:
    """The error's first line, without the user and password an address may carry."""
    first_line, *_ = f"{type(error).__name__}: {error}".splitlines()
    return re.sub(r"://[^/@\s]+@", "://", first_line)[:300]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
