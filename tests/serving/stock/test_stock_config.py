"""Reloads of the configuration and version directories, as TensorFlow Serving 2.20.0 takes them."""

import contextlib
import gc
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import text_format
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import error_codes_pb2
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.errors import NotFoundError
from serving.local_server import LocalServer
from serving.server.model_config import LoadSettings, ModelSettings
from tests.serving.stock import (
    config_cases,
    config_error_cases,
    config_label_cases,
    version_cases,
)
from tests.serving.stock.asking import Outcome, call
from tests.serving.stock.config_text import RESET, ConfigCase, config, model, policy
from tests.serving.stock.version_cases import VersionCase

CONFIG_CASES = [
    *config_cases.CASES,
    *config_label_cases.CASES,
    *config_error_cases.CASES,
]
AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE
END = get_model_status_pb2.ModelVersionStatus.END


@pytest.fixture(scope="module", autouse=True)
def _quick_collections() -> Iterator[None]:
    """The server collects garbage when it unloads; what is imported is not looked through."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> Path:
    """A base path whose only version has no SavedModel in it."""
    base_path = tmp_path_factory.mktemp("broken")
    (base_path / "1").mkdir()
    return base_path


@pytest.fixture(scope="module")
def strict(stock_models) -> Iterator[LocalServer]:
    """A server whose labels stand for loaded versions alone, as they do by default."""
    with serve(stock_models["float"]) as server:
        yield server


@pytest.fixture(scope="module")
def free(stock_models) -> Iterator[LocalServer]:
    with serve(stock_models["float"], allows_unavailable_labels=True) as server:
        yield server


def serve(base_path: Path, *, allows_unavailable_labels: bool = False) -> LocalServer:
    return LocalServer(
        [ModelSettings("first", base_path)],
        port=0,
        allow_version_labels_for_unavailable_models=allows_unavailable_labels,
        file_system_poll_wait_seconds=0,
        loading=LoadSettings(max_num_load_retries=0),
    )


@pytest.mark.parametrize("case", CONFIG_CASES, ids=lambda case: case.id)
def test_reload_is_answered_as_the_table_says(request, stock_models, broken, case: ConfigCase):
    name = "free" if case.allows_unavailable_labels else "strict"
    server: LocalServer = request.getfixturevalue(name)
    paths = stock_models | {"broken": broken}
    with grpc.insecure_channel(server.grpc_address) as channel:
        service = model_service_pb2_grpc.ModelServiceStub(channel)
        for text in (RESET, *case.configs[:-1]):
            assert reload(service, text, paths).code == "OK", text
        outcome = reload(service, case.configs[-1], paths)
        assert outcome.code == case.code, outcome
        assert case.error in outcome.details
        if outcome.code == "OK":
            assert outcome.response.HasField("status")
            assert outcome.response.status.error_code == 0
        for name, versions in case.serves.items():
            assert read_versions(service, name, AVAILABLE) == versions, name
        for label, version in case.labels.items():
            assert ask_label(channel, label) == version, label


def reload(
    service: model_service_pb2_grpc.ModelServiceStub, text: str, paths: dict[str, Path]
) -> Outcome:
    for name, path in paths.items():
        text = text.replace(f"{{{name}}}", str(path))
    request = text_format.Parse(text, model_management_pb2.ReloadConfigRequest())
    return call(service.HandleReloadConfigRequest, request)


def read_versions(
    service: model_service_pb2_grpc.ModelServiceStub, name: str, state: int
) -> tuple[int, ...]:
    """Versions of a model in a state; none of a model that the server does not know."""
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    outcome = call(service.GetModelStatus, request)
    assert outcome.code in ("OK", "NOT_FOUND"), outcome
    entries = outcome.response.model_version_status if outcome.code == "OK" else ()
    return tuple(entry.version for entry in entries if entry.state == state)


def ask_label(channel: grpc.Channel, label: str) -> int | None:
    """The version of the model `m` that answers for a label; None for an unknown label."""
    outcome = ask(channel, "m", label=label)
    if outcome.code == "OK":
        return outcome.response.model_spec.version.value
    assert outcome.code == "INVALID_ARGUMENT"
    assert f"Unrecognized servable version label: {label}" in outcome.details
    return None


def ask(channel: grpc.Channel, name: str, *, label: str | None = None) -> Outcome:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    if label is not None:
        request.model_spec.version_label = label
    request.inputs["x"].dtype = types_pb2.DT_FLOAT
    request.inputs["x"].float_val.append(2.0)
    return call(prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict, request)


def test_unloaded_model_is_at_its_end(stock_models):
    """`ServerCoreTest.ReloadConfigUnloadsModels`: the status goes on telling of its versions."""
    with (
        serve(stock_models["float"]) as server,
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        service = model_service_pb2_grpc.ModelServiceStub(channel)
        assert read_versions(service, "first", AVAILABLE) == (1,)
        assert reload(service, RESET, stock_models).code == "OK"
        assert read_versions(service, "first", END) == (1,)


def test_metrics_that_are_asked_for_come_with_a_reload(stock_models):
    """`ModelServiceImpl::RecordMetricsIncrease`: every name is answered, an unknown one with 0."""
    with (
        serve(stock_models["float"]) as server,
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        service = model_service_pb2_grpc.ModelServiceStub(channel)
        text = RESET + 'metric_names: "/tensorflow/none"'
        (metric,) = reload(service, text, stock_models).response.metric
    assert (metric.name, metric.int64_value_increase) == ("/tensorflow/none", 0)


@pytest.fixture(scope="module")
def versions(tmp_path_factory, stock_models) -> Iterator[str]:
    """The address of a server with a model for each case of version directories."""
    root = tmp_path_factory.mktemp("versions")
    listed = []
    for index, case in enumerate(version_cases.CASES):
        base_path = root / str(index)
        for name in case.names:
            marked = name == case.served_from
            saved_model = stock_models["published" if marked else "float"] / "1"
            lay_out(base_path / name.rstrip("!?"), name, saved_model)
        listed.append(model(str(base_path), f"case{index}", policy(case.policy)))
    text = config(*listed)
    with serve(stock_models["float"]) as server:
        with grpc.insecure_channel(server.grpc_address) as channel:
            service = model_service_pb2_grpc.ModelServiceStub(channel)
            # Some cases are of versions that do not load.
            assert reload(service, text, {}).code in ("OK", "UNKNOWN")
        yield server.grpc_address


def lay_out(path: Path, name: str, saved_model: Path) -> None:
    """A SavedModel, an empty file or an empty directory; where it lies stands in its assets."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith("!"):
        path.touch()
    elif name.endswith("?"):
        path.mkdir()
    else:
        shutil.copytree(saved_model, path)


@pytest.mark.parametrize("case", version_cases.CASES, ids=lambda case: case.id)
def test_versions_are_those_of_the_table(versions, case: VersionCase):
    index = version_cases.CASES.index(case)
    with grpc.insecure_channel(versions) as channel:
        service = model_service_pb2_grpc.ModelServiceStub(channel)
        assert read_versions(service, f"case{index}", AVAILABLE) == case.available, case
        assert read_versions(service, f"case{index}", END) == case.failed, case
        if case.served_from:
            assert "y" in ask(channel, f"case{index}").response.outputs, case


def test_status_tells_why_a_version_does_not_load(versions):
    """TensorFlow's error for a directory without a SavedModel, as the state of the version."""
    index = next(i for i, c in enumerate(version_cases.CASES) if c.id == "the latest is empty")
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = f"case{index}"
    with grpc.insecure_channel(versions) as channel:
        service = model_service_pb2_grpc.ModelServiceStub(channel)
        (entry,) = call(service.GetModelStatus, request).response.model_version_status
    assert error_codes_pb2.Code.Name(entry.status.error_code) == "NOT_FOUND"
    assert "Could not find SavedModel .pb" in entry.status.error_message


def test_new_version_takes_over(tmp_path, stock_models):
    """`FilesAppearAfterStartup` and `AvailabilityPreservingPolicyTest.LoadsNewAspired`."""
    with watch(tmp_path, stock_models, "1") as look:
        assert look("2") == {2: "AVAILABLE", 1: "END"}


def test_new_version_that_fails_leaves_the_old_one(tmp_path, stock_models):
    """`AvailabilityPreservingPolicyTest.DoesNotUnloadWhenOtherInError`."""
    with watch(tmp_path, stock_models, "1") as look:
        assert look("2?") == {2: "END", 1: "AVAILABLE"}


def test_older_version_is_loaded_when_the_newest_is_removed(tmp_path, stock_models):
    """`ServableVersionDirRenamed`, with the latest version served."""
    with watch(tmp_path, stock_models, "1", "2") as look:
        assert look(removed="2") == {2: "END", 1: "AVAILABLE"}


def test_last_version_ends_when_its_directory_is_removed(tmp_path, stock_models):
    """`LastVersionNotRemoved`, without `servable_versions_always_present`."""
    with watch(tmp_path, stock_models, "42") as look:
        assert look(removed="42") == {42: "END"}


def test_versions_go_on_when_the_base_path_is_gone(tmp_path, stock_models):
    """`PollFileSystemForServable` reports a base path that is not there, and changes nothing."""
    with watch(tmp_path, stock_models, "1") as look:
        (tmp_path / "base").rename(tmp_path / "away")
        assert look() == {1: "AVAILABLE"}


def test_versions_that_appear_later_are_loaded(tmp_path, stock_models):
    """`NoVersionsAtStartup` and `FilesAppearAfterStartup`."""
    with watch(tmp_path, stock_models) as look:
        assert look("non_numerical_child") == {}
        assert look("3") == {3: "AVAILABLE"}


@contextlib.contextmanager
def watch(
    folder: Path, stock_models: dict[str, Path], *names: str
) -> Iterator[Callable[..., dict[int, str]]]:
    """Serves the versions of these names; gives a function that changes them and looks again."""
    base_path = folder / "base"
    base_path.mkdir()

    def add(*added: str) -> None:
        for name in added:
            lay_out(base_path / name.rstrip("!?"), name, stock_models["float"] / "1")

    add(*names)
    with serve(base_path) as server:

        def look(*added: str, removed: str = "") -> dict[int, str]:
            add(*added)
            if removed:
                shutil.rmtree(base_path / removed)
            server.models.poll()
            service = server.models["first"]
            try:
                return {entry.version: entry.state for entry in service.list_versions()}
            except NotFoundError:
                return {}

        yield look
