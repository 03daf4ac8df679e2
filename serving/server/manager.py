"""Manages all models of a server, which may be added and removed while requests run.

In: settings, at the start and whenever a configuration is reloaded. Out: a model by its name.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence

import tensorflow as tf

from serving import errors
from serving.server.metrics import Metrics
from serving.server.model_config import LoadSettings, ModelSettings
from serving.server.models import (
    ModelVersion,
    ServedModel,
    servable_not_found,
    unknown_label,
)
from serving.server.servable import Servable

_logger = logging.getLogger(__name__)


class ModelManager(Mapping[str, ServedModel]):
    """The models by name. `poll` and `apply` exclude each other; any thread may call any."""

    def __init__(
        self,
        models: Sequence[ModelSettings],
        *,
        loading: LoadSettings | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._loading = loading or LoadSettings()
        self.metrics = metrics or Metrics()
        self._changing = threading.Lock()
        self._models = {settings.name: self._make(settings) for settings in models}
        self._closed: dict[str, ServedModel] = {}

    def __getitem__(self, name: str) -> ServedModel:
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    @contextlib.contextmanager
    def use_version(
        self, name: str, *, version: int | None = None, label: str | None = None
    ) -> Iterator[tuple[int, Servable]]:
        """As `ServedModel.use_version`, by the name of the model."""
        model = self._models.get(name)
        if model is None:
            raise servable_not_found(name, version) if label is None else unknown_label(label)
        with model.use_version(version=version, label=label) as used:
            yield used

    def list_versions(self, name: str) -> list[ModelVersion]:
        """The versions of a model, highest first: of one that is served no more, too."""
        model = self._models.get(name) or self._closed.get(name)
        return model.list_versions() if model else []

    def poll(self) -> None:
        """Every model looks at the disk once."""
        # Told to the profiler: a trace of a second in which nobody asks is not empty then.
        with self._changing, tf.profiler.experimental.Trace("poll"):
            self._poll()

    def apply(
        self, models: Sequence[ModelSettings], *, allows_unavailable_labels: bool = False
    ) -> None:
        """Serve these models and no others; returns when what is on disk is loaded.

        Those that stay go on answering. In the order of TensorFlow Serving: first the labels, then
        the versions. Raises `FailedPreconditionError`, with nothing changed, when a label stands
        for a version that is not available; `allows_unavailable_labels` lets a new label do so.
        Raises `ServingError` with the code UNKNOWN when a new model did not load.
        """
        with self._changing:
            before = dict(self._models)
            for settings in models:
                _check_labels(before.get(settings.name), settings, allows_unavailable_labels)
            after = {
                settings.name: before.get(settings.name) or self._make(settings)
                for settings in models
            }
            closed = {name: model for name, model in before.items() if name not in after}
            # In this order a model that goes has a status throughout.
            self._closed |= closed
            self._models = after
            for settings in models:
                after[settings.name].change(settings)
            for model in closed.values():
                model.close()
            self._poll()
            _check_loaded([m for name, m in self._models.items() if name not in before])

    def close(self) -> None:
        """Unloads everything. No request may be running."""
        with self._changing:
            for model in self._models.values():
                model.close()

    def _make(self, settings: ModelSettings) -> ServedModel:
        return ServedModel(settings, loading=self._loading, metrics=self.metrics)

    def _poll(self) -> None:
        for model in self._models.values():
            try:
                model.poll()
            except Exception:
                # One model's trouble must end neither the others nor the polling.
                _logger.exception("Polling model %s failed; it goes on", model.name)
        unloaded = [m for m in (*self._models.values(), *self._closed.values()) if m.has_unloaded]
        if unloaded:
            for model in unloaded:
                model.has_unloaded = False
            _free_memory()


def _free_memory() -> None:
    """Gives back what an unloaded version had: its graph is a circle of Python objects."""
    gc.collect()
    with contextlib.suppress(AttributeError):  # of another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


def _check_labels(
    model: ServedModel | None, settings: ModelSettings, allows_unavailable: bool
) -> None:
    for label, version in settings.version_labels.items():
        if model is not None and model.is_available(version):
            continue
        before = None if model is None else model.labels.get(label)
        if not allows_unavailable or before not in (None, version):
            raise errors.FailedPreconditionError(
                f"Request to assign label to version {version} of model {settings.name}, which is "
                "not currently available for inference"
            )


def _check_loaded(models: Sequence[ServedModel]) -> None:
    failed = []
    for model in models:
        versions = model.list_versions()
        if versions and all(version.error is not None for version in versions):
            failed.append(
                f"{{{{name: {model.name} version: {versions[0].version}}} due to error: "
                f"{versions[0].error}}}"
            )
    if failed:
        raise errors.error_for_code(
            "UNKNOWN", f"{len(failed)} model(s) did not become available: {{{', '.join(failed)}}}"
        )
