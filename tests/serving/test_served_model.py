"""Versions of a model: found, loaded, swapped and unloaded."""

import contextlib
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from serving import errors
from serving.client.grpc_client import GrpcClient
from serving.client.rest_client import RestClient
from serving.local_server import LocalServer
from serving.server.model_config import ModelSettings
from serving.server.models import ServedModel


@pytest.fixture
def base_path(tmp_path):
    return tmp_path / "demo"


@pytest.fixture
def make_model(base_path):
    models = []

    def make(**settings):
        models.append(ServedModel(ModelSettings("demo", base_path, **settings)))
        return models[-1]

    yield make
    for model in models:
        model.close()


def list_states(model):
    return {entry.version: entry.state for entry in model.list_versions()}


def entry_of(model, version):
    (entry,) = [entry for entry in model.list_versions() if entry.version == version]
    return entry


def ask_label(model, **spec):
    with model.use_version(**spec) as (_, servable):
        outputs = servable.predict({"text": np.array([b"a"], dtype=object)})
    return outputs["label"][0].decode()


def test_newest_version_is_served(make_model, publish, base_path):
    publish(base_path, 2, "one")
    publish(base_path, 10, "two")
    model = make_model()
    model.poll()
    assert list_states(model) == {10: "AVAILABLE"}
    assert ask_label(model) == "two"


def test_model_that_is_not_there_yet_is_waited_for(make_model, publish, base_path, caplog):
    model = make_model()
    model.poll()
    model.poll()
    assert [record.message for record in caplog.records] == [
        f"Could not find base path {base_path} for servable demo: No such file or directory. "
        "Waiting for it."
    ]
    with pytest.raises(errors.NotFoundError, match=r"Latest\(demo\)"):
        ask_label(model)
    publish(base_path, 1, "one")
    model.poll()
    assert ask_label(model) == "one"


def test_what_is_named_like_a_whole_number_of_64_bits_is_a_version(make_model, publish, base_path):
    version = publish(base_path, 1, "one")
    for name in ("tmp-2", "2.tmp", ".3", "-4", "5a", "٦", str(2**63), "9" * 200):
        shutil.copytree(version, base_path / name)
    (base_path / "7").write_text("a file")
    model = make_model(serves_all_versions=True)
    model.poll()
    assert list_states(model) == {7: "END", 1: "AVAILABLE", -4: "AVAILABLE"}
    assert entry_of(model, 7).error.code == "NOT_FOUND"


def test_two_directories_of_one_version_are_one_version(make_model, publish, base_path):
    publish(base_path, 7, "one")
    publish(base_path, 8, "two").rename(base_path / "007")
    model = make_model()
    model.poll()
    assert list_states(model) == {7: "AVAILABLE"}
    assert ask_label(model) == "one"


def test_old_version_is_unloaded_after_its_last_request(make_model, publish, base_path):
    publish(base_path, 1, "one")
    model = make_model()
    model.poll()
    with model.use_version() as (version, servable):
        publish(base_path, 2, "two")
        model.poll()
        assert list_states(model) == {2: "AVAILABLE", 1: "UNLOADING"}
        assert ask_label(model) == "two"
        with pytest.raises(errors.NotFoundError, match=r"Specific\(demo, 1\)"):
            ask_label(model, version=1)
        outputs = servable.predict({"text": np.array([b"a"], dtype=object)})
        assert (version, outputs["label"][0]) == (1, b"one")
    assert list_states(model) == {2: "AVAILABLE", 1: "END"}


def test_broken_version_is_reported_while_the_old_one_goes_on(make_model, publish, base_path):
    publish(base_path, 1, "one")
    model = make_model()
    model.poll()
    (publish(base_path, 2, "two") / "saved_model.pb").write_bytes(b"\xff not a protobuf")
    (base_path / "3").mkdir()
    for _ in range(2):
        model.poll()
    assert list_states(model) == {3: "END", 1: "AVAILABLE"}
    broken = entry_of(model, 3)
    assert broken.error.code == "NOT_FOUND"
    assert "Could not find SavedModel .pb" in broken.error.message
    assert ask_label(model) == "one"

    (base_path / "3").rmdir()
    model.poll()
    broken = entry_of(model, 2)
    assert (broken.state, broken.error.code) == ("END", "DATA_LOSS")
    assert "Cannot parse" in broken.error.message
    assert ask_label(model) == "one"


def test_version_that_cannot_be_read_keeps_no_other_from_loading(make_model, publish, base_path):
    unreadable = publish(base_path, 1, "one") / "saved_model.pb"
    good = unreadable.read_bytes()
    unreadable.unlink()
    unreadable.symlink_to("x" * 300)  # looking at it is an OSError: the name is too long
    publish(base_path, 2, "two")
    (base_path / "3").symlink_to("x" * 300)
    model = make_model(serves_all_versions=True)
    model.poll()
    assert list_states(model) == {3: "END", 2: "AVAILABLE", 1: "END"}
    for version in (1, 3):
        broken = entry_of(model, version)
        assert broken.error.code == "DATA_LOSS"
        assert "File name too long" in broken.error.message
    unreadable.unlink()
    unreadable.write_bytes(good)
    model.poll()
    assert ask_label(model, version=1) == "one"


def test_broken_version_is_tried_again_when_its_rights_change(make_model, publish, base_path):
    version = publish(base_path, 1, "one")
    (version / "saved_model.pb").write_bytes(b"\xff not a protobuf")
    model = make_model()
    model.poll()
    (first,) = model.list_versions()
    (version / "saved_model.pb").chmod(0o640)
    model.poll()
    (second,) = model.list_versions()
    assert second.error is not first.error


def test_broken_version_is_tried_again_when_its_files_change(make_model, publish, base_path):
    version = publish(base_path, 1, "one")
    good = (version / "saved_model.pb").read_bytes()
    (version / "saved_model.pb").write_bytes(good[:100])
    model = make_model()
    model.poll()
    assert list_states(model) == {1: "END"}
    (first,) = model.list_versions()
    model.poll()
    (second,) = model.list_versions()
    assert second.error is first.error
    (version / "saved_model.pb").write_bytes(good)
    model.poll()
    assert ask_label(model) == "one"


def test_roll_back_by_removing_the_newest_version(make_model, publish, base_path):
    publish(base_path, 1, "one")
    newest = publish(base_path, 2, "two")
    model = make_model()
    model.poll()
    assert ask_label(model) == "two"
    shutil.rmtree(newest)
    model.poll()
    assert ask_label(model) == "one"
    assert list_states(model) == {2: "END", 1: "AVAILABLE"}


def test_base_path_that_goes_away_keeps_what_is_loaded(make_model, publish, base_path):
    publish(base_path, 1, "one")
    model = make_model()
    model.poll()
    base_path.rename(base_path.with_name("away"))
    model.poll()
    assert ask_label(model) == "one"


def test_version_policies(make_model, publish, base_path):
    for version in (1, 2, 3):
        publish(base_path, version, "one")
    for settings, expected in (
        ({"num_latest_versions": 2}, {2, 3}),
        ({"serves_all_versions": True}, {1, 2, 3}),
        ({"specific_versions": (1, 3, 9)}, {1, 3}),
    ):
        model = make_model(**settings)
        model.poll()
        assert set(list_states(model)) == expected


def test_labels(make_model, publish, base_path):
    publish(base_path, 1, "one")
    publish(base_path, 2, "two")
    model = make_model(serves_all_versions=True, version_labels={"stable": 1})
    model.poll()
    assert ask_label(model, label="stable") == "one"
    with pytest.raises(errors.InvalidArgumentError, match="Unrecognized servable version label: x"):
        ask_label(model, label="x")


def test_no_request_fails_while_versions_are_swapped(publish, base_path):
    publish(base_path, 1, "one")
    settings = ModelSettings("demo", base_path)
    with LocalServer([settings], rest_api_port=0, file_system_poll_wait_seconds=0.05) as server:
        labels, failures, done = [], [], threading.Event()

        def ask():
            with RestClient(server.rest_url, model_name="demo", num_retries=0) as client:
                while not done.is_set():
                    try:
                        labels.append(client.predict_texts(["a"])[0]["label"])
                    except errors.ServingError as error:
                        failures.append(error)

        askers = [threading.Thread(target=ask) for _ in range(4)]
        for asker in askers:
            asker.start()
        with RestClient(server.rest_url, model_name="demo") as client:
            for version, mark in ((2, "two"), (3, "one"), (4, "two")):
                publish(base_path, version, mark)
                wait_for_states(client, {version: "AVAILABLE", version - 1: "END"})
        done.set()
        for asker in askers:
            asker.join()
    assert failures == []
    assert set(labels) == {"one", "two"}
    assert labels[-1] == "two"


def wait_for_states(client, expected, timeout_seconds=20.0):
    give_up_at = time.monotonic() + timeout_seconds
    states = {}
    while time.monotonic() < give_up_at:
        with contextlib.suppress(errors.NotFoundError):
            entries = client.status()["model_version_status"]
            states = {int(entry["version"]): entry["state"] for entry in entries}
        if expected.items() <= states.items():
            return
        time.sleep(0.02)
    raise AssertionError(f"expected {expected}, got {states}")


def test_stopped_server_leaves_no_thread_and_no_file_open(publish, base_path):
    publish(base_path, 1, "one")
    settings = ModelSettings("demo", base_path)

    def run():
        with (
            LocalServer([settings], port=0, rest_api_port=0) as server,
            RestClient(server.rest_url, model_name="demo") as client,
        ):
            client.predict_texts(["a"])

    run()  # What TensorFlow and gRPC start once and keep is up after this.
    threads = threading.active_count()
    num_files = len(list(Path("/proc/self/fd").iterdir()))
    run()
    give_up_at = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < give_up_at:
        time.sleep(0.05)
    assert threading.active_count() <= threads
    assert len(list(Path("/proc/self/fd").iterdir())) <= num_files


def test_request_that_runs_when_the_server_stops_is_answered(publish, base_path):
    publish(base_path, 1, "one")
    num_steps = 300_000
    with (
        LocalServer([ModelSettings("demo", base_path)], port=0, rest_api_port=0) as server,
        RestClient(server.rest_url, model_name="demo") as rest,
        GrpcClient(server.grpc_address, model_name="demo") as grpc,
    ):
        for client in (rest, grpc):
            client.predict(instances=[1], signature_name="count_slowly")
        answers = []
        askers = [
            threading.Thread(
                target=lambda client=client: answers.append(
                    client.predict(instances=[num_steps], signature_name="count_slowly")
                )
            )
            for client in (rest, grpc)
        ]
        for asker in askers:
            asker.start()
        while server.models["demo"].list_versions()[0].num_requests < 2:
            assert not answers, "num_steps is too small for both to run at the same time"
            time.sleep(0.001)
        server.stop()
        for asker in askers:
            asker.join()
        assert answers == [[num_steps], [num_steps]]
        with pytest.raises(errors.UnavailableError):
            RestClient(rest.url, model_name="demo", num_retries=0).status()


def test_server_can_be_started_again(publish, base_path):
    server = LocalServer(
        [ModelSettings("demo", base_path)], rest_api_port=0, file_system_poll_wait_seconds=0.05
    )
    for version, mark in ((1, "one"), (2, "two")):
        with server, RestClient(server.rest_url, model_name="demo") as client:
            publish(base_path, version, mark)
            wait_for_states(client, {version: "AVAILABLE"})
            assert client.predict_texts(["a"])[0]["label"] == mark


def test_taken_port_is_an_error_that_names_it(publish, base_path):
    with LocalServer([ModelSettings("demo", base_path)], port=0, rest_api_port=0) as server:
        rest_port = int(server.rest_url.rpartition(":")[2])
        grpc_port = int(server.grpc_address.rpartition(":")[2])
        for ports in ({"rest_api_port": rest_port}, {"port": grpc_port}):
            (port,) = ports.values()
            with pytest.raises(OSError, match=f"127.0.0.1:{port} must be free"):
                LocalServer([ModelSettings("demo", base_path)], **ports).start()
