"""Flags of the local server, named like those of `tensorflow_model_server`.

In: the command line, and a file of TensorFlow Serving's `ModelServerConfig` in protobuf text form.
Out: `Flags`, and a `ModelSettings` for each model. TensorFlow is imported only to read that file.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


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
class Flags:
    """The command line, checked."""

    host: str
    port: int
    rest_api_port: int
    rest_api_timeout_in_ms: int
    file_system_poll_wait_seconds: float
    models: tuple[ModelSettings, ...]


def parse_flags(arguments: Sequence[str] | None = None) -> Flags:
    """Reads the command line; exits with code 2 and a message when it is wrong."""
    parser = _build_parser()
    values = parser.parse_args(arguments)
    for name in ("port", "rest_api_port"):
        if not 0 <= getattr(values, name) <= 65535:
            parser.error(
                f"--{name} must be between 0 (off) and 65535. Received: {getattr(values, name)}."
            )
    if values.port == 0 and values.rest_api_port == 0:
        parser.error("--port and --rest_api_port are both 0, so nothing would be served. Set one.")
    if values.port == values.rest_api_port:
        parser.error(
            f"--rest_api_port cannot be the same as --port. Received: {values.port} for both. "
            "Choose another port for one of them."
        )
    if values.rest_api_timeout_in_ms <= 0:
        parser.error(
            f"--rest_api_timeout_in_ms must be above 0. Received: {values.rest_api_timeout_in_ms}."
        )
    if bool(values.model_base_path) == bool(values.model_config_file):
        parser.error("give exactly one of --model_base_path and --model_config_file.")
    try:
        if values.model_config_file:
            models = read_model_config_file(values.model_config_file)
        else:
            models = (ModelSettings(values.model_name, Path(values.model_base_path)),)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    return Flags(
        host=values.host,
        port=values.port,
        rest_api_port=values.rest_api_port,
        rest_api_timeout_in_ms=values.rest_api_timeout_in_ms,
        file_system_poll_wait_seconds=values.file_system_poll_wait_seconds,
        models=models,
    )


def read_model_config_file(path: str | Path) -> tuple[ModelSettings, ...]:
    """Reads a `ModelServerConfig` in protobuf text form.

    Raises `FileNotFoundError` when there is no such file and `ValueError` when it does not
    parse, holds no model, names a model twice or names a platform other than TensorFlow.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: --model_config_file must name a file. Received: no such file. "
            "Give the path of a ModelServerConfig in text form."
        )
    config = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(path.read_text(encoding="utf-8"), config)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a ModelServerConfig in text form: {error}") from error
    models = tuple(_read_model(path, model) for model in config.model_config_list.config)
    if not models:
        raise ValueError(
            f"{path}: model_config_list must hold at least one config. Received: none. "
            "Add `config { name: ... base_path: ... }`."
        )
    names = [model.name for model in models]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"{path}: model names must differ. Received twice: {', '.join(twice)}. Rename one."
        )
    return models


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving.local_server",
        description="Serves SavedModels over REST and gRPC like tensorflow_model_server, "
        "for development. Production runs TensorFlow Serving on the same directory.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8500, help="gRPC port; 0 switches gRPC off")
    parser.add_argument(
        "--rest_api_port", type=int, default=0, help="REST port; 0 (the default) switches REST off"
    )
    parser.add_argument(
        "--rest_api_timeout_in_ms", type=int, default=30_000, help="time limit of a REST request"
    )
    parser.add_argument("--model_name", default="default", help="name of the model in requests")
    parser.add_argument(
        "--model_base_path", default="", help="directory that holds the version directories"
    )
    parser.add_argument(
        "--model_config_file", default="", help="ModelServerConfig in text form, for several models"
    )
    parser.add_argument(
        "--file_system_poll_wait_seconds",
        type=float,
        default=1.0,
        help="seconds between looks at the directory; 0 looks once, at the start",
    )
    return parser


def _read_model(path: Path, config: Any) -> ModelSettings:
    """Turns one `ModelConfig` message into settings."""
    if not config.name or not config.base_path:
        raise ValueError(
            f"{path}: each config needs name and base_path. "
            f"Received: name={config.name!r}, base_path={config.base_path!r}. Add what is missing."
        )
    if config.model_platform not in ("", "tensorflow"):
        raise ValueError(
            f"{path}: model_platform of {config.name!r} must be 'tensorflow'. "
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
