"""Sends a run's journal to the MLflow server."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from bert_tf.tracking.journal import JOURNAL_FILE, parse_event, read_sent, write_sent

TRACKING_ID_TAG = "bert_tf.tracking_id"

_log = logging.getLogger(__name__)

_EVENTS_PER_SENDING = 200
_METRICS_PER_REQUEST = 1000  # mlflow.utils.validation.MAX_METRICS_PER_BATCH
_OTHERS_PER_REQUEST = 100  # mlflow.utils.validation.MAX_PARAMS_TAGS_PER_BATCH
_DIGEST_CHARACTERS = 36  # what MLflow keeps of a data set's digest
_REFUSALS = (400, 413)  # HTTP statuses: of no use to send it again
_TOGETHER = frozenset({"metrics", "parameters", "tags"})


class _RunIsGoneError(Exception):
    """The run that has part of the journal is no longer on the server."""


class Sender:
    """Moves a journal's events into its MLflow run, in order, and remembers how far it came.

    Its methods raise what MLflow raises when the server or its artifact store fails; calling again
    goes on there. Events that are refused for what they are (a parameter changed, a bad name) and
    files that cannot be read are dropped with a warning: waiting would not help them.
    """

    def __init__(self, directory: Path, *, tracking_uri: str, lock: IO[bytes]):
        self.lock = lock
        self.num_sent = 0
        self.run_id, self._offset = read_sent(directory)
        self._directory = directory
        self._tracking_uri = tracking_uri
        self._may_start_over = True

    @property
    def is_pending(self) -> bool:
        return (self._directory / JOURNAL_FILE).stat().st_size > self._offset

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
        write_sent(self._directory, run_id=self.run_id, offset=end)
        return True

    def _read_next(self) -> tuple[list[dict[str, Any]], int]:
        events: list[dict[str, Any]] = []
        end = self._offset
        with (self._directory / JOURNAL_FILE).open("rb") as file:
            file.seek(end)
            for line in file:
                event = parse_event(line)
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
        elif first["event"] == "inputs":
            self._log_inputs(client, first["values"])
        elif first["event"] == "artifact":
            self._upload(client, self._directory.parent / first["path"], first["folder"])
        else:
            for batch in _make_batches(events):
                self._log_batch(client, batch)

    def _open_run(self, client: Any, event: dict[str, Any]) -> None:
        experiment_id = ensure_experiment(client, event["experiment"])
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
            if error.get_http_status_code() not in _REFUSALS:
                raise
            if len(items) == 1:
                _log.warning("tracking server refused %s: %s", items[0].key, describe_error(error))
                return
            middle = len(items) // 2
            self._log_batch(client, items[:middle])
            self._log_batch(client, items[middle:])

    def _log_inputs(self, client: Any, inputs: list[dict[str, Any]]) -> None:
        from mlflow.exceptions import MlflowException

        try:
            client.log_inputs(self.run_id, [_as_dataset(data) for data in inputs])
        except MlflowException as error:
            self._check_run(client)
            if error.get_http_status_code() not in _REFUSALS:
                raise
            _log.warning("tracking server refused the data sets: %s", describe_error(error))

    def _upload(self, client: Any, path: Path, folder: str | None) -> None:
        if not path.exists():
            _log.warning("%s: no such file any more; it is not uploaded", path)
            return
        upload = client.log_artifacts if path.is_dir() else client.log_artifact
        try:
            upload(self.run_id, str(path), folder)
        except Exception as error:
            self._check_run(client)
            if problem := _find_reading_error(path):
                reason = describe_error(problem)
                _log.warning("%s: cannot be read; it is not uploaded: %s", path, reason)
            elif _read_http_status(error) in _REFUSALS:
                _log.warning("tracking server refused %s: %s", path, describe_error(error))
            else:
                raise

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


def ensure_experiment(client: Any, name: str) -> str:
    """The id of the experiment `name`; it is made if there is none.

    A new one of an SQLite file has its artifacts beside the file, in `mlartifacts`. MLflow would
    put them below whatever the working folder is.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    location = _artifacts_beside(client.tracking_uri)
    return str(client.create_experiment(name, artifact_location=location))


def _artifacts_beside(tracking_uri: str) -> str | None:
    if not tracking_uri.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url  # MLflow reads the address with it

    database = make_url(tracking_uri).database
    if not database or database == ":memory:" or database.startswith("file:"):
        return None
    return str(Path(database).resolve().parent / "mlartifacts")


def _find_reading_error(path: Path) -> OSError | None:
    """Why `path`, or a file or folder below it, cannot be read; None if all of it can."""
    try:
        for entry in (path, *path.rglob("*")):
            if entry.is_dir():
                next(entry.iterdir(), None)
            else:
                with entry.open("rb") as file:
                    file.read(1)
    except OSError as error:
        return error
    return None


def _read_http_status(error: Exception) -> int | None:
    """The status of an MLflow error, or of the artifact store's answer; None of any other."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return int(error.get_http_status_code())
    return getattr(getattr(error, "response", None), "status_code", None)


def _as_dataset(data: dict[str, Any]) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    known = {name: data[name] for name in ("num_examples", "sha256")}
    dataset = Dataset(
        name=Path(data["source"]).name,
        digest=data["sha256"][:_DIGEST_CHARACTERS],
        source_type="local",
        source=json.dumps({"uri": data["source"]}),
        profile=json.dumps(known),
    )
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", data["role"])])


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


def describe_error(error: BaseException) -> str:
    """The error's first line, no longer than a log line should be."""
    first_line, *_ = f"{type(error).__name__}: {error}".splitlines()
    return without_password(first_line)[:300]


def without_password(text: str) -> str:
    """`text` with the user and password taken out of each address."""
    return re.sub(r"://[^/\s]*@", "://", text)
