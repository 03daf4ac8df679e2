"""Which models are served, and how: TensorFlow Serving's `ModelServerConfig` as settings.

Nothing here imports TensorFlow before a message is read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.server.batching import BatchingSettings

_MODEL_TYPE_TENSORFLOW = 1


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """One model to serve: where its versions lie, and which of them to load."""

    name: str
    """The name in URLs and requests."""
    base_path: Path
    """The directory whose whole-number subdirectories are the versions."""
    num_latest_versions: int = 1
    """How many of the highest versions are served."""
    specific_versions: tuple[int, ...] | None = None
    """If not None, exactly these versions are served."""
    serves_all_versions: bool = False
    """If true, every version is served."""
    version_labels: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Names for versions, such as {"stable": 3}."""


@dataclasses.dataclass(frozen=True)
class LoadSettings:
    """How every version is loaded."""

    batching: BatchingSettings | None = None
    """None: every request is a call of the model."""
    intra_op_threads: int = 0
    """Threads of one operation; 0 is as many as there are cores."""
    inter_op_threads: int = 0
    """Operations at a time; 0 is as many as there are cores."""
    warms_up: bool = True
    """Whether the version's own warm-up requests are answered first."""
    num_warmup_rounds: int = 1
    """How often each of them is answered."""
    tags: tuple[str, ...] = ("serve",)
    """Of the graph that is loaded from a SavedModel."""
    checks_method_names: bool = False
    """Whether Classify and Regress demand the method that a signature declares."""
    max_num_load_retries: int = 5
    """How often a version that did not load is tried again while its files stay as they are."""
    load_retry_interval_seconds: float = 60.0


def read_model_config_file(path: str | Path) -> tuple[ModelSettings, ...] | None:
    """Reads a `ModelServerConfig` in protobuf text form; None if it says nothing at all.

    Raises `FileNotFoundError` when there is no such file and `ValueError` when it does not parse or
    TensorFlow Serving would refuse it.
    """
    from tensorflow_serving.config import model_server_config_pb2

    from serving.server.config_messages import read_message

    config = read_message(
        path, model_server_config_pb2.ModelServerConfig, flag="--model_config_file"
    )
    kind = config.WhichOneof("config")
    if kind is None:
        return None
    if kind != "model_config_list":
        raise ValueError(f"{path}: must hold a model_config_list. Received: {kind}.")
    return read_model_config(config, where=f"{path}: ")


def read_model_config(
    config: Any, *, where: str = "", served: Collection[str] = ()
) -> tuple[ModelSettings, ...]:
    """Turns the list of a `ModelServerConfig` into settings, none for an empty one.

    `where` begins the messages of its errors; `served` are the models that there are already, whose
    platform cannot change. Raises `ValueError` as `read_model_config_file`.
    """
    models = config.model_config_list.config
    names: set[str] = set()
    for model in models:
        if model.name in names:
            raise ValueError(
                f"{where}Illegal to list model {model.name} multiple times in config list. "
                "Rename one."
            )
        names.add(model.name)
    for model in models:
        if not _local_path(model).startswith("/"):
            raise ValueError(
                f"{where}Expected model {model.name} to have an absolute path or URI; got "
                f"base_path()={model.base_path}. This server reads local paths: give one that "
                "begins with /."
            )
    for model in models:
        _check_platform(where, model, is_served=model.name in served)
    return tuple(_read_model(model) for model in models)


def _local_path(config: Any) -> str:
    return config.base_path.removeprefix("file://")


def _read_model(config: Any) -> ModelSettings:
    """Turns one `ModelConfig` message into settings."""
    policy = config.model_version_policy
    return ModelSettings(
        name=config.name,
        base_path=Path(_local_path(config)),
        # Unset and 0 both mean one version, as in TensorFlow Serving.
        num_latest_versions=policy.latest.num_versions or 1,
        specific_versions=tuple(sorted(set(policy.specific.versions)))
        if policy.HasField("specific")
        else None,
        serves_all_versions=policy.HasField("all"),
        version_labels=dict(config.version_labels),
    )


def _check_platform(where: str, config: Any, *, is_served: bool) -> None:
    """`model_type: TENSORFLOW` is the old way to say `model_platform: "tensorflow"`."""
    if config.model_type and config.model_platform:
        raise ValueError(
            f"{where}Illegal setting both ModelServerConfig::model_type (deprecated) and "
            f"ModelServerConfig::model_platform, model name is {config.name}. Leave out model_type."
        )
    if config.model_type not in (0, _MODEL_TYPE_TENSORFLOW):
        raise ValueError(
            f"{where}ModelServerConfig::model_type choice {config.model_type} not supported. "
            'Set model_platform: "tensorflow" instead.'
        )
    if not config.model_type and not config.model_platform:
        raise ValueError(
            f"{where}Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            f"ModelServerConfig::model_platform, model name is {config.name}. "
            'Add model_platform: "tensorflow".'
        )
    if config.model_platform not in ("", "tensorflow") and is_served:
        raise ValueError(
            f"{where}Illegal to change a model's platform. For model {config.name} platform was "
            f"tensorflow and new platform requested is {config.model_platform}"
        )
    if config.model_platform not in ("", "tensorflow"):
        raise ValueError(
            f"{where}Model {config.name} requests unsupported platform {config.model_platform}. "
            'Set model_platform: "tensorflow".'
        )
