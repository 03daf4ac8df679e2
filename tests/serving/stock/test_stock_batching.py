"""Batching as a client sees it: the requests of TensorFlow Serving's `batching_session_test.cc`."""

import concurrent.futures
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving.local_server import LocalServer
from serving.server.batching import BatchingSettings
from serving.server.model_config import LoadSettings, ModelSettings
from tests.serving.stock.asking import Outcome, call
from tests.serving.stock.grpc_text import inputs, shaped, spec

MAX_BATCH_SIZE = 4


class HalfPlusTwo(tf.Module):
    """y = x / 2 + 2, beside the number of rows that ran together."""

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def halve(self, x):
        return {"y": x / 2.0 + 2.0, "rows": tf.fill(tf.shape(x), tf.shape(x)[0])}

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([None], tf.float32, name="input_0"),
            tf.TensorSpec([None], tf.float32, name="input_1"),
        ],
    )
    def count(self, input_0, input_1):
        return {"a": input_0, "b": input_1}


@pytest.fixture(scope="module")
def base_path(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("batched")
    model = HalfPlusTwo()
    signatures = {"serving_default": model.halve, "two_inputs": model.count}
    tf.saved_model.save(model, str(path / "1"), signatures=signatures)
    return path


@pytest.fixture(scope="module")
def patient(base_path) -> Iterator[str]:
    """Waits for a full batch of four."""
    yield from serve(base_path, batch_timeout_micros=20_000_000)


@pytest.fixture(scope="module", params=[(2, 4), (1, 3, 4)], ids=str)
def filling(request, base_path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Fills a batch up to the next of these sizes."""
    for address in serve(base_path, allowed_batch_sizes=request.param):
        yield address, request.param


@pytest.fixture(scope="module")
def prompt(base_path) -> Iterator[str]:
    """Runs each request at once."""
    yield from serve(base_path)


def serve(base_path: Path, **settings: object) -> Iterator[str]:
    batching = BatchingSettings(max_batch_size=MAX_BATCH_SIZE, num_batch_threads=1, **settings)
    with LocalServer(
        [ModelSettings("m", base_path)],
        port=0,
        file_system_poll_wait_seconds=0,
        loading=LoadSettings(batching=batching),
    ) as server:
        yield server.grpc_address


def ask(address: str, text: str, *, signature: str = "") -> Outcome:
    request = text_format.Parse(spec("m", signature) + text, predict_pb2.PredictRequest())
    with grpc.insecure_channel(address) as channel:
        return call(prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict, request)


def floats(*values: float) -> str:
    listed = " ".join(f"float_val: {value}" for value in values)
    return shaped("FLOAT", str(len(values)), listed)


def test_requests_that_fill_a_batch_run_together(patient):
    """`BatchingSessionTest.Basic`."""
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        sent = (floats(100, 42), floats(71.5, 18.25))
        outcomes = list(threads.map(lambda x: ask(patient, inputs(x=x)), sent))
    given = [list(outcome.response.outputs["y"].float_val) for outcome in outcomes]
    assert given == [[52.0, 23.0], [37.75, 11.125]]
    assert all(list(o.response.outputs["rows"].int_val) == [4, 4] for o in outcomes)


def test_single_request_runs_alone(prompt):
    """`BatchingSessionTest.SingletonBatch`."""
    response = ask(prompt, inputs(x=floats(100, 42))).response
    assert list(response.outputs["y"].float_val) == [52.0, 23.0]
    assert list(response.outputs["rows"].int_val) == [2, 2]


def test_batch_is_filled_up_to_an_allowed_size(filling):
    """`BatchingSessionTest.AllowedBatchSizesNoPaddingNeeded` and `…RequirePadding`."""
    address, sizes = filling
    response = ask(address, inputs(x=floats(100, 42))).response
    assert list(response.outputs["y"].float_val) == [52.0, 23.0]
    wanted = min(size for size in sizes if size >= 2)
    assert list(response.outputs["rows"].int_val) == [wanted, wanted]


def test_some_outputs_of_a_batch(prompt):
    """`BatchingSessionTest.SubsetOutputTensors`."""
    response = ask(prompt, inputs(x=floats(100)) + 'output_filter: "y"').response
    assert {name: list(t.float_val) for name, t in response.outputs.items()} == {"y": [52.0]}


def test_request_beyond_a_batch_is_refused(prompt):
    """`SharedBatchScheduler`, without `enable_large_batch_splitting`."""
    outcome = ask(prompt, inputs(x=floats(1, 2, 3, 4, 5)))
    assert outcome.code == "INVALID_ARGUMENT"
    assert "larger than maximum input batch size 4" in outcome.details


def test_inputs_of_different_batch_sizes_are_refused(prompt):
    """`BatchingSessionTest.RequestWithIncompatibleInputTensorSizes`."""
    sent = inputs(input_0=floats(3), input_1=floats(5, 7))
    outcome = ask(prompt, sent, signature="two_inputs")
    assert outcome.code == "INVALID_ARGUMENT"
    assert "must have equal 0th-dimension size" in outcome.details


@pytest.mark.parametrize("sizes", [(4, 2), (2, 8), (2, 2, 4), (2, 3)], ids=str)
def test_allowed_sizes_that_do_not_rise_to_the_largest_are_refused(sizes):
    """`UnsortedAllowedBatchSizesRejected` and `FinalAllowedBatchSizeLargerThanMaxBatchSize…`."""
    from serving.server.config_messages import BatchingParameters

    message = BatchingParameters()
    message.max_batch_size.value = 4
    message.allowed_batch_sizes.extend(sizes)
    with pytest.raises(ValueError, match="max_batch_size"):
        BatchingSettings.from_message(message)
