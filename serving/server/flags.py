"""Flags of the local server, named like those of `tensorflow_model_server`.

In: the command line and TensorFlow Serving's configuration files. Out: `Flags`. TensorFlow is
imported only to read such a file.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serving.formats.arguments import check_utf8
from serving.server.config_messages import (
    BatchingParameters,
    MonitoringConfig,
    SSLConfig,
    read_message,
)
from serving.server.metrics import DEFAULT_PATH
from serving.server.model_config import LoadSettings, ModelSettings, read_model_config_file

_NUM_CORES = os.cpu_count() or 1


@dataclasses.dataclass(frozen=True)
class Flags:
    """The command line, checked."""

    models: tuple[ModelSettings, ...]
    host: str = "127.0.0.1"
    port: int = 8500
    grpc_socket_path: str = ""
    rest_api_port: int = 0
    rest_api_timeout_in_ms: int = 30_000
    rest_api_num_threads: int = 4 * _NUM_CORES
    rest_api_enable_cors_support: bool = False
    grpc_max_threads: int = 4 * _NUM_CORES
    grpc_channel_arguments: tuple[tuple[str, Any], ...] = ()
    max_request_bytes: int = 64 << 20
    max_requests: int = 1024
    file_system_poll_wait_seconds: float = 1.0
    model_config_file: str = ""
    model_config_file_poll_wait_seconds: float = 0.0
    allow_version_labels_for_unavailable_models: bool = False
    enable_profiler: bool = True
    loading: LoadSettings = dataclasses.field(default_factory=LoadSettings)
    metrics_path: str | None = None
    tls: Any = None
    """An `SSLConfig`: PEM texts."""


# Of `tensorflow_model_server`: name -> (default, meaning). A default of True or False is a switch.
_TAKEN: dict[str, tuple[Any, str]] = {
    "port": (8500, "gRPC port; 0 switches gRPC off"),
    "grpc_socket_path": ("", "UNIX socket on which gRPC is answered, too"),
    "rest_api_port": (0, "REST port; 0 switches REST off"),
    "rest_api_num_threads": (4 * _NUM_CORES, "threads that answer REST requests"),
    "rest_api_timeout_in_ms": (30_000, "time limit of a REST request"),
    "rest_api_enable_cors_support": (False, "let pages of other hosts read answers"),
    "enable_batching": (False, "run requests together"),
    "batching_parameters_file": ("", "BatchingParameters in text form"),
    "model_name": ("default", "name of the model in requests"),
    "model_base_path": ("", "directory that holds the version directories"),
    "model_config_file": ("", "ModelServerConfig in text form, for several models"),
    "model_config_file_poll_wait_seconds": (0.0, "seconds between looks at it; 0 looks once"),
    "file_system_poll_wait_seconds": (1.0, "seconds between looks at the directory; 0 looks once"),
    "allow_version_labels_for_unavailable_models": (
        False,
        "let a new label stand for a version that is not loaded; at the start none is",
    ),
    "max_num_load_retries": (5, "how often a version that did not load is tried again"),
    "load_retry_interval_micros": (60_000_000, "time between two tries"),
    "tensorflow_session_parallelism": (0, "threads of a model; 0 is as many as there are cores"),
    "tensorflow_intra_op_parallelism": (0, "threads of one operation"),
    "tensorflow_inter_op_parallelism": (0, "operations at a time"),
    "saved_model_tags": ("serve", "tags of the graph in a SavedModel, with commas between them"),
    "enable_signature_method_name_check": (False, "demand the method that a signature declares"),
    "enable_model_warmup": (True, "answer a version's own requests first"),
    "num_request_iterations_for_warmup": (0, "how often each of them; 0 is once"),
    "monitoring_config_file": ("", "MonitoringConfig in text form"),
    "ssl_config_file": ("", "SSLConfig in text form, for gRPC"),
    "grpc_channel_arguments": ("", "KEY=VALUE,…: further settings of gRPC"),
    "grpc_max_threads": (4 * _NUM_CORES, "threads that answer gRPC requests"),
    "enable_profiler": (True, "answer TensorFlow's profiler over gRPC"),
}
# Likewise: these are taken, and change nothing here, where it is so in any case or costs nothing.
_WITHOUT_EFFECT: dict[str, tuple[Any, str]] = {
    "enable_grpc_healthcheck_service": (True, "it always answers"),
    "num_load_threads": (0, "versions load in a thread of their own"),
    "num_unload_threads": (0, "versions unload in the thread of their last request"),
    "flush_filesystem_caches": (True, "the system frees them when it needs memory"),
    "remove_unused_fields_from_bundle_metagraph": (True, "the graph is kept by TensorFlow"),
    "enable_serialization_as_tensor_content": (False, "clients read both forms"),
    "per_process_gpu_memory_fraction": (0.0, "GPU memory grows as it is needed"),
    "skip_initialize_tpu": (False, "there are no TPUs"),
    "num_tflite_pools": (0, "TensorFlow Lite is not served"),
    "num_tflite_interpreters_per_pool": (0, "TensorFlow Lite is not served"),
}
# Likewise: another value than the default is refused, for this reason.
_REFUSED: dict[str, tuple[Any, str]] = {
    "prefer_tflite_model": (False, "it has no TensorFlow Lite interpreter"),
    "use_alts_credentials": (False, "ALTS works inside of Google's cloud only"),
    "platform_config_file": ("", "it has the platform tensorflow alone"),
    "tensorflow_session_config_file": ("", "set the tensorflow_*_parallelism flags instead"),
    "thread_pool_factory_config_file": ("", "TensorFlow's own thread pools are used"),
    "enable_per_model_batching_parameters": (False, "all models share batching_parameters_file"),
    "mixed_precision": ("", "export the model in the precision that is wanted"),
    "xla_cpu_compilation_enabled": (False, "graphs run as they were exported"),
    "xla_gpu_compilation_enabled": (False, "graphs run as they were exported"),
}
_OURS: dict[str, tuple[Any, str]] = {
    "host": ("127.0.0.1", "address to listen on"),
    "max_request_bytes": (64 << 20, "largest request that is taken"),
    "max_requests": (1024, "requests under way beyond which none is taken"),
}
_ABOVE_ZERO = (
    "rest_api_timeout_in_ms",
    "rest_api_num_threads",
    "grpc_max_threads",
    "max_request_bytes",
    "max_requests",
)


def parse_flags(arguments: Sequence[str] | None = None) -> Flags:
    """Reads the command line; exits with code 2 and a message when it is wrong."""
    parser = _build_parser()
    check_utf8(parser, sys.argv[1:] if arguments is None else arguments)
    values = parser.parse_args(arguments)
    try:
        _check(values)
        return _make_flags(values)
    except (OSError, ValueError) as error:
        parser.error(str(error))


def _check(values: argparse.Namespace) -> None:
    for name, (default, reason) in _REFUSED.items():
        if getattr(values, name) != default:
            raise ValueError(f"--{name} cannot be served here: {reason}. Leave it out.")
    for name in ("port", "rest_api_port"):
        if not 0 <= getattr(values, name) <= 65535:
            raise ValueError(
                f"--{name} must be between 0 (off) and 65535. Received: {getattr(values, name)}."
            )
    if not (values.port or values.rest_api_port or values.grpc_socket_path):
        raise ValueError(
            "--port and --rest_api_port are both 0 and there is no --grpc_socket_path, so nothing "
            "would be served. Set one."
        )
    if values.port == values.rest_api_port != 0:
        raise ValueError(
            f"--rest_api_port cannot be the same as --port. Received: {values.port} for both. "
            "Choose another port for one of them."
        )
    for name in _ABOVE_ZERO:
        if getattr(values, name) <= 0:
            raise ValueError(f"--{name} must be above 0. Received: {getattr(values, name)}.")
    if bool(values.model_base_path) == bool(values.model_config_file):
        raise ValueError("give exactly one of --model_base_path and --model_config_file.")
    if values.batching_parameters_file and not values.enable_batching:
        raise ValueError("--batching_parameters_file needs --enable_batching.")


def _make_flags(values: argparse.Namespace) -> Flags:
    if values.model_config_file:
        models = read_model_config_file(values.model_config_file) or ()
    else:
        models = (ModelSettings(values.model_name, Path(values.model_base_path).absolute()),)
    intra = values.tensorflow_intra_op_parallelism
    inter = values.tensorflow_inter_op_parallelism
    both = values.tensorflow_session_parallelism
    if intra and inter and both:
        raise ValueError(
            "Either configure --tensorflow_session_parallelism or the two of "
            "(--tensorflow_intra_op_parallelism, --tensorflow_inter_op_parallelism)."
        )
    loading = LoadSettings(
        batching=_read_batching(values),
        intra_op_threads=intra if intra or inter else both,
        inter_op_threads=inter if intra or inter else both,
        warms_up=values.enable_model_warmup,
        num_warmup_rounds=max(1, values.num_request_iterations_for_warmup),
        tags=tuple(values.saved_model_tags.split(",")),
        checks_method_names=values.enable_signature_method_name_check,
        max_num_load_retries=values.max_num_load_retries,
        load_retry_interval_seconds=values.load_retry_interval_micros / 1e6,
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
    config = read_message(path, MonitoringConfig, flag="--monitoring_config_file").prometheus_config
    return (config.path or DEFAULT_PATH) if config.enable else None


def _read_tls(path: str) -> Any:
    if not path:
        return None
    config = read_message(path, SSLConfig, flag="--ssl_config_file")
    if not config.server_key or not config.server_cert:
        raise ValueError(
            f"{path}: server_key and server_cert must hold a key and a certificate, PEM text. "
            "Received: one of them is empty. Add it."
        )
    return config


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving.local_server",
        description="Serves SavedModels over REST and gRPC like tensorflow_model_server, "
        "for development. Production runs TensorFlow Serving on the same directory.",
        allow_abbrev=False,
    )
    version = importlib.metadata.version("bert_tf")
    parser.add_argument("--version", action="version", version=f"local server of bert_tf {version}")
    groups = {
        "flags of tensorflow_model_server": _TAKEN,
        "flags of tensorflow_model_server that change nothing here": _WITHOUT_EFFECT,
        "flags of tensorflow_model_server that are refused": _REFUSED,
        "flags that tensorflow_model_server does not have": _OURS,
    }
    for title, flags in groups.items():
        group = parser.add_argument_group(title)
        for name, (default, text) in flags.items():
            if isinstance(default, bool):
                options: dict[str, Any] = {"nargs": "?", "const": True, "type": _read_switch}
            else:
                options = {"type": type(default)}
            group.add_argument(f"--{name}", default=default, help=text, **options)
    return parser


def _read_switch(text: str) -> bool:
    """`--name`, `--name=true` and `--name=false`, as TensorFlow's flags are."""
    if text.lower() in ("true", "1", "false", "0"):
        return text.lower() in ("true", "1")
    raise argparse.ArgumentTypeError(f"must be true or false. Received: {text!r}.")
