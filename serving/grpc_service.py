"""The gRPC surface: TensorFlow Serving's PredictionService and ModelService.

Predict, GetModelMetadata and GetModelStatus are answered; the other methods are UNIMPLEMENTED.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving import errors, messages, tensors
from serving.models import ServedModel, find_model
from serving.servable import DEFAULT_SIGNATURE_NAME

_logger = logging.getLogger(__name__)


def add_services(server: grpc.Server, models: Mapping[str, ServedModel]) -> None:
    """Registers both services with a server."""
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(models), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(models), server)


def _with_status(method: Callable[..., Any]) -> Callable[..., Any]:
    """Turns the errors of a service method into gRPC status codes."""

    @functools.wraps(method)
    def answer(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request, context)
        except errors.ServingError as error:
            context.abort(grpc.StatusCode[error.code], error.message)
        except Exception as error:
            _logger.exception("%s failed", method.__name__)
            context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")

    return answer


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Runs models."""

    def __init__(self, models: Mapping[str, ServedModel]) -> None:
        self._models = models

    @_with_status
    def Predict(  # noqa: N802
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        name, version, label = _read_model_spec(request)
        inputs = {
            key: tensors.array_from_proto(proto, name=key) for key, proto in request.inputs.items()
        }
        signature_name = request.model_spec.signature_name or DEFAULT_SIGNATURE_NAME
        model = find_model(self._models, name, version=version)
        response = predict_pb2.PredictResponse()
        with model.use_version(version=version, label=label) as (used_version, servable):
            outputs = servable.predict(
                inputs,
                signature_name=signature_name,
                output_names=list(request.output_filter),
                timeout_seconds=context.time_remaining(),
            )
            output_infos = servable.find_signature(signature_name).outputs
        for key, array in outputs.items():
            response.outputs[key].CopyFrom(tensors.array_to_proto(array, output_infos[key].dtype))
        response.model_spec.name = name
        response.model_spec.signature_name = signature_name
        response.model_spec.version.value = used_version
        return response

    @_with_status
    def GetModelMetadata(  # noqa: N802
        self,
        request: get_model_metadata_pb2.GetModelMetadataRequest,
        context: grpc.ServicerContext,
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        name, version, label = _read_model_spec(request)
        if not request.metadata_field:
            raise errors.InvalidArgumentError(
                "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for field in request.metadata_field:
            if field != "signature_def":
                raise errors.InvalidArgumentError(
                    f"Metadata field {field} is not supported. Ask for signature_def."
                )
        return messages.build_metadata(self._models, name, version=version, label=label)

    @_with_status
    def Classify(self, request: Any, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802
        raise _unimplemented("Classify")

    @_with_status
    def Regress(self, request: Any, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802
        raise _unimplemented("Regress")

    @_with_status
    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802
        raise _unimplemented("MultiInference")


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """Tells the states of models."""

    def __init__(self, models: Mapping[str, ServedModel]) -> None:
        self._models = models

    @_with_status
    def GetModelStatus(  # noqa: N802
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        name, version, label = _read_model_spec(request)
        return messages.build_status(self._models, name, version=version, label=label)

    @_with_status
    def HandleReloadConfigRequest(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext
    ) -> NoReturn:
        raise _unimplemented("HandleReloadConfigRequest")


def _read_model_spec(request: Any) -> tuple[str, int | None, str | None]:
    if not request.HasField("model_spec"):
        raise errors.InvalidArgumentError("Missing ModelSpec")
    spec: model_pb2.ModelSpec = request.model_spec
    version = spec.version.value if spec.HasField("version") else None
    return spec.name, version, spec.version_label or None


def _unimplemented(method: str) -> errors.UnimplementedError:
    return errors.UnimplementedError(
        f"The local server does not have {method}. Use Predict, or TensorFlow Serving."
    )
