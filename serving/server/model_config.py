"""Which models are served, and how: TensorFlow Serving's `ModelServerConfig` as settings.

Nothing here imports TensorFlow before a message is read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.server.batching import BatchingSettings


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """One model to serve: where its versions lie, and which of them to load."""

    name: str
    """The name in URLs and requests."""
    base_path: Path
    """The directory whose whole-number subdirectories are the versions."""
    num_latest_versions: int = 1
    """How many of the highest versions are served."""
    specific_versions: tuple[int, ...] = ()
    """If not empty, exactly these versions are served."""
    serves_all_versions: bool = False
    """If true, every version is served."""
    version_labels: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Names for versions, such as {"stable": 3}."""


@dataclasses.dataclass(frozen=True)
class LoadSettings:
    """How every version is loaded."""

    batching: BatchingSettings | None = None
    """None: every request is a call of the model."""
    session_parallelism: int = 0
    """Threads of a model; 0 is as many as there are cores."""
    warms_up: bool = True
    """Whether the version's own warm-up requests are answered first."""
    max_num_load_retries: int = 5
    """How often a version that did not load is tried again while its files stay as they are."""
    load_retries_interval_seconds: float = 60.0


def read_model_config_file(path: str | Path) -> tuple[ModelSettings, ...]:
    """Reads a `ModelServerConfig` in protobuf text form.

    Raises `FileNotFoundError` when there is no such file and `ValueError` when it does not
    parse, holds no model, names a model twice or names a platform other than TensorFlow.
    """
    from tensorflow_serving.config import model_server_config_pb2

    from serving.server.config_messages import read_message

    config = read_message(
        path, model_server_config_pb2.ModelServerConfig, flag="--model_config_file"
    )
    return read_model_config(config, where=f"{path}: ")


def read_model_config(config: Any, *, where: str = "") -> tuple[ModelSettings, ...]:
    """Turns a `ModelServerConfig` into settings; `where` begins the messages of its errors.

    Raises `ValueError` as `read_model_config_file`.
    """
    models = tuple(_read_model(where, model) for model in config.model_config_list.config)
    if not models:
        raise ValueError(
            f"{where}model_config_list must hold at least one config. Received: none. "
            "Add `config { name: ... base_path: ... }`."
        )
    names = [model.name for model in models]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"{where}model names must differ. Received twice: {', '.join(twice)}. Rename one."
        )
    return models


def _read_model(where: str, config: Any) -> ModelSettings:
    """Turns one `ModelConfig` message into settings."""
    if not config.name or not config.base_path:
        raise ValueError(
            f"{where}each config needs name and base_path. "
            f"Received: name={config.name!r}, base_path={config.base_path!r}. Add what is missing."
        )
    if config.model_platform not in ("", "tensorflow"):
        raise ValueError(
            f"{where}model_platform of {config.name!r} must be 'tensorflow'. "
            f"Received: {config.model_platform!r}. Change it or leave it out."
        )
    policy = config.model_version_policy
    return ModelSettings(
        name=config.name,
        base_path=Path(config.base_path),
        # Unset and 0 both mean one version, as in TensorFlow Serving.
        num_latest_versions=policy.latest.num_versions or 1,
        specific_versions=tuple(sorted(set(policy.specific.versions))),
        serves_all_versions=policy.HasField("all"),
        version_labels=dict(config.version_labels),
    )
