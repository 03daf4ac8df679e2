"""Warm-up, metrics, configuration that changes while it runs, limits, TLS."""

import time
import urllib.request

import grpc
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import (
    model_management_pb2,
    model_service_pb2_grpc,
    prediction_log_pb2,
)

from serving import errors
from serving.client.rest_client import RestClient
from serving.local_server import LocalServer
from serving.server.config_messages import SSLConfig
from serving.server.flags import parse_flags
from serving.server.metrics import DEFAULT_PATH, Metrics
from serving.server.model_config import LoadSettings, ModelSettings
from serving.server.models import ServedModel


def write_warmup(version, texts, *, signature_name="serving_default"):
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = signature_name
    request.inputs["text"].CopyFrom(tf.make_tensor_proto(texts))
    folder = version / "assets.extra"
    folder.mkdir()
    with tf.io.TFRecordWriter(str(folder / "tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())


def state_of(model, version):
    (entry,) = [entry for entry in model.list_versions() if entry.version == version]
    return entry


def test_a_version_answers_its_warm_up_requests_first(publish, tmp_path):
    write_warmup(publish(tmp_path, 1, "one"), [b"a", b"b"])
    counted = Metrics()
    model = ServedModel(ModelSettings("demo", tmp_path), metrics=counted)
    model.poll()
    assert state_of(model, 1).state == "AVAILABLE"
    assert b":tensorflow:serving:model_warmup_latency_count" in counted.render()
    model.close()


def test_a_version_that_fails_a_warm_up_request_is_not_served(publish, tmp_path):
    write_warmup(publish(tmp_path, 1, "one"), [b"a"], signature_name="no such signature")
    (publish(tmp_path, 2, "two") / "assets.extra").mkdir()
    broken = tmp_path / "2" / "assets.extra" / "tf_serving_warmup_requests"
    broken.write_bytes(b"no records " * 10)
    settings = ModelSettings("demo", tmp_path, serves_all_versions=True)
    model = ServedModel(settings)
    model.poll()
    assert state_of(model, 1).state == state_of(model, 2).state == "END"
    assert "warm-up request 1 failed" in state_of(model, 1).error.message
    assert state_of(model, 2).error.code == "DATA_LOSS"
    careless = ServedModel(settings, loading=LoadSettings(warms_up=False))
    careless.poll()
    assert state_of(careless, 1).state == "AVAILABLE"
    careless.close()


def test_a_version_that_leads_out_of_the_base_path_is_refused(publish, tmp_path):
    publish(tmp_path / "elsewhere", 1, "one")
    base = tmp_path / "base"
    publish(base / "..data", 2, "two")
    (base / "1").symlink_to(tmp_path / "elsewhere" / "1")
    (base / "2").symlink_to(base / "..data" / "2")  # as volumes of Kubernetes are laid out
    model = ServedModel(ModelSettings("demo", base, serves_all_versions=True))
    model.poll()
    assert "a version must lie in its base path" in state_of(model, 1).error.message
    assert state_of(model, 2).state == "AVAILABLE"
    model.close()


def test_a_version_is_tried_again_so_often(tmp_path, caplog):
    (tmp_path / "1").mkdir()
    loading = LoadSettings(max_num_load_retries=2, load_retry_interval_seconds=0.0)
    model = ServedModel(ModelSettings("demo", tmp_path), loading=loading)
    for _ in range(6):
        model.poll()
    assert state_of(model, 1).num_attempts == 3


def test_metrics_are_where_the_configuration_says(publish, tmp_path):
    publish(tmp_path, 1, "one")
    with LocalServer(
        [ModelSettings("demo", tmp_path)], rest_api_port=0, metrics_path=DEFAULT_PATH
    ) as server:
        with RestClient(server.rest_url, model_name="demo") as client:
            client.predict_texts(["a"])
            client.predict_texts(["b"])
            with pytest.raises(errors.InvalidArgumentError):
                client.predict(inputs={"other": ["a"]})
        with urllib.request.urlopen(server.rest_url + DEFAULT_PATH) as answer:
            text = answer.read().decode()
    assert "# TYPE :tensorflow:serving:request_count counter" in text
    assert ':tensorflow:serving:request_count{model_name="demo",status="OK"} 2' in text
    assert 'request_count{model_name="demo",status="INVALID_ARGUMENT"} 1' in text
    labels = 'model_name="demo",API="predict",entrypoint="REST"'
    assert f":tensorflow:serving:request_latency_count{{{labels}}} 2" in text
    assert f'request_latency_bucket{{{labels},le="+Inf"}} 2' in text
    assert "load_attempt_count{model_path=" in text


def reload(address, text):
    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(text, request.config)
    with grpc.insecure_channel(address) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        return stub.HandleReloadConfigRequest(request, 30)


def config_named(name, base_path):
    return f'name: "{name}" base_path: "{base_path}" model_platform: "tensorflow"'


def config_of(*models):
    return "model_config_list {" + "".join(f"config {{ {model} }}" for model in models) + "}"


def test_models_and_labels_change_while_requests_run(publish, tmp_path):
    for version, mark in ((1, "one"), (2, "two")):
        publish(tmp_path / "a", version, mark)
        publish(tmp_path / "b", version, mark)
    a, b = (config_named(name, tmp_path / name) for name in "ab")
    both = "model_version_policy { all {} }"
    with LocalServer(
        [ModelSettings("a", tmp_path / "a")],
        port=0,
        rest_api_port=0,
        allow_version_labels_for_unavailable_models=False,
    ) as server:
        with RestClient(server.rest_url, model_name="a", label="stable") as client:
            with pytest.raises(errors.InvalidArgumentError, match="Unrecognized servable version"):
                client.predict_texts(["x"])
            stable = 'version_labels { key: "stable" value: 1 }'
            # As in TensorFlow Serving labels come before versions: the version is loaded first.
            with pytest.raises(grpc.RpcError, match="not currently available"):
                reload(server.grpc_address, config_of(f"{a} {both} {stable}", b))
            reload(server.grpc_address, config_of(f"{a} {both}", b))
            answer = reload(server.grpc_address, config_of(f"{a} {both} {stable}", b))
            assert answer.status.error_code == 0
            assert client.predict_texts(["x"])[0]["label"] == "one"
            gone = 'version_labels { key: "stable" value: 9 }'
            with pytest.raises(grpc.RpcError, match="not currently available") as raised:
                reload(server.grpc_address, config_of(f"{a} {both} {gone}", b))
            assert raised.value.code() == grpc.StatusCode.FAILED_PRECONDITION
            assert client.predict_texts(["x"])[0]["label"] == "one", "as before"
        with RestClient(server.rest_url, model_name="b") as client:
            assert client.predict_texts(["x"])[0]["label"] == "two"
            reload(server.grpc_address, config_of(a))
            with pytest.raises(errors.NotFoundError):
                client.predict_texts(["x"])
        with RestClient(server.rest_url, model_name="a") as client:
            elsewhere = config_named("a", "not/absolute")
            with pytest.raises(grpc.RpcError, match="to have an absolute path"):
                reload(server.grpc_address, config_of(elsewhere))
            reload(server.grpc_address, config_of(config_named("a", tmp_path / "missing")))
            assert client.predict_texts(["x"])[0]["label"] == "two", "what is loaded stays"
            broken = tmp_path / "broken" / "1"
            broken.mkdir(parents=True)
            with pytest.raises(grpc.RpcError, match="did not become available") as raised:
                reload(server.grpc_address, config_of(a, config_named("c", broken.parent)))
            assert raised.value.code() == grpc.StatusCode.UNKNOWN
            reload(server.grpc_address, "model_config_list {}")
            with pytest.raises(errors.NotFoundError):
                client.predict_texts(["x"])


def test_a_configuration_file_is_looked_at_again(publish, tmp_path):
    publish(tmp_path / "a", 1, "one")
    publish(tmp_path / "b", 1, "two")
    path = tmp_path / "models.config"
    models = [config_named(name, tmp_path / name) for name in "ab"]
    path.write_text(config_of(models[0]))
    flags = parse_flags([f"--model_config_file={path}"])
    with LocalServer(
        flags.models,
        rest_api_port=0,
        model_config_file=str(path),
        model_config_file_poll_wait_seconds=0.05,
    ) as server:
        path.write_text("model_config_list { nonsense")
        time.sleep(0.2)
        with RestClient(server.rest_url, model_name="a") as client:
            assert client.predict_texts(["x"])[0]["label"] == "one"
        path.write_text(config_of(*models))
        with RestClient(server.rest_url, model_name="b") as client:
            client.wait_until_available(20)


def test_a_label_of_a_version_that_is_not_there_ends_the_start(publish, tmp_path):
    publish(tmp_path, 1, "one")
    settings = ModelSettings("demo", tmp_path, version_labels={"stable": 7})
    server = LocalServer(
        [settings], rest_api_port=0, allow_version_labels_for_unavailable_models=False
    )
    with pytest.raises(errors.FailedPreconditionError, match="label to version 7"):
        server.start()


def test_configuration_files_are_read(tmp_path):
    files = {
        "batching": "max_batch_size { value: 4 } allowed_batch_sizes: 2 allowed_batch_sizes: 4",
        "monitoring": 'prometheus_config { enable: true path: "/metrics" }',
        "ssl": 'server_key: "KEY" server_cert: "CERT"',
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    flags = parse_flags(
        [
            "--model_base_path=x",
            "--enable_batching=true",
            f"--batching_parameters_file={tmp_path / 'batching'}",
            f"--monitoring_config_file={tmp_path / 'monitoring'}",
            f"--ssl_config_file={tmp_path / 'ssl'}",
            "--enable_model_warmup=false",
        ]
    )
    assert flags.loading.batching.allowed_batch_sizes == (2, 4)
    assert flags.metrics_path == "/metrics"
    assert flags.tls == SSLConfig(server_key="KEY", server_cert="CERT")
    assert not flags.loading.warms_up
