"""Manages all models of a server, which may be added and removed while requests run.

In: settings, at the start and whenever a configuration is reloaded. Out: a model by its name.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence

from serving import errors
from serving.server.metrics import Metrics
from serving.server.model_config import LoadSettings, ModelSettings
from serving.server.models import ServedModel

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

    def __getitem__(self, name: str) -> ServedModel:
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def poll(self) -> None:
        """Every model looks at the disk once."""
        with self._changing:
            self._poll()

    def apply(
        self, models: Sequence[ModelSettings], *, allows_unavailable_labels: bool = False
    ) -> None:
        """Serve these models and no others; returns when what is on disk is loaded.

        Those that stay go on answering. Raises `FailedPreconditionError` when a label stands for a
        version that is not available; the labels are then as before.
        """
        with self._changing:
            before = dict(self._models)
            after = {}
            for settings in models:
                known = before.get(settings.name)
                if known is None or known.settings.base_path != settings.base_path:
                    after[settings.name] = self._make(settings)
                else:
                    known.change_policy(settings)
                    after[settings.name] = known
            self._models = after
            self._poll()
            for name, model in before.items():
                if after.get(name) is not model:
                    model.close()
            wrong = [
                f"Request to assign label to version {version} of model {settings.name}, which is "
                "not currently available for inference"
                for settings in models
                for version in settings.version_labels.values()
                if not (allows_unavailable_labels or after[settings.name].is_available(version))
            ]
            if wrong:
                raise errors.FailedPreconditionError(wrong[0])
            for settings in models:
                after[settings.name].change_labels(settings.version_labels)

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
