"""Register, promote, fetch, publish, list, on a SQLite registry."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import mlflow.pyfunc
import pandas as pd
import pytest
import tensorflow as tf
from mlflow import MlflowClient

from bert_tf import registry
from bert_tf.registry import RegisteredVersion
from bert_tf.system.files import hidden_folder
from tests.mlflow_stores import free_port, make_database, running_server

TEXT = "한국어 영화"


class Repeat(tf.Module):
    """Answers `label` = text + suffix."""

    def __init__(self, suffix: str) -> None:
        self.suffix = tf.Variable(suffix)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def answer(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = tf.ones([tf.size(text), 2]) / 2.0
        return {"label": text + self.suffix, "score": scores[:, 0], "probabilities": scores}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, name="text"),
            tf.TensorSpec([None], tf.string, name="text_pair"),
        ]
    )
    def join(self, text: tf.Tensor, text_pair: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"label": text + text_pair}


class FillMask(tf.Module):
    """Takes texts with [MASK] only."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def answer(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        has_mask = tf.strings.regex_full_match(text, r".*\[MASK\].*")
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(has_mask), ["[MASK]"])]):
            return {"tokens": tf.identity(text)}


@pytest.fixture(scope="module")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    paths = [tmp_path_factory.mktemp("export") / str(number) for number in (1, 2)]
    for path in paths:
        module = Repeat(f" {path.name}")
        signatures = {"serving_default": module.answer, "join": module.join}
        tf.saved_model.save(module, str(path), signatures=signatures)
        (path / "assets.extra").mkdir()
        (path / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"warm")
    return paths


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return make_database(tmp_path / "registry.db")


@pytest.fixture
def register(saved_models: list[Path], uri: str) -> Callable[[int], RegisteredVersion]:
    def register_one(number: int) -> RegisteredVersion:
        return registry.register(
            saved_models[number - 1], name="reviews", tracking_uri=uri, input_example=[TEXT]
        )

    return register_one


def test_model_goes_from_register_to_published(
    saved_models: list[Path], uri: str, tmp_path: Path
) -> None:
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("[PAD]\n", encoding="utf-8")
    version = registry.register(
        saved_models[0],
        name="reviews",
        tracking_uri=uri,
        metrics={"accuracy": 0.875},
        tags={"task": "classify"},
        files=[vocabulary],
        input_example=[TEXT],
    )
    assert (version.name, version.version, version.aliases) == ("reviews", 1, ())
    assert version.metrics == {"accuracy": 0.875}
    assert version.tags == {"task": "classify"}
    run = MlflowClient(uri).get_run(str(version.run_id))
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"accuracy": 0.875}
    files = MlflowClient(uri).list_artifacts(run.info.run_id, "files")
    assert [file.path for file in files] == ["files/vocab.txt"]

    promoted = registry.promote(name="reviews", version=1, tracking_uri=uri)
    assert promoted.aliases == ("champion",)
    assert registry.list_versions(tracking_uri=uri) == [promoted]

    output_dir = tmp_path / "fetched"
    fetched = registry.fetch(
        name="reviews", alias_or_version="champion", output_dir=output_dir, tracking_uri=uri
    )
    origin = {
        "name": "reviews",
        "version": 1,
        "alias": "champion",
        "run_id": version.run_id,
        "model_id": version.model_id,
    }
    assert json.loads((output_dir / "registry.json").read_text()) == origin
    assert (fetched / "assets.extra" / "tf_serving_warmup_requests").read_bytes() == b"warm"
    assert ask(fetched) == f"{TEXT} 1"

    published = registry.publish(
        name="reviews", alias_or_version=1, base_dir=tmp_path / "models", tracking_uri=uri
    )
    assert published == tmp_path / "models" / "reviews" / "1"
    stored = json.loads((published / "assets.extra" / "registry.json").read_text())
    assert stored == {**origin, "alias": None}
    assert ask(published) == f"{TEXT} 1"
    assert not (tmp_path / "mlflow.db").exists(), "the process's default registry was used"
    assert {path.name for path in output_dir.iterdir()} == {
        "saved_model",
        "registry.json",
        "folder.json",
    }


def test_a_version_goes_to_an_object_store(
    register: Callable[[int], RegisteredVersion], uri: str
) -> None:
    fsspec = pytest.importorskip("fsspec")
    register(1)
    chosen = {"name": "reviews", "alias_or_version": 1, "tracking_uri": uri}
    addresses = [
        registry.publish_to_store(base_url="memory://of-registry/", **chosen) for _ in range(2)
    ]
    assert addresses == [f"memory://of-registry/reviews/{number}" for number in (1, 2)]
    store, root = fsspec.core.url_to_fs(addresses[0])
    origin = json.loads(store.cat_file(f"{root}/assets.extra/registry.json"))
    assert (origin["name"], origin["version"]) == ("reviews", 1)
    assert store.exists(f"{root}/saved_model.pb")
    store.rm("/of-registry", recursive=True)


def test_registered_pyfunc_has_signature_example_and_exact_requirements(
    register: Callable[[int], RegisteredVersion], uri: str
) -> None:
    version = register(1)
    client = MlflowClient(uri, registry_uri=uri)
    location = client.get_logged_model(str(version.model_id)).artifact_location
    model = mlflow.pyfunc.load_model(location)
    signature = model.metadata.signature
    assert signature.inputs.required_input_names() == ["text"]
    assert signature.inputs.optional_input_names() == ["text_pair"]
    assert signature.outputs.to_dict() == [
        {"type": "string", "name": "label", "required": True},
        {
            "type": "array",
            "items": {"type": "float"},
            "name": "probabilities",
            "required": True,
        },
        {"type": "float", "name": "score", "required": True},
    ]
    assert model.input_example.to_dict("list") == {"text": [TEXT]}
    requirements = (Path(location) / "requirements.txt").read_text().split()
    assert f"tensorflow=={tf.__version__}" in requirements
    assert all("==" in line for line in requirements)
    assert model.predict(pd.DataFrame({"text": [TEXT]}))["label"].tolist() == [f"{TEXT} 1"]
    pair = pd.DataFrame({"text": ["가"], "text_pair": ["나"]})
    joined = model.predict(pair, params={"signature_name": "join"})
    assert joined["label"].tolist() == ["가나"]


def test_version_joins_the_given_run_as_it_is(saved_models: list[Path], uri: str) -> None:
    client = MlflowClient(uri)
    run_id = client.create_run(client.create_experiment("tests")).info.run_id
    version = registry.register(
        saved_models[0], name="reviews", tracking_uri=uri, run_id=run_id, metrics={"f1": 0.5}
    )
    assert version.run_id == run_id
    run = client.get_run(run_id)
    assert run.info.status == "RUNNING"
    assert run.data.metrics == {}, "the run's own curves stay as they are"
    assert [output.model_id for output in run.outputs.model_outputs] == [version.model_id]


def test_run_that_the_server_does_not_have_is_replaced_by_a_new_one(
    saved_models: list[Path], uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = MlflowClient(uri)
    deleted = client.create_run(client.create_experiment("tests")).info.run_id
    client.delete_run(deleted)
    for run_id in ("0123456789abcdef0123456789abcdef", deleted):
        version = registry.register(
            saved_models[0], name="reviews", tracking_uri=uri, run_id=run_id, metrics={"f1": 0.5}
        )
        run = client.get_run(str(version.run_id))
        assert run.info.run_id != run_id
        assert run.info.status == "FINISHED"
        assert run.data.tags["bert_tf.source_run_id"] == run_id
        assert run.data.metrics == {"f1": 0.5}
        assert f"the tracking server does not have run {run_id}" in caplog.text


def test_artifacts_of_a_sqlite_file_lie_beside_it(
    saved_models: list[Path], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    registry.register(saved_models[0], name="reviews", tracking_uri=uri)
    assert list((tmp_path / "mlartifacts").rglob("saved_model.pb"))
    assert list((tmp_path / "work").iterdir()) == []


def test_default_example_suits_a_model_that_needs_a_mask(tmp_path: Path, uri: str) -> None:
    path = tmp_path / "1"
    module = FillMask()
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.answer})
    version = registry.register(path, name="filler", tracking_uri=uri)
    location = MlflowClient(uri).get_logged_model(str(version.model_id)).artifact_location
    model = mlflow.pyfunc.load_model(location)
    assert model.predict(model.input_example)["tokens"].tolist() == ["A [MASK] text."]
    with pytest.raises(
        ValueError, match=r"1: the model must answer the example\. Received: .*MASK"
    ):
        registry.register(path, name="broken", tracking_uri=uri, input_example=["plain"])
    assert [known.name for known in registry.list_versions(tracking_uri=uri)] == ["filler"]


def test_registry_behind_a_server_keeps_its_artifacts_there(
    saved_models: list[Path], uri: str, tmp_path: Path
) -> None:
    with running_server(uri, artifacts=tmp_path / "artifacts") as address:
        version = registry.register(saved_models[1], name="reviews", tracking_uri=address)
        registry.promote(name="reviews", version=1, tracking_uri=address)
        published = registry.publish(
            name="reviews",
            alias_or_version="champion",
            base_dir=tmp_path / "models",
            tracking_uri=address,
        )
        (listed,) = registry.list_versions(tracking_uri=address)
    assert ask(published) == f"{TEXT} 2"
    assert (listed.model_id, listed.aliases) == (version.model_id, ("champion",))
    assert list((tmp_path / "artifacts").rglob("saved_model.pb"))
    assert not (tmp_path / "mlruns").exists()


def test_promotion_keeps_the_way_back(
    register: Callable[[int], RegisteredVersion], uri: str
) -> None:
    register(1)
    register(2)
    registry.promote(name="reviews", version=1, tracking_uri=uri)
    registry.promote(name="reviews", version=2, tracking_uri=uri)
    again = registry.promote(name="reviews", version=2, tracking_uri=uri)
    assert again.aliases == ("champion",)
    assert [v.aliases for v in registry.list_versions(name="reviews", tracking_uri=uri)] == [
        ("previous",),
        ("champion",),
    ]
    registry.promote(name="reviews", version=1, alias="challenger", tracking_uri=uri)
    first, _ = registry.list_versions(name="reviews", tracking_uri=uri)
    assert first.aliases == ("challenger", "previous")


def test_published_numbers_only_grow(
    register: Callable[[int], RegisteredVersion],
    uri: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    register(1)
    register(2)
    model_dir = tmp_path / "models" / "reviews"
    (model_dir / "7").mkdir(parents=True)

    def publish(version: int) -> str:
        path = registry.publish(
            name="reviews",
            alias_or_version=version,
            base_dir=tmp_path / "models",
            tracking_uri=uri,
        )
        assert ask(path) == f"{TEXT} {version}"
        return path.name

    with caplog.at_level(logging.INFO, logger="bert_tf.registry"):
        assert publish(1) == "8"
        assert "nothing to publish" not in caplog.text
        assert publish(1) == "8"
        assert "8 is already version 1 of reviews: nothing to publish" in caplog.text
    assert publish(2) == "9"
    assert publish(1) == "10"
    names = {path.name for path in model_dir.iterdir()}
    assert names == {".highest_version", "7", "8", "9", "10", "folder.json"}


@pytest.mark.parametrize("command", ["publish", "fetch"])
def test_what_a_killed_one_left_is_removed_and_a_living_one_stays(
    register: Callable[[int], RegisteredVersion], uri: str, tmp_path: Path, command: str
) -> None:
    register(1)
    model_dir = tmp_path / "models" / "reviews"
    for name in (".registry-left", ".mine"):
        (model_dir / name / "model").mkdir(parents=True)
    options = {"name": "reviews", "alias_or_version": 1, "tracking_uri": uri}
    with hidden_folder(model_dir, prefix=".registry-") as living:
        if command == "publish":
            made = registry.publish(base_dir=tmp_path / "models", **options)
            beside = ".highest_version"
        else:
            made, beside = registry.fetch(output_dir=model_dir, **options), "registry.json"
        names = {path.name for path in model_dir.iterdir()}
    assert names == {living.name, ".mine", made.name, beside, "folder.json"}


def test_failed_publish_leaves_nothing_behind(
    register: Callable[[int], RegisteredVersion], uri: str, tmp_path: Path
) -> None:
    location = MlflowClient(uri).get_logged_model(str(register(1).model_id)).artifact_location
    (Path(location) / "MLmodel").unlink()
    with pytest.raises(ValueError, match="No such artifact: 'MLmodel'"):
        registry.publish(
            name="reviews", alias_or_version=1, base_dir=tmp_path / "models", tracking_uri=uri
        )
    assert not (tmp_path / "models" / "reviews").exists()


def test_fetch_replaces_an_earlier_fetch_and_nothing_else(
    register: Callable[[int], RegisteredVersion], uri: str, tmp_path: Path
) -> None:
    register(1)
    register(2)
    for version in (1, 2):
        path = registry.fetch(
            name="reviews", alias_or_version=version, output_dir=tmp_path / "out", tracking_uri=uri
        )
        assert ask(path) == f"{TEXT} {version}"
    (tmp_path / "other" / "saved_model").mkdir(parents=True)
    with pytest.raises(ValueError, match="must be absent, or an earlier fetch"):
        registry.fetch(
            name="reviews", alias_or_version=1, output_dir=tmp_path / "other", tracking_uri=uri
        )


def test_errors_say_what_exists(register: Callable[[int], RegisteredVersion], uri: str) -> None:
    register(1)
    registry.promote(name="reviews", version=1, tracking_uri=uri)
    with pytest.raises(ValueError, match=r"Received: 'review'\. Registered: reviews\."):
        registry.promote(name="review", version=1, tracking_uri=uri)
    with pytest.raises(ValueError, match=r"Received: '2'\. Versions: 1; aliases: champion \(1\)\."):
        registry.promote(name="reviews", version=2, tracking_uri=uri)
    with pytest.raises(ValueError, match="Received: 'best'"):
        registry.publish(name="reviews", alias_or_version="best", base_dir=".", tracking_uri=uri)
    with pytest.raises(ValueError, match=r"nor `latest`\. Received: 'latest'"):
        registry.promote(name="reviews", version=1, alias="latest", tracking_uri=uri)


def test_only_saved_models_that_take_text_are_registered(tmp_path: Path, uri: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"must hold saved_model\.pb"):
        registry.register(tmp_path, name="reviews", tracking_uri=uri)
    module = tf.Module()
    module.v = tf.Variable(1.0)
    double = tf.function(
        lambda ids: {"double": ids * 2}, input_signature=[tf.TensorSpec([None], tf.int32, "ids")]
    )
    tf.saved_model.save(module, str(tmp_path / "ids"), signatures={"serving_default": double})
    with pytest.raises(ValueError, match=r"must take text\. Received: \['ids'\]"):
        registry.register(tmp_path / "ids", name="reviews", tracking_uri=uri)


def test_dead_server_is_named_without_its_password(uri: str) -> None:
    port = free_port()
    address = f"http://user:secret@127.0.0.1:{port}"
    with pytest.raises(ConnectionError, match="the MLflow server must answer") as caught:
        registry.list_versions(tracking_uri=address)
    assert "secret" not in str(caught.value)
    assert f"http://127.0.0.1:{port}" in str(caught.value)


def ask(saved_model: Path) -> str:
    signature = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
    label: bytes = signature(text=tf.constant([TEXT]))["label"].numpy()[0]
    return label.decode()
