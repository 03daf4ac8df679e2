"""Warm-up files, as TensorFlow Serving 2.20.0 takes and refuses them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import error_codes_pb2
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    prediction_log_pb2,
)

from serving.local_server import LocalServer
from serving.server.model_config import LoadSettings, ModelSettings
from tests.serving.stock.asking import call
from tests.serving.stock.config_text import config, model
from tests.serving.stock.warmup_cases import CASES, WarmupCase


@pytest.fixture(scope="module")
def address(tmp_path_factory, stock_models) -> Iterator[str]:
    """A server that was told to load a model for each case, and does not try twice."""
    root, models = tmp_path_factory.mktemp("warmup"), []
    for index, case in enumerate(CASES):
        version = root / str(index) / "1"
        shutil.copytree(stock_models[case.model] / "1", version)
        if case.has_file:
            write_warmup(version / "assets.extra" / "tf_serving_warmup_requests", case)
        models.append(model(str(version.parent), f"case{index}"))
    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(config(*models), request)
    with LocalServer(
        [ModelSettings("first", stock_models["float"])],
        port=0,
        file_system_poll_wait_seconds=0,
        loading=LoadSettings(max_num_load_retries=0),
    ) as server:
        with grpc.insecure_channel(server.grpc_address) as channel:
            service = model_service_pb2_grpc.ModelServiceStub(channel)
            # Not every model loads.
            assert call(service.HandleReloadConfigRequest, request).code == "UNKNOWN"
        yield server.grpc_address


def write_warmup(path: Path, case: WarmupCase) -> None:
    path.parent.mkdir()
    if case.content is not None:
        path.write_bytes(case.content)
        return
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in case.records:
            writer.write(record if isinstance(record, bytes) else serialize(record))


def serialize(text: str) -> bytes:
    return text_format.Parse(text, prediction_log_pb2.PredictionLog()).SerializeToString()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_version_loads_with_the_files_of_the_table(address, case: WarmupCase):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = f"case{CASES.index(case)}"
    with grpc.insecure_channel(address) as channel:
        service = model_service_pb2_grpc.ModelServiceStub(channel)
        (entry,) = service.GetModelStatus(request, timeout=30).model_version_status
    state = get_model_status_pb2.ModelVersionStatus.State.Name(entry.state)
    assert state == ("AVAILABLE" if case.code == "OK" else "END"), entry
    assert error_codes_pb2.Code.Name(entry.status.error_code) == case.code, entry
    assert case.error in entry.status.error_message
