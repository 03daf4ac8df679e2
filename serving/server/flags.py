"""Flags of the local server, named like those of `tensorflow_model_server`.

In: the command line and TensorFlow Serving's configuration files. Out: `Flags`. TensorFlow is
imported only to read such a file.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serving.server.model_config import LoadSettings, ModelSettings, read_model_config_file


@dataclasses.dataclass(frozen=True)
class TlsFiles:
    """Contents of `SSLConfig`: PEM texts, as the configuration file itself holds them."""

    server_key: str
    server_cert: str
    custom_ca: str = ""
    client_verify: bool = False


@dataclasses.dataclass(frozen=True)
class Flags:
    """The command line, checked."""

    models: tuple[ModelSettings, ...]
    host: str = "127.0.0.1"
    port: int = 8500
    rest_api_port: int = 0
    rest_api_timeout_in_ms: int = 30_000
    rest_api_num_threads: int = 4 * (os.cpu_count() or 1)
    grpc_max_threads: int = 4 * (os.cpu_count() or 1)
    grpc_channel_arguments: tuple[tuple[str, Any], ...] = ()
    max_request_bytes: int = 64 << 20
    max_requests: int = 1024
    file_system_poll_wait_seconds: float = 1.0
    model_config_file: str = ""
    model_config_file_poll_wait_seconds: float = 0.0
    allow_version_labels_for_unavailable_models: bool = False
    loading: LoadSettings = dataclasses.field(default_factory=LoadSettings)
    metrics_path: str | None = None
    tls: TlsFiles | None = None


_WHOLE_NUMBERS = {
    "port": "gRPC port; 0 switches gRPC off",
    "rest_api_port": "REST port; 0 (the default) switches REST off",
    "rest_api_timeout_in_ms": "time limit of a REST request",
    "rest_api_num_threads": "threads that answer REST requests",
    "grpc_max_threads": "threads that answer gRPC requests",
}


def parse_flags(arguments: Sequence[str] | None = None) -> Flags:
    """Reads the command line; exits with code 2 and a message when it is wrong."""
    parser = _build_parser()
    values = parser.parse_args(arguments)
    _check(parser, values)
    try:
        return _make_flags(values)
    except (OSError, ValueError) as error:
        parser.error(str(error))


def _check(parser: argparse.ArgumentParser, values: argparse.Namespace) -> None:
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
    for name in (
        "rest_api_timeout_in_ms",
        "rest_api_num_threads",
        "grpc_max_threads",
        "max_request_bytes",
        "max_requests",
    ):
        if getattr(values, name) <= 0:
            parser.error(f"--{name} must be above 0. Received: {getattr(values, name)}.")
    if bool(values.model_base_path) == bool(values.model_config_file):
        parser.error("give exactly one of --model_base_path and --model_config_file.")
    if values.batching_parameters_file and not values.enable_batching:
        parser.error("--batching_parameters_file needs --enable_batching.")


def _make_flags(values: argparse.Namespace) -> Flags:
    if values.model_config_file:
        models = read_model_config_file(values.model_config_file)
    else:
        models = (ModelSettings(values.model_name, Path(values.model_base_path)),)
    loading = LoadSettings(
        batching=_read_batching(values),
        session_parallelism=values.tensorflow_session_parallelism,
        warms_up=values.enable_model_warmup,
        max_num_load_retries=values.max_num_load_retries,
        load_retries_interval_seconds=values.load_retries_interval_micros / 1e6,
    )
    values.grpc_channel_arguments = _read_channel_arguments(values.grpc_channel_arguments)
    taken = {
        field.name: getattr(values, field.name)
        for field in dataclasses.fields(Flags)
        if hasattr(values, field.name)
    }
    return Flags(
        models=models,
        loading=loading,
        metrics_path=_read_metrics_path(values.monitoring_config_file),
        tls=_read_tls(values.ssl_config_file),
        **taken,
    )


def _read_channel_arguments(text: str) -> tuple[tuple[str, Any], ...]:
    """`grpc.max_connection_age_ms=2000,grpc.lb_policy_name=grpclb`: whole numbers, or text."""
    pairs = [part.partition("=") for part in text.split(",") if part]
    return tuple((key, int(v) if v.lstrip("-").isdecimal() else v) for key, _, v in pairs)


def _read_batching(values: argparse.Namespace) -> Any:
    if not values.enable_batching:
        return None
    from serving.server.batching import BatchingSettings
    from serving.server.config_messages import BatchingParameters, read_message

    if not values.batching_parameters_file:
        return BatchingSettings()
    flag, path = "--batching_parameters_file", values.batching_parameters_file
    try:
        return BatchingSettings.from_message(read_message(path, BatchingParameters, flag=flag))
    except ValueError as error:
        raise ValueError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error


def _read_metrics_path(path: str) -> str | None:
    if not path:
        return None
    from serving.server.config_messages import MonitoringConfig, read_message
    from serving.server.metrics import DEFAULT_PATH

    config = read_message(path, MonitoringConfig, flag="--monitoring_config_file")
    return (
        (config.prometheus_config.path or DEFAULT_PATH) if config.prometheus_config.enable else None
    )


def _read_tls(path: str) -> TlsFiles | None:
    if not path:
        return None
    from serving.server.config_messages import SSLConfig, read_message

    config = read_message(path, SSLConfig, flag="--ssl_config_file")
    if not config.server_key or not config.server_cert:
        raise ValueError(
            f"{path}: server_key and server_cert must hold a key and a certificate, PEM text. "
            "Received: one of them is empty. Add it."
        )
    return TlsFiles(config.server_key, config.server_cert, config.custom_ca, config.client_verify)


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving.local_server",
        description="Serves SavedModels over REST and gRPC like tensorflow_model_server, "
        "for development. Production runs TensorFlow Serving on the same directory.",
    )
    defaults = {field.name: field.default for field in dataclasses.fields(Flags)}
    for name, text in _WHOLE_NUMBERS.items():
        parser.add_argument(f"--{name}", type=int, default=defaults[name], help=text)
    parser.add_argument(
        "--grpc_channel_arguments", default="", help="KEY=VALUE,…: further settings of gRPC"
    )
    parser.add_argument("--model_name", default="default", help="name of the model in requests")
    parser.add_argument(
        "--model_base_path", default="", help="directory that holds the version directories"
    )
    parser.add_argument(
        "--model_config_file", default="", help="ModelServerConfig in text form, for several models"
    )
    parser.add_argument(
        "--model_config_file_poll_wait_seconds",
        type=float,
        default=0.0,
        help="seconds between looks at that file; 0 looks once, at the start",
    )
    parser.add_argument(
        "--file_system_poll_wait_seconds",
        type=float,
        default=1.0,
        help="seconds between looks at the directory; 0 looks once, at the start",
    )
    _add_switch(parser, "enable_batching", default=False, help_text="run requests together")
    parser.add_argument(
        "--batching_parameters_file", default="", help="BatchingParameters in text form"
    )
    parser.add_argument(
        "--monitoring_config_file", default="", help="MonitoringConfig in text form"
    )
    parser.add_argument("--ssl_config_file", default="", help="SSLConfig in text form, for gRPC")
    _add_switch(
        parser,
        "allow_version_labels_for_unavailable_models",
        default=False,
        help_text="let a label stand for a version that is not loaded",
    )
    _add_switch(
        parser,
        "enable_model_warmup",
        default=True,
        help_text="answer a version's own requests first",
    )
    parser.add_argument(
        "--max_num_load_retries",
        type=int,
        default=5,
        help="how often a version that did not load is tried again",
    )
    parser.add_argument(
        "--load_retries_interval_micros",
        type=int,
        default=60_000_000,
        help="time between two tries",
    )
    parser.add_argument(
        "--tensorflow_session_parallelism",
        type=int,
        default=0,
        help="threads of a model; 0 is as many as there are cores",
    )
    ours = parser.add_argument_group("flags that tensorflow_model_server does not have")
    ours.add_argument("--host", default="127.0.0.1", help="address to listen on")
    ours.add_argument(
        "--max_request_bytes", type=int, default=64 << 20, help="largest request that is taken"
    )
    ours.add_argument(
        "--max_requests",
        type=int,
        default=1024,
        help="requests under way beyond which none is taken",
    )
    return parser


def _add_switch(
    parser: argparse.ArgumentParser, name: str, *, default: bool, help_text: str
) -> None:
    """`--name`, `--name=true` and `--name=false`, as TensorFlow's flags are."""

    def read(text: str) -> bool:
        if text.lower() in ("true", "1", "false", "0"):
            return text.lower() in ("true", "1")
        raise argparse.ArgumentTypeError(f"must be true or false. Received: {text!r}.")

    parser.add_argument(
        f"--{name}", nargs="?", const=True, default=default, type=read, help=help_text
    )
