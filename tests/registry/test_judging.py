"""The gate at a real registry: decisions kept, promotion guarded, the way back."""

import concurrent.futures
import json
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from bert_tf import registry
from bert_tf.cli.main import main
from bert_tf.config import GateConfig
from bert_tf.data.inspection.text_profile import PROFILE_FILE, TextProfile
from bert_tf.registry.judging import judge, promote_judged
from bert_tf.registry.lock import lock_name, locked
from bert_tf.tasks.classification import Classification
from tests.keyword_model import save_keyword
from tests.labelled import make_examples
from tests.mlflow_stores import make_database

NAME = "reviews"
WORDS = ["good film", "so good", "bad film", "really bad acting", "good", "bad"]
EXAMPLES = make_examples(
    [f"{WORDS[i % 6]} {i}" for i in range(300)],
    ["good" if "good" in WORDS[i % 6] else "bad" for i in range(300)],
)
CONFIG = GateConfig(max_latency_ratio=None)


@pytest.fixture(scope="module")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`right` knows the word; `worse` knows half of the texts with it."""
    folders = {}
    for name, word in (("right", "good"), ("worse", "good film")):
        folders[name] = save_keyword(tmp_path_factory.mktemp("export") / name / "1", word)
    return folders


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return make_database(tmp_path / "mlflow.db")


def judge_version(version, uri: str, *, examples=EXAMPLES):
    return judge(
        name=NAME,
        alias_or_version=version,
        examples=examples,
        task=Classification(),
        config=CONFIG,
        tracking_uri=uri,
    )


def register(saved_models, kind: str, uri: str, **options) -> int:
    return registry.register(saved_models[kind], name=NAME, tracking_uri=uri, **options).version


def aliases(uri: str) -> dict[str, int]:
    model = MlflowClient(uri, registry_uri=uri).get_registered_model(NAME)
    return {alias: int(version) for alias, version in model.aliases.items()}


def test_better_replaces_worse_and_worse_does_not_replace_better(saved_models, uri):
    first = register(saved_models, "worse", uri)
    judged = judge_version(first, uri)
    assert (judged.champion, judged.decision.has_passed) == (None, True)
    promote_judged(judged, tracking_uri=uri)

    second = register(saved_models, "right", uri)
    judged = judge_version(second, uri)
    assert (judged.champion, judged.decision.has_passed) == (first, True)
    promote_judged(judged, tracking_uri=uri)
    assert aliases(uri) == {"challenger": second, "champion": second, "previous": first}

    third = register(saved_models, "worse", uri)
    judged = judge_version(third, uri)
    assert not judged.decision.has_passed
    with pytest.raises(ValueError, match="only a version that passed the gate is promoted"):
        promote_judged(judged, tracking_uri=uri)
    assert aliases(uri) == {"challenger": third, "champion": second, "previous": first}

    client = MlflowClient(uri, registry_uri=uri)
    version = client.get_model_version(NAME, str(third))
    assert version.tags["gate.has_passed"] == "false"
    assert "accuracy minus the champion's is -0.3333" in version.tags["gate.reason"]
    assert version.tags["gate.champion"] == str(second)
    path = client.download_artifacts(version.run_id, f"gate/{third}/gate.json")
    kept = json.loads(Path(path).read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(judged.decision.as_json()))
    assert kept["figures"]["champion"]["accuracy"]["value"] == 1.0


def test_rolling_back_changes_champion_and_previous(saved_models, uri):
    first, second = (register(saved_models, "right", uri) for _ in range(2))
    for version in (first, second):
        registry.promote(name=NAME, version=version, tracking_uri=uri)
    assert registry.roll_back(name=NAME, tracking_uri=uri).version == first
    assert aliases(uri) == {"champion": first, "previous": second}


def test_rolling_back_without_a_previous_version_is_refused(saved_models, uri):
    registry.promote(name=NAME, version=register(saved_models, "right", uri), tracking_uri=uri)
    with pytest.raises(ValueError, match=r"Received: 'previous'. Versions: 1; aliases: champion"):
        registry.roll_back(name=NAME, tracking_uri=uri)


def test_a_judgement_is_void_when_another_version_became_champion(saved_models, uri):
    first, second, third = (register(saved_models, "right", uri) for _ in range(3))
    registry.promote(name=NAME, version=first, tracking_uri=uri)
    judged = judge_version(second, uri)
    registry.promote(name=NAME, version=third, tracking_uri=uri)
    with pytest.raises(ValueError, match=r"champion must still be version 1.*Received: version 3"):
        promote_judged(judged, tracking_uri=uri)
    assert aliases(uri)["champion"] == third


def test_of_two_promotions_at_once_one_is_told(saved_models, uri):
    first, second = (register(saved_models, "right", uri) for _ in range(2))
    is_held, is_told = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(MlflowClient(uri, registry_uri=uri), NAME):
            is_held.set()
            assert is_told.wait(30)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        holding = pool.submit(hold)
        assert is_held.wait(30)
        with pytest.raises(ValueError, match=r"one promotion at a time. Received: another one, by"):
            registry.promote(name=NAME, version=second, tracking_uri=uri)
        assert {v.name for v in registry.list_versions(tracking_uri=uri)} == {NAME}
        is_told.set()
        holding.result()
    registry.promote(name=NAME, version=first, tracking_uri=uri)
    assert aliases(uri)["champion"] == first


def test_a_lock_that_a_killed_process_left_is_taken_over(saved_models, uri, monkeypatch):
    version = register(saved_models, "right", uri)
    client = MlflowClient(uri, registry_uri=uri)
    client.create_registered_model(lock_name(NAME, 1))
    later = time.time() + 61
    monkeypatch.setattr("bert_tf.registry.lock.time.time", lambda: later)
    registry.promote(name=NAME, version=version, tracking_uri=uri)
    assert aliases(uri)["champion"] == version
    assert [model.name for model in client.search_registered_models()] == [NAME]


def test_of_many_that_find_an_abandoned_lock_one_at_a_time_takes_it_over(
    saved_models, uri, monkeypatch
):
    client = MlflowClient(uri, registry_uri=uri)
    register(saved_models, "right", uri)
    client.create_registered_model(lock_name(NAME, 1))
    began = time.time()
    monkeypatch.setattr(
        "bert_tf.registry.lock.time.time", lambda: began + 61 if not inside else began
    )
    inside: list[int] = []
    overlaps, told = [], []

    def promote() -> None:
        try:
            with locked(MlflowClient(uri, registry_uri=uri), NAME):
                inside.append(1)
                overlaps.append(len(inside))
                time.sleep(0.2)
                inside.pop()
        except ValueError:
            told.append(1)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(promote)
    assert set(overlaps) == {1}
    assert len(told) + len(overlaps) == 8
    assert [model.name for model in client.search_registered_models()] == [NAME]


def test_a_version_that_was_made_from_the_same_is_not_registered_again(saved_models, uri):
    first = register(saved_models, "right", uri, fingerprint="abc")
    assert register(saved_models, "right", uri, fingerprint="abc") == first
    assert register(saved_models, "right", uri, fingerprint="abd") == first + 1
    assert register(saved_models, "right", uri) == first + 2


def test_what_is_champion_already_may_be_promoted_whatever_was_expected(saved_models, uri):
    version = register(saved_models, "right", uri)
    for _ in range(2):
        registry.promote(name=NAME, version=version, expected_holder=7, tracking_uri=uri)
    assert aliases(uri) == {"champion": version}


def test_some_files_of_a_version_come_without_the_rest(saved_models, uri):
    version = register(saved_models, "right", uri)
    names = ["saved_model.pb", "assets.extra/none.json"]
    found = registry.read_files(name=NAME, alias_or_version=version, paths=names, tracking_uri=uri)
    assert found == {"saved_model.pb": (saved_models["right"] / "saved_model.pb").read_bytes()}


def test_drift_from_what_the_champion_was_trained_on_is_a_check(saved_models, uri, tmp_path):
    profile = TextProfile.of(
        lengths=[40] * 500, num_unknown=0, label_counts={"good": 250, "bad": 250}
    )
    (tmp_path / PROFILE_FILE).write_text(profile.as_json(), encoding="utf-8")
    first = register(saved_models, "right", uri, files=[tmp_path / PROFILE_FILE])
    registry.promote(name=NAME, version=first, tracking_uri=uri)
    second = register(saved_models, "right", uri)
    judged = judge_version(second, uri)
    failed = [check.name for check in judged.decision.checks if not check.has_passed]
    assert failed == ["drift of lengths", "drift of unknown words"]


def test_command_says_why_and_exits_with_3(saved_models, uri, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    data = tmp_path / "eval.tsv"
    rows = [
        f"{t}\t{label}\tweb"
        for t, label in zip(EXAMPLES.inputs["text"], EXAMPLES.targets, strict=True)
    ]
    data.write_text("\n".join(["text\tlabel\tsource", *rows]) + "\n", encoding="utf-8")
    for kind in ("right", "worse"):
        register(saved_models, kind, uri)
    common = ["registry", "gate", "--name", NAME, "--data", str(data), "--source-field", "source"]
    runner = CliRunner()
    result = runner.invoke(main, [*common, "--version", "1", "--promote"])
    assert result.exit_code == 0, result.output
    assert "reviews version 1 is champion" in result.stderr
    result = runner.invoke(main, [*common, "--version", "2", "--promote"])
    assert result.exit_code == 3, result.output
    assert "| **no** | accuracy, source web | 0.6667 |" in result.stdout
    assert "reviews version 2 against champion 1: accuracy minus" in result.stderr
    assert aliases(uri)["champion"] == 1
    assert runner.invoke(main, ["registry", "rollback", "--name", NAME]).exit_code == 1


def test_labels_that_the_model_does_not_know_are_named(saved_models, uri):
    version = register(saved_models, "right", uri)
    examples = make_examples(["fine"], ["neutral"])
    with pytest.raises(
        ValueError, match=r"row 1: every label must be one of .*bad, good.*'neutral'"
    ):
        judge_version(version, uri, examples=examples)
