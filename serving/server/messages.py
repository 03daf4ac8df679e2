"""Model status and metadata as TensorFlow Serving's messages."""

from __future__ import annotations

from tensorflow.core.protobuf import error_codes_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from serving import errors
from serving.formats.status_json import SIGNATURE_DEF
from serving.server.manager import ModelManager


def build_status(
    models: ModelManager, name: str, *, version: int | None = None
) -> get_model_status_pb2.GetModelStatusResponse:
    """The states of a model's versions, highest version first."""
    entries = models.list_versions(name)
    if version is not None:
        entries = [entry for entry in entries if entry.version == version]
    if not entries:
        what = "any versions" if version is None else f"version {version}"
        raise errors.NotFoundError(f"Could not find {what} of model {name}")
    response = get_model_status_pb2.GetModelStatusResponse()
    for entry in entries:
        status = response.model_version_status.add()
        status.version = entry.version
        status.state = get_model_status_pb2.ModelVersionStatus.State.Value(entry.state)
        if entry.error is not None:
            status.status.error_code = error_codes_pb2.Code.Value(entry.error.code)
            status.status.error_message = entry.error.message
        else:
            status.status.error_code = error_codes_pb2.OK
    return response


def build_metadata(
    models: ModelManager,
    name: str,
    *,
    version: int | None = None,
    label: str | None = None,
) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """The signatures of an available version."""
    signature_map = get_model_metadata_pb2.SignatureDefMap()
    with models.use_version(name, version=version, label=label) as (used_version, servable):
        for key, signature in servable.signatures.items():
            signature_map.signature_def[key].CopyFrom(signature)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = name
    response.model_spec.version.value = used_version
    response.metadata[SIGNATURE_DEF].Pack(signature_map)
    return response
