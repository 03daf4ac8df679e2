"""What requests add to the metrics: lines of the page, by name and labels, and by how much."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tests.serving.stock.grpc_text import examples, floats, inputs, spec

HTTP = "model_servers/http_server.cc ProcessRequest"
GRPC = "model_servers/prediction_service_impl.cc"
UTIL = "servables/tensorflow/util.cc"
PAGE = "util/prometheus_exporter_test.cc PrometheusExporterTest"
COUNT, LATENCY = ":tensorflow:serving:request_count", ":tensorflow:serving:request_latency_count"
RUNTIME = ":tensorflow:serving:runtime_latency_count"
PREDICT, ONE = "/v1/models/published:predict", b'{"instances": [1.0]}'
EXAMPLES = b'{"signature_name": "%s", "examples": [{"x": 1.0}]}'
X = inputs(x="dtype: DT_FLOAT float_val: 2")


@dataclasses.dataclass(frozen=True)
class MetricCase:
    """A request over REST or gRPC, and what it adds."""

    id: str
    source: str
    adds: Mapping[str, int]
    rest: tuple[str, str, bytes] | None = None
    """Method, path and body."""
    grpc: tuple[str, str] | None = None
    """Method and request in text form."""


def counted(model: str, status: str = "OK") -> str:
    return f'{COUNT}{{model_name="{model}",status="{status}"}}'


def timed(model: str, api: str, entrypoint: str) -> str:
    return f'{LATENCY}{{model_name="{model}",API="{api}",entrypoint="{entrypoint}"}}'


def ran(model: str, api: str) -> str:
    return f'{RUNTIME}{{model_name="{model}",API="{api}",runtime="TF1"}}'


CASES = [
    MetricCase(
        "a prediction over REST",
        HTTP,
        {counted("published"): 1, timed("published", "predict", "REST"): 1},
        rest=("POST", PREDICT, ONE),
    ),
    MetricCase(
        "a classification over REST",
        HTTP,
        {counted("published"): 1, timed("published", "classify", "REST"): 1},
        rest=("POST", "/v1/models/published:classify", EXAMPLES % b"classify_x_to_y"),
    ),
    MetricCase(
        "a regression over REST",
        HTTP,
        {counted("published"): 1, timed("published", "regress", "REST"): 1},
        rest=("POST", "/v1/models/published:regress", EXAMPLES % b"regress_x_to_y"),
    ),
    MetricCase(
        "a body that is no JSON",
        HTTP,
        {
            counted("published", "INVALID_ARGUMENT"): 1,
            timed("published", "predict", "REST"): 0,
            ran("published", "Predict"): 0,
        },
        rest=("POST", PREDICT, b"{"),
    ),
    MetricCase(
        "the status of a model",
        HTTP,
        {counted("published"): 1, timed("published", "", "REST"): 1},
        rest=("GET", "/v1/models/published", b""),
    ),
    MetricCase(
        "metadata of a model",
        HTTP,
        {counted("published"): 1, timed("published", "", "REST"): 1},
        rest=("GET", "/v1/models/published/metadata", b""),
    ),
    MetricCase(
        "an unknown model",
        HTTP,
        {counted("none", "NOT_FOUND"): 1, timed("none", "predict", "REST"): 0},
        rest=("POST", "/v1/models/none:predict", ONE),
    ),
    MetricCase(
        "a path that is not known",
        HTTP,
        {counted("", "INVALID_ARGUMENT"): 1},
        rest=("POST", "/v1/foo", ONE),
    ),
    MetricCase(
        "a path outside",
        f"{HTTP} and RestApiRequestDispatcher.Dispatch",
        {counted("", "NOT_FOUND"): 0, counted("", "INVALID_ARGUMENT"): 0},
        rest=("GET", "/index", b""),
    ),
    MetricCase(
        "a name with a quotation mark and a backslash",
        f"{PAGE}.SanitizeLabelValue",
        {counted(r"a\"b\\c", "NOT_FOUND"): 1},
        rest=("GET", "/v1/models/a%22b%5Cc", b""),
    ),
    MetricCase(
        "a prediction over gRPC",
        f"{GRPC} and {UTIL} RecordRuntimeLatency",
        {
            counted("published"): 1,
            timed("published", "Predict", "GRPC"): 1,
            ran("published", "Predict"): 1,
        },
        grpc=("Predict", spec("published") + X),
    ),
    MetricCase(
        "a prediction over gRPC that fails",
        GRPC,
        {counted("published", "INVALID_ARGUMENT"): 1, timed("published", "Predict", "GRPC"): 0},
        grpc=("Predict", spec("published")),
    ),
    MetricCase(
        "a classification over gRPC",
        f"{GRPC} and {UTIL} RecordRuntimeLatency",
        {
            counted("published"): 1,
            timed("published", "Classify", "GRPC"): 1,
            ran("published", "Classify"): 1,
        },
        grpc=("Classify", spec("published", "classify_x_to_y") + examples(floats(x=1))),
    ),
    MetricCase(
        "a regression over gRPC",
        f"{GRPC} and {UTIL} RecordRuntimeLatency",
        {
            counted("published"): 1,
            timed("published", "Regress", "GRPC"): 1,
            ran("published", "Regress"): 1,
        },
        grpc=("Regress", spec("published", "regress_x_to_y") + examples(floats(x=1))),
    ),
    MetricCase(
        "examples of several inferences, which are not counted as a request",
        f"servables/tensorflow/multi_inference.cc, {UTIL} RecordRequestExampleCount and {GRPC}",
        {
            counted("published"): 0,
            ':tensorflow:serving:request_example_count_total{model="published"}': 3,
            ':tensorflow:serving:request_example_counts_count{model="published"}': 1,
        },
        grpc=(
            "MultiInference",
            "tasks { "
            + spec("published", "regress_x_to_y")
            + ' method_name: "tensorflow/serving/regress" } '
            + examples(*[floats(x=1)] * 3),
        ),
    ),
]
