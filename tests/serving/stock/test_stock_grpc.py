"""The local server answers over gRPC as TensorFlow Serving 2.20.0 does: the tables, row by row."""

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tests.serving.stock import (
    deviations,
    grpc_classify_cases,
    grpc_model_cases,
    grpc_multi_inference_cases,
    grpc_predict_cases,
    grpc_regress_cases,
    grpc_signature_cases,
    grpc_tensor_cases,
)
from tests.serving.stock.asking import call
from tests.serving.stock.case import GrpcCase

TABLES = (
    grpc_predict_cases,
    grpc_signature_cases,
    grpc_tensor_cases,
    grpc_model_cases,
    grpc_classify_cases,
    grpc_regress_cases,
    grpc_multi_inference_cases,
)
CASES = [case for table in TABLES for case in table.CASES]
REQUESTS = {
    "Predict": predict_pb2.PredictRequest,
    "Classify": classification_pb2.ClassificationRequest,
    "Regress": regression_pb2.RegressionRequest,
    "MultiInference": inference_pb2.MultiInferenceRequest,
    "GetModelMetadata": get_model_metadata_pb2.GetModelMetadataRequest,
    "GetModelStatus": get_model_status_pb2.GetModelStatusRequest,
}


@pytest.fixture(scope="module")
def channel(stock_server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(stock_server.grpc_address) as opened:
        yield opened


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_grpc_answer_is_that_of_the_table(channel, case: GrpcCase):
    is_status = case.method == "GetModelStatus"
    stub = (
        model_service_pb2_grpc.ModelServiceStub(channel)
        if is_status
        else prediction_service_pb2_grpc.PredictionServiceStub(channel)
    )
    request = text_format.Parse(case.request, REQUESTS[case.method]())
    outcome = call(getattr(stub, case.method), request)
    if case.id in deviations.GRPC:
        code, error, _ = deviations.GRPC[case.id]
        assert outcome.code == code
        assert error in outcome.details
        return
    assert outcome.code == case.code, outcome
    assert case.error in outcome.details
    if case.response is not None:
        # As text: a value that is not a number equals itself there.
        response = outcome.response
        assert str(response) == str(text_format.Parse(case.response, type(response)()))
