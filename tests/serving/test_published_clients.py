"""What TensorFlow Serving's own client tests ask of a model server, asked of the local one.

The requests and answers are those of `tensorflow_model_server_test.py`, over gRPC with the
generated stubs and over REST with a plain HTTP client.
"""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tests.serving.half_plus_two import save_half_plus_two
from tests.serving.server_process import ROOT, find_free_ports

TIMEOUT = 10.0
VERSION = 123


@pytest.fixture(scope="module")
def addresses(tmp_path_factory) -> Iterator[tuple[str, str]]:
    """gRPC and REST addresses of a server started as TensorFlow Serving's tests start theirs."""
    folder = tmp_path_factory.mktemp("half_plus_two")
    save_half_plus_two(folder / "model" / str(VERSION))
    (folder / "batching_config.txt").write_text(
        "max_batch_size { value: 128 }\nbatch_timeout_micros { value: 0 }\n"
        "max_enqueued_batches { value: 1000000 }\nnum_batch_threads { value: 8 }\n"
    )
    port, rest_port = find_free_ports()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "serving.local_server"),
            *(f"--port={port}", f"--rest_api_port={rest_port}", "--rest_api_timeout_in_ms=5000"),
            *("--model_name=default", f"--model_base_path={folder / 'model'}"),
            *("--enable_batching", f"--batching_parameters_file={folder / 'batching_config.txt'}"),
            "--grpc_channel_arguments=grpc.max_connection_age_ms=2000,grpc.lb_policy_name=grpclb",
        ],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_ready(f"localhost:{port}")
        yield f"localhost:{port}", f"localhost:{rest_port}"
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0


def wait_until_ready(address: str) -> None:
    """As their tests wait: a missing model's error names a servable."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "intentionally_missing_model"
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with grpc.insecure_channel(address) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            try:
                stub.Predict(request, TIMEOUT)
            except grpc.RpcError as error:
                if "Servable" in error.details():
                    return
        time.sleep(0.2)
    raise TimeoutError(f"nothing answers at {address}")


@pytest.fixture
def stub(addresses) -> Iterator[prediction_service_pb2_grpc.PredictionServiceStub]:
    with grpc.insecure_channel(addresses[0]) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def ask(address: str, path: str, document: Any = None) -> Any:
    data = None if document is None else json.dumps(document).encode()
    with urllib.request.urlopen(f"http://{address}/v1/models/{path}", data, TIMEOUT) as answer:
        return json.load(answer)


def check_model_spec(spec: Any, signature_name: str) -> None:
    assert (spec.name, spec.signature_name, spec.version.value) == (
        "default",
        signature_name,
        VERSION,
    )


def fill(request: Any, signature_name: str) -> Any:
    request.model_spec.name = "default"
    request.model_spec.signature_name = signature_name
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(2.0)
    return request


def test_get_model_status(addresses) -> None:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "default"
    with grpc.insecure_channel(addresses[0]) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        (status,) = stub.GetModelStatus(request, TIMEOUT).model_version_status
    assert (status.version, status.status.error_code) == (VERSION, 0)


@pytest.mark.parametrize("output_filter", [[], ["y"]])
def test_predict(stub, output_filter) -> None:
    request = predict_pb2.PredictRequest(output_filter=output_filter)
    request.model_spec.name = "default"
    request.inputs["x"].dtype = types_pb2.DT_FLOAT
    request.inputs["x"].float_val.append(2.0)
    request.inputs["x"].tensor_shape.dim.add(size=1)
    result = stub.Predict(request, TIMEOUT)
    assert result.outputs["y"].dtype == types_pb2.DT_FLOAT
    assert list(result.outputs["y"].float_val) == [3.0]
    check_model_spec(result.model_spec, "serving_default")


def test_classify(stub) -> None:
    request = fill(classification_pb2.ClassificationRequest(), "classify_x_to_y")
    result = stub.Classify(request, TIMEOUT)
    (classifications,) = result.result.classifications
    assert [entry.score for entry in classifications.classes] == [3.0]
    check_model_spec(result.model_spec, "classify_x_to_y")


def test_regress(stub) -> None:
    request = fill(regression_pb2.RegressionRequest(), "regress_x_to_y")
    result = stub.Regress(request, TIMEOUT)
    assert [entry.value for entry in result.result.regressions] == [3.0]
    check_model_spec(result.model_spec, "regress_x_to_y")


def test_multi_inference(stub) -> None:
    request = inference_pb2.MultiInferenceRequest()
    for kind in ("regress", "classify"):
        task = request.tasks.add(method_name=f"tensorflow/serving/{kind}")
        task.model_spec.name = "default"
        task.model_spec.signature_name = f"{kind}_x_to_y"
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(2.0)
    regression, classification = stub.MultiInference(request, TIMEOUT).results
    assert regression.regression_result.regressions[0].value == 3.0
    assert classification.classification_result.classifications[0].classes[0].score == 3.0
    check_model_spec(regression.model_spec, "regress_x_to_y")
    check_model_spec(classification.model_spec, "classify_x_to_y")


@pytest.mark.parametrize(
    ("path", "document", "expected"),
    [
        (
            "default:classify",
            {"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}]},
            {"results": [[["", 3.0]]]},
        ),
        (
            "default:regress",
            {"signature_name": "regress_x_to_y", "examples": [{"x": 2.0}]},
            {"results": [3.0]},
        ),
        (
            "default:regress",
            {
                "signature_name": "regress_x_to_y",
                "context": {"x": [4.0]},
                "examples": [{"x": 2.0}, {}],
            },
            {"results": [3.0, 4.0]},
        ),
        ("default:predict", {"instances": [2.0, 3.0, 4.0]}, {"predictions": [3.0, 3.5, 4.0]}),
        ("default:predict", {"inputs": [2.0, 3.0, 4.0]}, {"outputs": [3.0, 3.5, 4.0]}),
        (
            "default",
            None,
            {
                "model_version_status": [
                    {
                        "version": "123",
                        "state": "AVAILABLE",
                        "status": {"error_code": "OK", "error_message": ""},
                    }
                ]
            },
        ),
    ],
)
def test_rest(addresses, path, document, expected) -> None:
    assert ask(addresses[1], path, document) == expected


def test_a_bad_model_config_ends_the_server_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "bad_model_config.txt"
    path.write_text("improperly formatted file")
    port, _ = find_free_ports()
    command = [sys.executable, "-m", "serving.local_server", f"--port={port}"]
    process = subprocess.run(
        [*command, f"--model_config_file={path}"], cwd=ROOT, capture_output=True, timeout=60
    )
    assert process.returncode == 2
    assert str(path).encode() in process.stderr


def test_health(addresses) -> None:
    with grpc.insecure_channel(addresses[0]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "tensorflow.serving.PredictionService"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), TIMEOUT)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as raised:
            stub.Check(health_pb2.HealthCheckRequest(service="other"), TIMEOUT)
        assert raised.value.code() == grpc.StatusCode.NOT_FOUND
