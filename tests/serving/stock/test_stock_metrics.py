"""The page of metrics counts requests as TensorFlow Serving 2.20.0 does."""

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import prediction_service_pb2_grpc

from serving.local_server import LocalServer
from serving.server.model_config import ModelSettings
from tests.serving.stock.asking import ask, call
from tests.serving.stock.metric_cases import CASES, MetricCase
from tests.serving.stock.test_stock_grpc import REQUESTS


@pytest.fixture(scope="module")
def counting_server(stock_models) -> Iterator[LocalServer]:
    settings = [ModelSettings("published", stock_models["published"])]
    with LocalServer(
        settings, port=0, rest_api_port=0, file_system_poll_wait_seconds=0, metrics_path="/metrics"
    ) as server:
        yield server


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_request_adds_what_the_table_says(counting_server, case: MetricCase):
    before = read_metrics(counting_server.rest_url)
    if case.rest is not None:
        method, path, body = case.rest
        ask(counting_server.rest_url, method, path, body=body)
    if case.grpc is not None:
        name, text = case.grpc
        with grpc.insecure_channel(counting_server.grpc_address) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            call(getattr(stub, name), text_format.Parse(text, REQUESTS[name]()))
    after = read_metrics(counting_server.rest_url)
    added = {key: after.get(key, 0) - before.get(key, 0) for key in case.adds}
    assert added == dict(case.adds)


def test_latency_has_the_buckets_of_stock(counting_server):
    """`servables/tensorflow/util.cc` request_latency: from 10 µs on, each 1.8 times the last."""
    ask(counting_server.rest_url, "GET", "/v1/models/published")
    page = ask(counting_server.rest_url, "GET", "/metrics").body.decode()
    assert "# TYPE :tensorflow:serving:request_latency histogram\n" in page
    labels = 'model_name="published",API="",entrypoint="REST"'
    bounds = [f"{10 * 1.8**power:g}" for power in range(33)] + ["+Inf"]
    name = ":tensorflow:serving:request_latency_bucket"
    found = [line.rpartition(" ")[0] for line in page.split("\n") if line.startswith(name)]
    wanted = [f'{name}{{{labels},le="{bound}"}}' for bound in bounds]
    assert [line for line in found if labels in line] == wanted


def read_metrics(url: str) -> dict[str, float]:
    """Values by name and labels."""
    page = ask(url, "GET", "/metrics").body.decode()
    lines = [line for line in page.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
