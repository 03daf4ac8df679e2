"""TensorFlow Serving's messages for its configuration files, and files read into them.

`ModelServerConfig` comes from tensorflow-serving-api. That package leaves out the messages of
batching, monitoring and TLS; they are made here with the names and numbers of
`session_bundle_config.proto`, `monitoring_config.proto` and `ssl_config.proto`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory, text_format

# Imported, so that the files below find them in the pool.
from google.protobuf import wrappers_pb2 as _wrappers_pb2

_PACKAGE = "tensorflow.serving"
_FIELD = descriptor_pb2.FieldDescriptorProto
_INT64, _STRING = "google.protobuf.Int64Value", "google.protobuf.StringValue"

# Message -> fields by number: name, type (a message's name, or a field type), whether repeated.
_MESSAGES: dict[str, list[tuple[str, Any, bool]]] = {
    "BatchingParameters": [
        ("max_batch_size", _INT64, False),
        ("batch_timeout_micros", _INT64, False),
        ("max_enqueued_batches", _INT64, False),
        ("num_batch_threads", _INT64, False),
        ("thread_pool_name", _STRING, False),
        ("allowed_batch_sizes", _FIELD.TYPE_INT64, True),
        ("pad_variable_length_inputs", _FIELD.TYPE_BOOL, False),
    ],
    "PrometheusConfig": [("enable", _FIELD.TYPE_BOOL, False), ("path", _FIELD.TYPE_STRING, False)],
    "MonitoringConfig": [("prometheus_config", f"{_PACKAGE}.PrometheusConfig", False)],
    "SSLConfig": [
        ("server_key", _FIELD.TYPE_STRING, False),
        ("server_cert", _FIELD.TYPE_STRING, False),
        ("custom_ca", _FIELD.TYPE_STRING, False),
        ("client_verify", _FIELD.TYPE_BOOL, False),
    ],
}


def _make_classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="serving/config_messages.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )
    for name, fields in _MESSAGES.items():
        made = file.message_type.add(name=name)
        for number, (field, kind, is_repeated) in enumerate(fields, start=1):
            label = _FIELD.LABEL_REPEATED if is_repeated else _FIELD.LABEL_OPTIONAL
            added = made.field.add(name=field, number=number, label=label)
            if isinstance(kind, str):
                added.type, added.type_name = _FIELD.TYPE_MESSAGE, f".{kind}"
            else:
                added.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_CLASSES = _make_classes()
BatchingParameters = _CLASSES["BatchingParameters"]
MonitoringConfig = _CLASSES["MonitoringConfig"]
SSLConfig = _CLASSES["SSLConfig"]


def read_message(path: str | Path, kind: type[message.Message], *, flag: str) -> Any:
    """A message in protobuf text form from a file.

    Raises `FileNotFoundError` when there is none, and `ValueError` when it is no such message.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: {flag} must name a file. Received: no such file. Give the path of a "
            f"{kind.DESCRIPTOR.name} in text form."
        )
    try:
        return text_format.Parse(_decode(path), kind())
    except text_format.ParseError as error:
        raise ValueError(
            f"{path}: Error parsing text-format {kind.DESCRIPTOR.full_name}: {error}"
        ) from error


def _decode(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}:{line}: a text form must be UTF-8. Received: byte 0x{raw[error.start]:02x} at "
            f"position {error.start}. Save it as UTF-8."
        ) from error
