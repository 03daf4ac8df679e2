"""The files for production are what TensorFlow Serving, Kubernetes and Compose read."""

import re
from pathlib import Path

import kubernetes_validate
import numpy as np
import pytest
import yaml

from bert_tf.exporting.models_config import CONFIG_FILE, CONFIG_FOLDER
from bert_tf.exporting.rollout import MAX_LOADED, STABLE
from bert_tf.exporting.stock_batching import BatchRefusedError, StockBatching
from serving.server.batching import BatchingSettings
from serving.server.config_messages import (
    BatchingParameters,
    MonitoringConfig,
    SSLConfig,
    read_message,
)
from serving.server.flags import parse_flags
from serving.server.metrics import DEFAULT_PATH

FOLDER = Path(__file__).parents[2] / "serving" / "production"
MANIFESTS = sorted((FOLDER / "kubernetes").glob("*.yaml"))
MODEL = "classifier"
READY_PATH = f"/v1/models/{MODEL}/labels/{STABLE}/metadata"
MODELS_CONFIG = """model_config_list { config {
  name: "classifier" base_path: "/models/classifier" model_platform: "tensorflow"
  model_version_policy { specific { versions: 6 versions: 7 } }
  version_labels { key: "stable" value: 7 }
} }"""


def read_yaml(path: Path) -> list[dict]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def manifest(name: str) -> dict:
    (document,) = read_yaml(FOLDER / "kubernetes" / f"{name}.yaml")
    return document


def pod() -> dict:
    return manifest("deployment")["spec"]["template"]["spec"]


def server() -> dict:
    (container,) = pod()["containers"]
    return container


def compose_service(name: str) -> dict:
    (compose,) = read_yaml(FOLDER / "docker-compose.yaml")
    return compose["services"][name]


def image_arguments() -> list[str]:
    text = (FOLDER / "Dockerfile").read_text()
    return re.findall(r'"(--[^"]+)"', text[text.index("CMD") :])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("batching.config", BatchingParameters),
        ("monitoring.config", MonitoringConfig),
        ("ssl.config.example", SSLConfig),
    ],
)
def test_they_parse_as_the_messages_of_their_flags(name, kind) -> None:
    assert read_message(FOLDER / name, kind, flag="--x").ListFields()


def test_they_are_what_the_server_takes() -> None:
    message = read_message(FOLDER / "batching.config", BatchingParameters, flag="--x")
    assert BatchingSettings.from_message(message).max_batch_size == 32
    message = read_message(FOLDER / "monitoring.config", MonitoringConfig, flag="--x")
    assert message.prometheus_config.path == DEFAULT_PATH


def test_no_request_ends_a_server_that_batches() -> None:
    message = read_message(FOLDER / "batching.config", BatchingParameters, flag="--x")
    batching = StockBatching(
        pad_variable_length_inputs=message.pad_variable_length_inputs,
        allowed_batch_sizes=tuple(message.allowed_batch_sizes),
    )
    texts = {"text": np.array([b"a", b"b", b"c"], object)}
    empty = {"text": np.array([], object)}
    for requests in ([texts, empty], [empty, texts], [empty]):
        merged = batching.merge(requests)
        assert len(merged["text"]) == sum(len(request["text"]) for request in requests)
    for wrong in (np.array([[b"a"]], object), np.array([[b"a", b"b"]], object)):
        for requests in ([texts, {"text": wrong}], [{"text": wrong}, texts]):
            with pytest.raises(BatchRefusedError) as refused:
                batching.merge(requests)
            assert "ends the server" not in str(refused.value)


@pytest.mark.parametrize("source", ["image", "deployment"])
def test_the_arguments_are_flags_that_tensorflow_model_server_has(source, tmp_path) -> None:
    arguments = image_arguments() if source == "image" else server()["args"]
    (tmp_path / CONFIG_FOLDER).mkdir()
    (tmp_path / CONFIG_FOLDER / CONFIG_FILE).write_text(MODELS_CONFIG)
    places = {"=/config/": f"={FOLDER}/", "=/models/": f"={tmp_path}/"}
    local = arguments
    for there, here in places.items():
        local = [argument.replace(there, here) for argument in local]
    flags = parse_flags(local)
    assert flags.loading.batching is not None
    assert flags.metrics_path == DEFAULT_PATH
    assert flags.models[0].version_labels == {STABLE: 7}
    assert flags.allow_version_labels_for_unavailable_models, "else none starts with a label"
    ports = {port["name"]: port["containerPort"] for port in server()["ports"]}
    assert (flags.port, flags.rest_api_port) == (ports["grpc"], ports["rest"])
    mounted = {mount["mountPath"] for mount in server()["volumeMounts"]}
    for argument in server()["args"]:
        value = argument.partition("=")[2]
        assert not value.startswith("/") or f"/{Path(value).parts[1]}" in mounted, argument


@pytest.mark.parametrize("source", ["image", "deployment"])
def test_requests_that_wait_for_a_batch_have_threads_to_fill_it(source) -> None:
    message = read_message(FOLDER / "batching.config", BatchingParameters, flag="--x")
    batching = BatchingSettings.from_message(message)
    needed = (batching.num_batch_threads + 1) * batching.max_batch_size
    arguments = image_arguments() if source == "image" else server()["args"]
    assert f"--rest_api_num_threads={needed}" in arguments
    assert f"--grpc_max_threads={needed}" in arguments


def test_labels_stand_on_the_models_volume_alone() -> None:
    path = f"/models/{CONFIG_FOLDER}/{CONFIG_FILE}"
    for arguments in (image_arguments(), server()["args"]):
        assert f"--model_config_file={path}" in arguments
        (poll,) = [a for a in arguments if a.startswith("--model_config_file_poll_wait_seconds=")]
        assert int(poll.partition("=")[2]) == 10
    for file in (path for path in FOLDER.rglob("*") if path.is_file()):
        text = file.read_text()
        assert "version_labels {" not in text, f"{file}: applying it would move a label"
        assert not re.search(r"models\.config:/", text), f"{file}: a mount of a file goes stale"
    (mount,) = [m for m in server()["volumeMounts"] if m["mountPath"] == "/models"]
    assert mount == {"name": "models", "mountPath": "/models", "readOnly": True}, "no subPath"
    models, *_ = compose_service("serving")["volumes"]
    assert models.endswith("}:/models:ro")


@pytest.mark.parametrize("version", ["1.28", "1.35"])
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_the_manifests_fit_the_schemas_of_kubernetes(path: Path, version: str) -> None:
    for document in read_yaml(path):
        kubernetes_validate.validate(document, version, strict=True)


def test_a_field_that_kubernetes_does_not_have_is_found() -> None:
    wrong = manifest("deployment")
    wrong["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(wrong, "1.35", strict=True)


def test_the_manifests_belong_together() -> None:
    (kustomization,) = read_yaml(FOLDER / "kustomization.yaml")
    apart = {"namespace", "persistent-volume-claim", "publisher"}
    assert sorted(kustomization["resources"]) == sorted(
        f"kubernetes/{path.name}" for path in MANIFESTS if path.stem not in apart
    )
    namespace = manifest("namespace")["metadata"]["name"]
    assert kustomization["namespace"] == namespace
    for name in apart - {"namespace"}:
        assert manifest(name)["metadata"]["namespace"] == namespace
    deployment = manifest("deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert manifest("pod-disruption-budget")["spec"]["selector"]["matchLabels"] == labels
    for service in read_yaml(FOLDER / "kubernetes" / "service.yaml"):
        assert service["spec"]["selector"] == labels
        named = {port["name"] for port in server()["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named
    (generated,) = kustomization["configMapGenerator"]
    (config,) = [v for v in pod()["volumes"] if "configMap" in v]
    assert config["configMap"]["name"] == generated["name"]
    assert all((FOLDER / name).is_file() for name in generated["files"])
    mounted = {mount["name"] for mount in server()["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod()["volumes"]}


def test_the_autoscaler_alone_has_the_number_of_pods() -> None:
    deployment, scaler = manifest("deployment"), manifest("horizontal-pod-autoscaler")
    assert "replicas" not in deployment["spec"]
    target = scaler["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert scaler["spec"]["minReplicas"] > manifest("pod-disruption-budget")["spec"]["minAvailable"]


def test_many_nodes_read_the_volume_and_one_pod_writes_it() -> None:
    claim, publisher = manifest("persistent-volume-claim"), manifest("publisher")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for spec, is_read_only in ((pod(), True), (publisher["spec"], False)):
        (volume,) = [v for v in spec["volumes"] if "persistentVolumeClaim" in v]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert volume["persistentVolumeClaim"].get("readOnly", False) is is_read_only
        (container,) = spec["containers"]
        (mount,) = [m for m in container["volumeMounts"] if m["name"] == volume["name"]]
        assert mount.get("readOnly", False) is is_read_only
    users = [spec["securityContext"]["runAsUser"] for spec in (pod(), publisher["spec"])]
    assert users[0] == users[1]


def test_sigterm_ends_the_server_after_its_clients_have_left() -> None:
    """It has no handler: as process 1 it ignores SIGTERM, as another one it ends at once."""
    assert pod()["shareProcessNamespace"] is True
    assert compose_service("serving")["init"] is True
    ((_, seconds),) = [server()["lifecycle"]["preStop"]["exec"]["command"]]
    flags = dict(a.removeprefix("--").partition("=")[::2] for a in server()["args"])
    age = flags["grpc_channel_arguments"].removeprefix("grpc.max_connection_age_ms=")
    # gRPC ends a connection up to a tenth later than it is told to.
    longest_ms = max(1.1 * int(age), int(flags["rest_api_timeout_in_ms"]))
    assert int(seconds) * 1000 >= longest_ms + 5000, "and some seconds until all nodes know"
    assert pod()["terminationGracePeriodSeconds"] >= int(seconds) + 10


def test_a_pod_is_ready_when_the_labelled_version_answers() -> None:
    assert server()["readinessProbe"]["httpGet"] == {"path": READY_PATH, "port": "rest"}
    assert f"GET {READY_PATH} HTTP" in compose_service("serving")["healthcheck"]["test"][-1]
    status = server()["startupProbe"]
    assert status["httpGet"]["path"] == f"/v1/models/{MODEL}", "a lost label restarts no pod"
    assert status["periodSeconds"] * status["failureThreshold"] >= 300


def test_the_memory_limit_bears_the_versions_that_may_be_loaded() -> None:
    """The sum of docs/operations.md, `What a server needs`."""
    operations = (FOLDER.parents[1] / "docs" / "operations.md").read_text()
    number = r"([\d.]+)"
    found = re.search(
        rf"{number} GB \+ {number} × {number} GB \+ {number} × {number} GB = {number} GB",
        operations,
    )
    assert found is not None
    server_gb, versions, version_gb, threads, batch_gb, total_gb = map(float, found.groups())
    batching = read_message(FOLDER / "batching.config", BatchingParameters, flag="--x")
    assert versions == MAX_LOADED
    assert threads == batching.num_batch_threads.value
    assert total_gb == pytest.approx(
        server_gb + MAX_LOADED * version_gb + threads * batch_gb, abs=0.051
    )
    limit = server()["resources"]["limits"]["memory"]
    assert limit == server()["resources"]["requests"]["memory"]
    assert total_gb * 1e9 < float(limit.removesuffix("Gi")) * 2**30
    assert compose_service("serving")["mem_limit"] == f"{limit.removesuffix('Gi')}g"


def test_compose_names_files_that_are_there() -> None:
    (compose,) = read_yaml(FOLDER / "docker-compose.yaml")
    for name, service in compose["services"].items():
        assert ("image" in service) != ("build" in service), name
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert source.startswith("${MODELS") or (FOLDER / source).is_file(), volume
        for port in service["ports"]:
            assert port.startswith("127.0.0.1:"), "on loopback unless somebody says otherwise"
    (prometheus,) = read_yaml(FOLDER / "prometheus.yaml")
    (scrape,) = prometheus["scrape_configs"]
    assert scrape["metrics_path"] == DEFAULT_PATH
    (target,) = scrape["static_configs"][0]["targets"]
    assert target.split(":")[0] in compose["services"]


def test_the_publishers_image_holds_what_its_installation_needs() -> None:
    text = (FOLDER / "Dockerfile.publisher").read_text()
    root = FOLDER.parents[1]
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (root / source).exists(), source
    setup = (root / "setup.cfg").read_text()
    for named in re.findall(r"^(?:long_description = file: |license_files = )(.+)$", setup, re.M):
        assert named in text, f"setup.cfg needs {named}"
