"""The files for production are what TensorFlow Serving, Kubernetes and Compose read."""

import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from tensorflow_serving.config import model_server_config_pb2

from serving.server.batching import BatchingSettings
from serving.server.config_messages import (
    BatchingParameters,
    MonitoringConfig,
    SSLConfig,
    read_message,
)
from serving.server.flags import parse_flags
from serving.server.metrics import DEFAULT_PATH
from serving.server.model_config import read_model_config_file

FOLDER = Path(__file__).parents[2] / "serving" / "production"
MANIFESTS = sorted((FOLDER / "kubernetes").glob("*.yaml"))


def read_yaml(path: Path) -> list[dict]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def manifest(name: str) -> dict:
    (document,) = read_yaml(FOLDER / "kubernetes" / f"{name}.yaml")
    return document


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("models.config", model_server_config_pb2.ModelServerConfig),
        ("batching.config", BatchingParameters),
        ("monitoring.config", MonitoringConfig),
        ("ssl.config.example", SSLConfig),
    ],
)
def test_they_parse_as_the_messages_of_their_flags(name, kind) -> None:
    assert read_message(FOLDER / name, kind, flag="--x").ListFields()


def test_they_are_what_the_server_takes() -> None:
    (model,) = read_model_config_file(FOLDER / "models.config")
    assert (model.name, model.version_labels) == ("classifier", {"stable": 1})
    assert model.serves_all_versions, "a label's version is loaded before the label moves"
    message = read_message(FOLDER / "batching.config", BatchingParameters, flag="--x")
    settings = BatchingSettings.from_message(message)
    assert settings.allowed_batch_sizes[-1] == settings.max_batch_size
    message = read_message(FOLDER / "monitoring.config", MonitoringConfig, flag="--x")
    assert message.prometheus_config.path == DEFAULT_PATH


def image_arguments() -> list[str]:
    text = (FOLDER / "Dockerfile").read_text()
    return re.findall(r'"(--[^"]+)"', text[text.index("CMD") :])


def pod() -> dict:
    return manifest("deployment")["spec"]["template"]["spec"]


@pytest.mark.parametrize("source", ["image", "deployment"])
def test_the_arguments_are_flags_that_tensorflow_model_server_has(source) -> None:
    arguments = image_arguments() if source == "image" else pod()["containers"][0]["args"]
    local = [argument.replace("/config/", f"{FOLDER}/") for argument in arguments]
    flags = parse_flags(local)
    assert flags.loading.batching is not None
    assert flags.metrics_path == DEFAULT_PATH
    ports = {port["name"]: port["containerPort"] for port in pod()["containers"][0]["ports"]}
    assert (flags.port, flags.rest_api_port) == (ports["grpc"], ports["rest"])


def test_pods_see_the_files_of_the_folder() -> None:
    data = manifest("config-map")["data"]
    assert set(data) == {"models.config", "batching.config", "monitoring.config"}
    for name, text in data.items():
        assert text == (FOLDER / name).read_text(), f"{name}: write the config map anew"


@pytest.mark.parametrize("version", ["1.28", "1.35"])
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_the_manifests_fit_the_schemas_of_kubernetes(path: Path, version: str) -> None:
    for document in read_yaml(path):
        if document["kind"] != "Kustomization":  # of a tool, not of the cluster
            kubernetes_validate.validate(document, version, strict=True)


def test_a_field_that_kubernetes_does_not_have_is_found() -> None:
    wrong = manifest("deployment")
    wrong["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(wrong, "1.35", strict=True)


def test_the_manifests_belong_together() -> None:
    documents = [d for path in MANIFESTS for d in read_yaml(path)]
    for document in documents:
        assert {"apiVersion", "kind"} <= set(document)
    resources = manifest("kustomization")["resources"]
    assert sorted(resources) == [p.name for p in MANIFESTS if p.name != "kustomization.yaml"]
    deployment = manifest("deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert manifest("pod-disruption-budget")["spec"]["selector"]["matchLabels"] == labels
    for service in read_yaml(FOLDER / "kubernetes" / "service.yaml"):
        assert service["spec"]["selector"] == labels
        named = {port["name"] for port in pod()["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named
    target = manifest("horizontal-pod-autoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    (config,) = [v for v in pod()["volumes"] if "configMap" in v]
    assert config["configMap"]["name"] == manifest("config-map")["metadata"]["name"]
    mounted = {mount["name"] for mount in pod()["containers"][0]["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod()["volumes"]}


def test_a_pod_is_ready_when_the_model_answers() -> None:
    (model,) = read_model_config_file(FOLDER / "models.config")
    probe = pod()["containers"][0]["readinessProbe"]["httpGet"]
    assert probe == {"path": f"/v1/models/{model.name}/metadata", "port": "rest"}


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
