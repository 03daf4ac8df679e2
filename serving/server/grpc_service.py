"""The gRPC surface: TensorFlow Serving's PredictionService and ModelService, and health."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow.core.protobuf import error_codes_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
    status_pb2,
)

from serving import errors
from serving.formats import tensor_protos
from serving.server import inference, messages
from serving.server.manager import ModelManager
from serving.server.model_config import read_model_config
from serving.server.servable import DEFAULT_SIGNATURE_NAME

_logger = logging.getLogger(__name__)
_HEALTHY = ("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")
_NO_NAME = "ModelSpec has no name specified."
_Response = TypeVar("_Response", bound=Any)


def add_services(
    server: grpc.Server, models: ModelManager, *, allows_unavailable_labels: bool = False
) -> health.HealthServicer:
    """Registers the services with a server; the health service is given back, to be ended."""
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(models), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(
        ModelService(models, allows_unavailable_labels=allows_unavailable_labels), server
    )
    health_servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    for name in _HEALTHY:  # from the start until the server stops
        health_servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    return health_servicer


class Statuses(grpc.ServerInterceptor):
    """Gives every error of a method its gRPC status code, and runs `num_threads` methods at once.

    gRPC itself calls a request that is no message INTERNAL, which is the server's fault; here it is
    the client's. A thread of gRPC's waits for each request that has begun, which may be for ever,
    so it must have more of them than run methods.
    """

    def __init__(self, *, num_threads: int) -> None:
        self._running = threading.BoundedSemaphore(num_threads)

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        handler = continuation(handler_call_details)
        if handler is None or handler.request_streaming:
            return handler
        name, method = handler_call_details.method, handler.unary_stream or handler.unary_unary

        # A method that waits in no thread, as Health's Watch, says so by its attributes.
        @functools.wraps(method)
        def answer(request: bytes, context: grpc.ServicerContext, *send: Any) -> Any:
            try:
                with self._running:
                    return method(_read_message(request), context, *send)
            except errors.ServingError as error:
                context.abort(grpc.StatusCode[error.code], error.message)
            except NotImplementedError:  # a method of Health's that its package leaves out
                context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{name} is not answered here.")
            except MemoryError as error:
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"Out of memory. {error}")
            except Exception as error:
                if context.code() is None:  # not by `abort`, which raises, too
                    _logger.exception("%s failed", name)
                    message = f"{type(error).__name__}: {error}"
                    context.abort(grpc.StatusCode.INTERNAL, message)
                raise

        def _read_message(request: bytes) -> Any:
            if handler.request_deserializer is None:
                return request
            try:
                return handler.request_deserializer(request)
            except DecodeError as error:
                raise no_message(name, request) from error

        make = (
            grpc.unary_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.unary_unary_rpc_method_handler
        )
        return make(answer, response_serializer=handler.response_serializer)


def no_message(method: str, request: bytes) -> errors.InvalidArgumentError:
    """What is said of bytes that do not parse."""
    return errors.InvalidArgumentError(
        f"{method} must be sent its message. Received {len(request)} bytes that are none."
    )


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Runs models."""

    def __init__(self, models: ModelManager) -> None:
        self._models = models

    def Predict(  # noqa: N802
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        name, version, label = _read_model_spec(request)
        signature_name = request.model_spec.signature_name or DEFAULT_SIGNATURE_NAME
        response = predict_pb2.PredictResponse()
        with (
            self._models.metrics.watch("GRPC", model_name=name, api="Predict"),
            self._models.use_version(name, version=version, label=label) as (
                used_version,
                servable,
            ),
        ):
            outputs = inference.predict(servable, request, timeout_seconds=context.time_remaining())
            output_infos = servable.find_signature(signature_name).outputs
        for key, array in outputs.items():
            response.outputs[key].CopyFrom(
                tensor_protos.array_to_proto(array, output_infos[key].dtype)
            )
        _fill_model_spec(response.model_spec, name, signature_name, used_version)
        return response

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

    def Classify(  # noqa: N802
        self, request: classification_pb2.ClassificationRequest, context: grpc.ServicerContext
    ) -> classification_pb2.ClassificationResponse:
        return self._infer(
            inference.CLASSIFY, request, context, classification_pb2.ClassificationResponse()
        )

    def Regress(  # noqa: N802
        self, request: regression_pb2.RegressionRequest, context: grpc.ServicerContext
    ) -> regression_pb2.RegressionResponse:
        return self._infer(inference.REGRESS, request, context, regression_pb2.RegressionResponse())

    def _infer(
        self,
        method: inference.Method,
        request: Any,
        context: grpc.ServicerContext,
        response: _Response,
    ) -> _Response:
        name, version, label = _read_model_spec(request)
        with (
            self._models.metrics.watch("GRPC", model_name=name, api=method.api),
            self._models.use_version(name, version=version, label=label) as (
                used_version,
                servable,
            ),
        ):
            found = inference.infer(
                method,
                servable,
                request.input,
                signature_name=request.model_spec.signature_name,
                timeout_seconds=context.time_remaining(),
            )
        response.result.CopyFrom(found)
        _fill_model_spec(response.model_spec, name, request.model_spec.signature_name, used_version)
        return response

    def MultiInference(  # noqa: N802
        self, request: inference_pb2.MultiInferenceRequest, context: grpc.ServicerContext
    ) -> inference_pb2.MultiInferenceResponse:
        if not request.tasks:
            raise errors.InvalidArgumentError(_NO_NAME)
        name, version, label = _read_model_spec(request.tasks[0], is_demanded=False)
        response = inference_pb2.MultiInferenceResponse()
        with self._models.use_version(name, version=version, label=label) as (
            used_version,
            servable,
        ):
            _check_one_model(request)
            results = inference.infer_all(
                servable, request, timeout_seconds=context.time_remaining()
            )
        for task, result in zip(request.tasks, results, strict=True):
            _fill_model_spec(result.model_spec, name, task.model_spec.signature_name, used_version)
            response.results.append(result)
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """Tells the states of models."""

    def __init__(self, models: ModelManager, *, allows_unavailable_labels: bool) -> None:
        self._models = models
        self._allows_unavailable_labels = allows_unavailable_labels

    def GetModelStatus(  # noqa: N802
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        # As in TensorFlow Serving a label is left aside, and every version told.
        name, version, _ = _read_model_spec(request, needs_name=False)
        return messages.build_status(self._models, name, version=version)

    def HandleReloadConfigRequest(  # noqa: N802
        self, request: model_management_pb2.ReloadConfigRequest, context: grpc.ServicerContext
    ) -> model_management_pb2.ReloadConfigResponse:
        if request.config.WhichOneof("config") != "model_config_list":
            raise errors.InvalidArgumentError(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only "
                "ModelConfigList is currently supported"
            )
        before = self._read_metrics(request)
        try:
            settings = read_model_config(request.config, served=self._models)
        except ValueError as error:
            raise errors.InvalidArgumentError(str(error)) from error
        self._models.apply(settings, allows_unavailable_labels=self._allows_unavailable_labels)
        response = model_management_pb2.ReloadConfigResponse(
            status=status_pb2.StatusProto(error_code=error_codes_pb2.OK)
        )
        for name, value in self._read_metrics(request).items():
            response.metric.add(name=name, int64_value_increase=value - before[name])
        return response

    def _read_metrics(self, request: model_management_pb2.ReloadConfigRequest) -> dict[str, int]:
        return {name: self._models.metrics.value(name) for name in request.metric_names}


def _check_one_model(request: inference_pb2.MultiInferenceRequest) -> None:
    names = {task.model_spec.name for task in request.tasks}
    if "" in names:
        raise errors.InvalidArgumentError("Found ModelSpec with an empty model name.")
    if len(names) > 1:
        raise errors.InvalidArgumentError(
            "All ModelSpecs in a MultiInferenceRequest must access the same model name."
        )


def _read_model_spec(
    request: Any, *, is_demanded: bool = True, needs_name: bool = True
) -> tuple[str, int | None, str | None]:
    if is_demanded and not request.HasField("model_spec"):
        raise errors.InvalidArgumentError("Missing ModelSpec")
    spec: model_pb2.ModelSpec = request.model_spec
    if needs_name and not spec.name:
        raise errors.InvalidArgumentError(_NO_NAME)
    choice = spec.WhichOneof("version_choice")
    version = spec.version.value if choice == "version" else None
    return spec.name, version, spec.version_label if choice == "version_label" else None


def _fill_model_spec(
    spec: model_pb2.ModelSpec, name: str, signature_name: str, version: int
) -> None:
    spec.name = name
    spec.signature_name = signature_name or DEFAULT_SIGNATURE_NAME
    spec.version.value = version
