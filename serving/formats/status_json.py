"""TensorFlow Serving's messages about a model, its status and its metadata, as JSON."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format, message
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

SIGNATURE_DEF = "signature_def"


def status_to_json(response: get_model_status_pb2.GetModelStatusResponse) -> dict[str, Any]:
    """TensorFlow Serving's JSON of a model's status."""
    return _to_json(response)


def metadata_to_json(response: get_model_metadata_pb2.GetModelMetadataResponse) -> dict[str, Any]:
    """TensorFlow Serving's JSON of a model's metadata: the packed map without its type URL."""
    signature_map = get_model_metadata_pb2.SignatureDefMap()
    response.metadata[SIGNATURE_DEF].Unpack(signature_map)
    return {
        "model_spec": _to_json(response.model_spec),
        "metadata": {SIGNATURE_DEF: _to_json(signature_map)},
    }


def _to_json(value: message.Message) -> dict[str, Any]:
    return json_format.MessageToDict(
        value, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
