"""The versions of one model: found on disk, loaded, swapped and unloaded while requests run.

In: `BASE/VERSION/` directories that appear and vanish. Out: the loaded `Servable` for a request,
and the state of every version ever seen. The caller decides when to poll.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from serving import errors
from serving.server.metrics import LOAD_COUNT, LOAD_LATENCY, WARMUP_LATENCY, Metrics, ModelMetrics
from serving.server.model_config import LoadSettings, ModelSettings
from serving.server.servable import Servable, error_from_loading
from serving.server.versions_on_disk import choose_versions, find_versions, fingerprint_of
from serving.server.warmup import warm_up

_logger = logging.getLogger(__name__)


@dataclasses.dataclass
class ModelVersion:
    """One version of a model. `state` is the name of a `ModelVersionStatus.State`."""

    version: int
    state: str = "START"
    error: errors.ServingError | None = None
    servable: Servable | None = None
    num_requests: int = 0
    fingerprint: tuple[tuple[str, int, int], ...] = ()
    """What the files of a version that failed to load looked like."""
    num_attempts: int = 0
    """How often it has failed to load with these files."""
    retry_at: float = 0.0
    """By the monotonic clock: not to be tried again before."""


class ServedModel:
    """A model by name, with its versions.

    `poll` is called by one thread; everything else by any. A version is unloaded when it is no
    longer wanted, another one is available, and its last request has ended.
    """

    def __init__(
        self,
        settings: ModelSettings,
        *,
        loading: LoadSettings | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self._loading = loading or LoadSettings()
        self._metrics = metrics or Metrics()
        self._labels = dict(settings.version_labels)
        self._versions: dict[int, ModelVersion] = {}
        self._lock = threading.Lock()
        self._last_warning = ""
        self.has_unloaded = False
        """Whether a version was unloaded since this was last set to False."""

    def poll(self) -> None:
        """Looks at the disk once: loads what is new, then retires what is no longer wanted."""
        found = self._find_versions()
        if found is None:
            return
        wanted = choose_versions(sorted(found), self.settings)
        for version in wanted:
            self._load_if_needed(version, found[version])
        self._retire_all_but(wanted)

    @contextlib.contextmanager
    def use_version(
        self, *, version: int | None = None, label: str | None = None
    ) -> Iterator[tuple[int, Servable]]:
        """Gives the version's number and servable, which stays loaded inside the `with` block.

        Without `version` and `label` it is the highest available version. Raises
        `NotFoundError` when it is not available.
        """
        if label is not None:
            version = self.resolve_label(label)
        with self._lock:
            used, servable = self._find_available(version)
            used.num_requests += 1
        try:
            yield used.version, servable
        finally:
            with self._lock:
                used.num_requests -= 1
            self._unload_if_idle(used)

    def list_versions(self) -> list[ModelVersion]:
        """Copies of the states of all versions, highest first."""
        with self._lock:
            found = [dataclasses.replace(entry) for entry in self._versions.values()]
        return sorted(found, key=lambda entry: entry.version, reverse=True)

    def resolve_label(self, label: str) -> int:
        """Returns the version that a label stands for."""
        version = self._labels.get(label)
        if version is None:
            raise unknown_label(label)
        return version

    def is_available(self, version: int) -> bool:
        """Whether the version answers requests."""
        with self._lock:
            return version in self._versions and self._versions[version].state == "AVAILABLE"

    @property
    def labels(self) -> Mapping[str, int]:
        """What labels stand for."""
        return self._labels

    def change(self, settings: ModelSettings) -> None:
        """What labels stand for from now on, and where and which versions the next `poll` loads.

        A version that is loaded stays, even if its number is found elsewhere now.
        """
        self.settings = settings
        self._labels = dict(settings.version_labels)

    def close(self) -> None:
        """Unloads every version. No request may be running."""
        self._retire_all()

    def _find_versions(self) -> dict[int, Path] | None:
        """The version directories on disk, or None when the disk cannot be read.

        Then what is loaded stays, as in TensorFlow Serving: the disk may be back soon.
        """
        base_path = self.settings.base_path
        try:
            found = find_versions(base_path)
        except OSError as error:
            self._warn_once(
                f"Could not find base path {base_path} for servable {self.name}: "
                f"{error.strerror}. Waiting for it."
            )
            return None
        if found:
            self._last_warning = ""
        else:
            self._warn_once(
                f"No versions of servable {self.name} found under base path {base_path}. "
                "Waiting for a directory whose name is a whole number."
            )
        return found

    def _warn_once(self, message: str) -> None:
        if message != self._last_warning:
            _logger.warning("%s", message)
            self._last_warning = message

    def _load_if_needed(self, version: int, directory: Path) -> None:
        with self._lock:
            entry = self._versions.get(version)
        if entry is not None and entry.state != "END":
            return
        fingerprint = fingerprint_of(directory)
        num_attempts = 0
        if entry is not None and entry.error is not None and fingerprint == entry.fingerprint:
            num_attempts = entry.num_attempts
            has_retries = num_attempts <= self._loading.max_num_load_retries
            if not has_retries or time.monotonic() < entry.retry_at:
                return
        entry = ModelVersion(version, state="LOADING", fingerprint=fingerprint)
        with self._lock:
            self._versions[version] = entry
        started_at = time.monotonic()
        try:
            servable = self._load(directory)
        except Exception as exception:
            error = error_from_loading(exception)
            with self._lock:
                entry.state, entry.error = "END", error
                entry.num_attempts = num_attempts + 1
                entry.retry_at = time.monotonic() + self._loading.load_retry_interval_seconds
            self._metrics.count(LOAD_COUNT, model_path=str(directory), status="fail")
            _logger.error(
                "Loading servable: {name: %s version: %d} failed: %s: %s",
                self.name,
                version,
                error.code,
                error.message,
            )
            return
        with self._lock:
            entry.servable, entry.state = servable, "AVAILABLE"
        seconds = time.monotonic() - started_at
        self._metrics.count(LOAD_COUNT, model_path=str(directory), status="success")
        self._metrics.count(LOAD_LATENCY, int(seconds * 1e6), model_path=str(directory))
        _logger.info(
            "Successfully loaded servable version {name: %s version: %d} in %.2f s; signatures: %s",
            self.name,
            version,
            seconds,
            ", ".join(servable.signature_names()),
        )

    def _load(self, directory: Path) -> Servable:
        """The servable, warm.

        Raises `FailedPreconditionError` for a directory that leads out of the base path, and what
        loading and warming up raise.
        """
        base_path = self.settings.base_path.resolve()
        if not directory.resolve().is_relative_to(base_path):
            raise errors.FailedPreconditionError(
                f"{directory}: a version must lie in its base path. Received: a link to "
                f"{directory.resolve()}. Copy the version to where it is served."
            )
        metrics = ModelMetrics(self._metrics, self.name)
        servable = Servable(directory, self._loading, metrics=metrics)
        if not self._loading.warms_up:
            return servable
        started_at = time.monotonic()
        try:
            num_requests = warm_up(servable, num_rounds=self._loading.num_warmup_rounds)
        except Exception:
            servable.close()
            raise
        if num_requests:
            seconds = time.monotonic() - started_at
            self._metrics.time(WARMUP_LATENCY, seconds, model_path=str(directory))
            _logger.info(
                "Answered %d warm-up requests of %s in %.2f s", num_requests, directory, seconds
            )
        return servable

    def _retire_all_but(self, wanted: list[int]) -> None:
        with self._lock:
            available = {
                entry.version for entry in self._versions.values() if entry.state == "AVAILABLE"
            }
        # A wanted version that is broken must not cost the one that works.
        if not wanted or available & set(wanted):
            for version in available - set(wanted):
                self._retire(version)

    def _retire_all(self) -> None:
        for version in list(self._versions):
            self._retire(version)

    def _retire(self, version: int) -> None:
        with self._lock:
            entry = self._versions[version]
            if entry.state != "AVAILABLE":
                return
            entry.state = "UNLOADING"
        self._unload_if_idle(entry)

    def _unload_if_idle(self, entry: ModelVersion) -> None:
        """Unloads a retired version unless a request uses it; its last request calls again."""
        with self._lock:
            if entry.state != "UNLOADING" or entry.num_requests > 0 or entry.servable is None:
                return
            servable, entry.servable = entry.servable, None
        servable.close()
        with self._lock:
            entry.state = "END"
            self.has_unloaded = True
        _logger.info(
            "Done unloading servable version {name: %s version: %d}", self.name, entry.version
        )

    def _find_available(self, version: int | None) -> tuple[ModelVersion, Servable]:
        """The entry for a request, and what it runs; the lock is held."""
        wanted = self._versions if version is None else (version,)
        for number in sorted(wanted, reverse=True):
            entry = self._versions.get(number)
            if entry and entry.state == "AVAILABLE" and entry.servable is not None:
                return entry, entry.servable
        raise servable_not_found(self.name, version)


def unknown_label(label: str) -> errors.InvalidArgumentError:
    """What is said of a label that stands for nothing."""
    return errors.InvalidArgumentError(f"Unrecognized servable version label: {label}")


def servable_not_found(name: str, version: int | None) -> errors.NotFoundError:
    """What is said of a model or version that is not there."""
    request = f"Latest({name})" if version is None else f"Specific({name}, {version})"
    return errors.NotFoundError(f"Servable not found for request: {request}")
