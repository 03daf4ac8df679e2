"""A client for the gRPC surface, with the REST client's methods and results.

TensorFlow is imported when a `GrpcClient` is made, not before: its messages need it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Unpack

from serving import errors
from serving.client.model_client import ModelClient, Options, check_one_form

_DEFAULT_SIGNATURE_NAME = "serving_default"


class GrpcClient(ModelClient):
    """Asks one model over gRPC; may be shared by threads.

    `address` is HOST:PORT. The signatures are fetched once, to give inputs the types that the
    model wants. A call that was answered with UNAVAILABLE is made again up to `num_retries`
    times, each after twice the pause.
    """

    def __init__(self, address: str, **options: Unpack[Options]) -> None:
        import grpc
        from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

        super().__init__(**options)
        self.address = address
        self._rpc_error = grpc.RpcError
        self._channel = grpc.insecure_channel(
            address,
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                # Repeating is done here, with the time limit of the whole call in sight.
                ("grpc.enable_retries", 0),
                ("grpc.max_reconnect_backoff_ms", 1000),
                # As RestClient: a proxy of the environment would take 127.0.0.1 for its own.
                ("grpc.enable_http_proxy", 0),
            ],
        )
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._signatures: dict[str, Any] | None = None

    def predict(
        self,
        *,
        instances: Sequence[Any] | None = None,
        inputs: Any = None,
        signature_name: str | None = None,
    ) -> Any:
        from tensorflow_serving.apis import predict_pb2

        from serving.formats import predict_json, tensor_protos

        check_one_form(instances, inputs)
        key = signature_name or _DEFAULT_SIGNATURE_NAME
        signature = self._find_signature(key)
        document = {"inputs": inputs} if instances is None else {"instances": list(instances)}
        arrays, is_row_form = predict_json.read_inputs(document, signature)
        request = predict_pb2.PredictRequest()
        self._fill_model_spec(request.model_spec)
        request.model_spec.signature_name = key
        for name, array in arrays.items():
            proto = tensor_protos.array_to_proto(array, signature.inputs[name].dtype)
            request.inputs[name].CopyFrom(proto)
        response = self._call(self._prediction.Predict, request)
        outputs = {
            name: tensor_protos.array_from_proto(response.outputs[name], name=name)
            for name in sorted(response.outputs)
        }
        written = predict_json.write_outputs(outputs, is_row_form=is_row_form)
        return next(iter(json.loads(written).values()))

    def status(self) -> dict[str, Any]:
        from tensorflow_serving.apis import get_model_status_pb2

        from serving.formats import status_json

        request = get_model_status_pb2.GetModelStatusRequest()
        self._fill_model_spec(request.model_spec)
        return status_json.status_to_json(self._call(self._model.GetModelStatus, request))

    def metadata(self) -> dict[str, Any]:
        from serving.formats import status_json

        return status_json.metadata_to_json(self._fetch_metadata())

    def close(self) -> None:
        self._channel.close()

    def _find_signature(self, key: str) -> Any:
        """Returns a signature; one that is not known is looked for once more on the server."""
        from tensorflow_serving.apis import get_model_metadata_pb2

        if self._signatures is None or key not in self._signatures:
            signature_map = get_model_metadata_pb2.SignatureDefMap()
            self._fetch_metadata().metadata["signature_def"].Unpack(signature_map)
            self._signatures = dict(signature_map.signature_def)
        if key not in self._signatures:
            raise errors.FailedPreconditionError(
                f'Serving signature key "{key}" not found. '
                f"The model has: {', '.join(sorted(self._signatures))}."
            )
        return self._signatures[key]

    def _fetch_metadata(self) -> Any:
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._fill_model_spec(request.model_spec)
        return self._call(self._prediction.GetModelMetadata, request)

    def _fill_model_spec(self, spec: Any) -> None:
        spec.name = self.model_name
        if self.version is not None:
            spec.version.value = self.version
        elif self.label is not None:
            spec.version_label = self.label

    def _call(self, method: Callable[..., Any], request: Any) -> Any:
        def ask(timeout_seconds: float) -> Any:
            try:
                return method(request, timeout=timeout_seconds)
            except self._rpc_error as error:
                code, details = error.code().name, error.details() or ""
                raise errors.error_for_code(code, details) from error

        return self._ask_again(ask)
