"""The gRPC surface, asked through TensorFlow Serving's generated stubs."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.grpc_address) as channel:
        yield channel


@pytest.fixture(scope="module")
def prediction(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def model_service(channel):
    return model_service_pb2_grpc.ModelServiceStub(channel)


def build_request(*, name="demo", version=None, label=None, signature_name="", **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature_name
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return request


def assert_code(code, message, method, request, **options):
    with pytest.raises(grpc.RpcError) as caught:
        method(request, **options)
    assert caught.value.code() == code
    assert message in caught.value.details()


def test_predict_answers_tensors_and_the_version_used(prediction):
    response = prediction.Predict(build_request(text=["한글", "abc"]))
    assert tf.make_ndarray(response.outputs["label"]).tolist() == [b"two", b"two"]
    np.testing.assert_allclose(tf.make_ndarray(response.outputs["score"]), [0.2, 0.3], rtol=1e-6)
    assert tf.make_ndarray(response.outputs["probabilities"]).shape == (2, 2)
    assert response.model_spec.name == "demo"
    assert response.model_spec.version.value == 2
    assert response.model_spec.signature_name == "serving_default"


def test_values_stand_in_the_field_of_their_type(prediction):
    response = prediction.Predict(build_request(text=["ab"]))
    assert list(response.outputs["label"].string_val) == [b"two"]
    assert list(response.outputs["score"].float_val) == pytest.approx([0.2])
    assert response.outputs["score"].dtype == tf.float32.as_datatype_enum


def test_text_comes_back_as_it_was_sent(prediction):
    texts = ["한글".encode(), b"\xff\x00\x00", b""]
    response = prediction.Predict(build_request(signature_name="echo", text=texts))
    assert tf.make_ndarray(response.outputs["echo"]).tolist() == texts


def test_half_precision_passes(prediction):
    request = build_request(signature_name="half_precision", x=np.float32([0.5]))
    array = tf.make_ndarray(prediction.Predict(request).outputs["y"])
    assert (array.dtype, array.tolist()) == (np.float16, [0.5])


def test_output_filter_limits_the_answer(prediction):
    request = build_request(text=["a"])
    request.output_filter.append("score")
    assert list(prediction.Predict(request).outputs) == ["score"]


@pytest.mark.parametrize(
    ("spec", "label"), [({"version": 1}, b"one"), ({"label": "stable"}, b"one"), ({}, b"two")]
)
def test_model_spec_chooses_the_version(prediction, spec, label):
    response = prediction.Predict(build_request(text=["a"], **spec))
    assert list(response.outputs["label"].string_val) == [label]


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (
            build_request(name="nope", text=["a"]),
            "NOT_FOUND",
            "Servable not found for request: Latest(nope)",
        ),
        (
            build_request(version=9, text=["a"]),
            "NOT_FOUND",
            "Servable not found for request: Specific(demo, 9)",
        ),
        (
            build_request(label="nope", text=["a"]),
            "INVALID_ARGUMENT",
            "Unrecognized servable version label: nope",
        ),
        (
            build_request(signature_name="nope", text=["a"]),
            "FAILED_PRECONDITION",
            'Serving signature key "nope" not found.',
        ),
        (
            build_request(txt=["a"]),
            "INVALID_ARGUMENT",
            "input size does not match signature: 1!=1 len({txt}) != len({text}). "
            "Sent extra: {txt}. Missing but required: {text}.",
        ),
        (
            build_request(text=[1.0]),
            "INVALID_ARGUMENT",
            "Expects arg[0] to be string but float is provided",
        ),
        (
            build_request(text="a"),
            "INVALID_ARGUMENT",
            "axis = 1 not in [-1, 1)",
        ),
        (
            build_request(signature_name="fail_if_negative", x=np.float32([-1.0])),
            "INVALID_ARGUMENT",
            "x must not be negative",
        ),
    ],
)
def test_bad_request_is_answered_with_its_code(prediction, request_, code, message):
    assert_code(grpc.StatusCode[code], message, prediction.Predict, request_)


def test_bad_tensor_is_invalid(prediction):
    request = build_request(signature_name="halve", x=np.float32([1.0]))
    request.inputs["x"].tensor_content = b"of another length"
    assert_code(
        grpc.StatusCode.INVALID_ARGUMENT, "tensor parsing error", prediction.Predict, request
    )


def test_a_claim_is_compared_with_the_bytes_that_are_there(prediction):
    """A few bytes must not make the server take gigabytes."""
    request = build_request(text=["a"])
    request.inputs["text"].tensor_shape.dim[0].size = 2**31
    message = "claims 2147483648 elements, and 1 are there"
    assert_code(grpc.StatusCode.INVALID_ARGUMENT, message, prediction.Predict, request)
    request.inputs["text"].tensor_shape.dim[0].size = 3
    answer = prediction.Predict(request, timeout=10)
    assert len(answer.outputs["score"].float_val) == 3, "filled up with the last value"


@pytest.mark.parametrize("sizes", [(0, 2**62), (2**62, 0), (0, 2**63 - 1), (2**40, 2**40, 0)])
@pytest.mark.parametrize("data_type", [tf.float32, tf.string])
def test_a_shape_without_elements_must_be_one_that_fits(prediction, sizes, data_type):
    request = build_request()
    proto = request.inputs["text"]
    proto.dtype = data_type.as_datatype_enum
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    message = "has too many elements"
    assert_code(grpc.StatusCode.INVALID_ARGUMENT, message, prediction.Predict, request)


def test_a_context_in_many_examples_must_not_take_gigabytes(prediction):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = "demo", "classify"
    examples = request.input.example_list_with_context
    examples.context.features.feature["text"].bytes_list.value.append(b"a" * 200_000)
    for _ in range(3):
        examples.examples.add()
    assert len(prediction.Classify(request, timeout=10).result.classifications) == 3
    for _ in range(3_000):
        examples.examples.add()
    message = "must be at most 64 MiB together"
    assert_code(grpc.StatusCode.INVALID_ARGUMENT, message, prediction.Classify, request)


def test_bad_output_filter_is_invalid(prediction):
    request = build_request(text=["a"])
    request.output_filter.append("nope")
    message = "output tensor alias not found in signature: nope"
    assert_code(grpc.StatusCode.INVALID_ARGUMENT, message, prediction.Predict, request)
    request.output_filter[:] = ["score", "score"]
    message = "duplicate output tensor alias: score"
    assert_code(grpc.StatusCode.INVALID_ARGUMENT, message, prediction.Predict, request)


def test_callers_deadline_stops_the_graph(prediction):
    request = build_request(signature_name="count_slowly", num_steps=np.int32([2**31 - 1]))
    assert_code(grpc.StatusCode.DEADLINE_EXCEEDED, "", prediction.Predict, request, timeout=0.3)
    assert prediction.Predict(build_request(text=["a"]), timeout=10)


def test_metadata_holds_the_signatures(prediction):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "demo"
    response = prediction.GetModelMetadata(request)
    assert (response.model_spec.name, response.model_spec.version.value) == ("demo", 2)
    signature_map = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signature_map)
    assert sorted(signature_map.signature_def["pair"].inputs) == ["text", "text_pair"]


def test_metadata_field_must_be_known(prediction):
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = "demo"
    message = "must specify at least one metadata_field"
    assert_code(grpc.StatusCode.INVALID_ARGUMENT, message, prediction.GetModelMetadata, request)
    request.metadata_field.append("x")
    message = "Metadata field x is not supported"
    assert_code(grpc.StatusCode.INVALID_ARGUMENT, message, prediction.GetModelMetadata, request)


def test_status_tells_the_states(model_service):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "demo"
    response = model_service.GetModelStatus(request)
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert [(entry.version, entry.state) for entry in response.model_version_status] == [
        (2, available),
        (1, available),
    ]
    request.model_spec.name = "nope"
    message = "Could not find any versions of model nope"
    assert_code(grpc.StatusCode.NOT_FOUND, message, model_service.GetModelStatus, request)


@pytest.mark.parametrize(
    ("service", "method", "request_", "message"),
    [
        ("prediction", "Classify", classification_pb2.ClassificationRequest(), "Missing ModelSpec"),
        ("prediction", "Regress", regression_pb2.RegressionRequest(), "Missing ModelSpec"),
        (
            "prediction",
            "MultiInference",
            inference_pb2.MultiInferenceRequest(),
            "ModelSpec has no name specified",
        ),
        (
            "model_service",
            "HandleReloadConfigRequest",
            model_management_pb2.ReloadConfigRequest(),
            "ServerModelConfig type not supported by HandleReloadConfigRequest",
        ),
    ],
)
def test_empty_requests_are_refused(request, service, method, request_, message):
    stub = request.getfixturevalue(service)
    assert_code(grpc.StatusCode.INVALID_ARGUMENT, message, getattr(stub, method), request_)


@pytest.mark.parametrize(
    "method",
    [
        "tensorflow.serving.PredictionService/Predict",
        "tensorflow.serving.PredictionService/Classify",
        "tensorflow.serving.PredictionService/Regress",
        "tensorflow.serving.PredictionService/MultiInference",
        "tensorflow.serving.ModelService/HandleReloadConfigRequest",
        "tensorflow.ProfilerService/Monitor",
        "tensorflow.ProfilerService/Profile",
        "grpc.health.v1.Health/Check",
        "grpc.health.v1.Health/Watch",
    ],
)
def test_what_is_no_message_is_the_clients_fault(server, method):
    with grpc.insecure_channel(server.grpc_address) as channel:
        call = channel.unary_stream(f"/{method}")
        with pytest.raises(grpc.RpcError) as raised:
            list(call(b"\xff\xff no message", timeout=10))
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "must be sent its message" in raised.value.details()


def test_a_method_that_health_does_not_have_is_unimplemented_without_a_trace(server, caplog):
    with grpc.insecure_channel(server.grpc_address) as channel:
        call = channel.unary_unary("/grpc.health.v1.Health/List")
        assert_code(grpc.StatusCode.UNIMPLEMENTED, "is not answered here", call, b"", timeout=10)
    assert not caplog.records
