"""Loaded versions and labels of `models.config`: set, rolled back, and what pruning leaves."""

import contextlib
import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from bert_tf.cli.main import main
from bert_tf.exporting.models_config import model_of, read
from bert_tf.exporting.rollout import (
    load_version,
    prune,
    read_labels,
    read_loaded,
    remove_label,
    roll_back,
    set_label,
    unload_version,
)
from bert_tf.exporting.version_folders import publish, version_numbers
from bert_tf.system.folder_lock import lock_folder

ALL = '  config {{ name: "a" base_path: "{}" model_platform: "tensorflow" {} }}\n'


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "a"
    for version in range(1, 9):
        (folder / str(version)).mkdir(parents=True)
        (folder / str(version) / "saved_model.pb").touch()
    return folder


@pytest.fixture
def models_config(model_dir: Path) -> Path:
    """As it is after a roll-out of version 2: at 3, back to 2."""
    path = model_dir.parent / "config" / "models.config"
    load_version(path, name="a", version=2, base_path=str(model_dir))
    set_label(path, name="a", label="stable", version=2)
    load_version(path, name="a", version=3)
    set_label(path, name="a", label="stable", version=3)
    return path


def write_policy(model_dir: Path, policy: str) -> Path:
    path = model_dir.parent / "config" / "models.config"
    path.parent.mkdir()
    body = ALL.format(model_dir, policy)
    path.write_text(f"# What this file is for.\nmodel_config_list {{\n{body}}}\n")
    return path


def state(path: Path) -> tuple[dict[str, int], list[int]]:
    return read_labels(path, name="a"), read_loaded(path, name="a")


def test_the_first_version_of_a_model_makes_the_file(model_dir) -> None:
    path = model_dir.parent / "config" / "models.config"
    assert load_version(path, name="a", version=2, base_path=str(model_dir)) == [2]
    model = model_of(path, read(path), "a")
    assert (model.base_path, model.model_platform) == (str(model_dir), "tensorflow")
    assert state(path) == ({}, [2]), "a server that starts now has one version and no label"
    assert set_label(path, name="a", label="stable", version=2) is None
    assert state(path) == ({"stable": 2}, [2])
    assert path.read_text().startswith("# What TensorFlow Serving serves")
    with pytest.raises(ValueError, match="base_path of 'a' must stay as it is"):
        load_version(path, name="a", version=3, base_path="/elsewhere")


def test_loading_and_labelling_are_two_changes_of_the_file(models_config) -> None:
    before = models_config.read_text()
    with pytest.raises(ValueError, match=r"Received: 8; loaded are 2, 3\. `bert-tf serving load"):
        set_label(models_config, name="a", label="stable", version=8)
    assert models_config.read_text() == before
    assert load_version(models_config, name="a", version=8) == [2, 3, 8]
    assert state(models_config) == ({"stable": 3}, [2, 3, 8])
    assert set_label(models_config, name="a", label="stable", version=8) == 3
    assert state(models_config) == ({"stable": 8}, [3, 8]), "2 is needed by nothing any more"


def test_a_roll_back_needs_one_change_and_takes_the_bad_version_out(models_config) -> None:
    load_version(models_config, name="a", version=5)
    set_label(models_config, name="a", label="stable", version=5)
    assert roll_back(models_config, name="a") == 3
    assert state(models_config) == ({"stable": 3}, [2, 3]), "and one can go back once more"
    assert roll_back(models_config, name="a") == 2
    assert state(models_config) == ({"stable": 2}, [2])
    with pytest.raises(ValueError, match="has had no other version"):
        roll_back(models_config, name="a")
    load_version(models_config, name="a", version=4)
    assert set_label(models_config, name="a", label="stable", version=4) == 2
    assert roll_back(models_config, name="a") == 2


def test_labels_move_by_themselves(models_config) -> None:
    load_version(models_config, name="a", version=8)
    set_label(models_config, name="a", label="canary", version=8)
    assert state(models_config) == ({"stable": 3, "canary": 8}, [2, 3, 8])
    set_label(models_config, name="a", label="stable", version=8)
    assert state(models_config) == ({"stable": 8, "canary": 8}, [3, 8])
    assert roll_back(models_config, name="a") == 3
    assert state(models_config) == ({"stable": 3, "canary": 8}, [3, 8])


def test_a_label_that_goes_takes_what_it_alone_needed(models_config) -> None:
    load_version(models_config, name="a", version=8)
    set_label(models_config, name="a", label="canary", version=8)
    assert remove_label(models_config, name="a", label="canary") == [2, 3]
    assert state(models_config) == ({"stable": 3}, [2, 3])
    with pytest.raises(ValueError, match="Received: 'canary', of stable"):
        remove_label(models_config, name="a", label="canary")
    load_version(models_config, name="a", version=8)
    set_label(models_config, name="a", label="canary", version=3)
    set_label(models_config, name="a", label="canary", version=8)
    remove_label(models_config, name="a", label="canary")
    load_version(models_config, name="a", version=8)
    set_label(models_config, name="a", label="canary", version=8)
    with pytest.raises(ValueError, match="'canary' of 'a' has had no other version"):
        roll_back(models_config, name="a", label="canary")


def test_no_more_versions_are_loaded_than_memory_bears(models_config) -> None:
    load_version(models_config, name="a", version=4)
    with pytest.raises(ValueError, match=r"at most 3 versions .* Received: 2, 3, 4, 5\. Take one"):
        load_version(models_config, name="a", version=5)
    with pytest.raises(ValueError, match=r"Received: 3, and stable stands for it"):
        unload_version(models_config, name="a", version=3)
    with pytest.raises(ValueError, match=r"Received: 7, and loaded are 2, 3, 4"):
        unload_version(models_config, name="a", version=7)
    assert unload_version(models_config, name="a", version=4) == [2, 3]
    assert load_version(models_config, name="a", version=5, max_loaded=3) == [2, 3, 5]


@pytest.mark.parametrize(
    ("policy", "loaded"),
    [
        ("model_version_policy { all {} } version_labels { key: 'stable' value: 1 }", [1, 6, 8]),
        ("model_version_policy { latest { num_versions: 2 } }", [6, 7, 8]),
        ("", [6, 8]),
    ],
    ids=["all", "latest", "none"],
)
def test_another_policy_becomes_one_of_bounded_size(model_dir, policy, loaded) -> None:
    path = write_policy(model_dir, policy)
    assert load_version(path, name="a", version=6) == loaded
    assert read_loaded(path, name="a") == loaded
    assert path.read_text().startswith("# What this file is for.\n")


def test_a_version_that_is_loaded_already_needs_no_load(model_dir) -> None:
    path = write_policy(model_dir, "model_version_policy { all {} }")
    set_label(path, name="a", label="stable", version=4)
    assert state(path) == ({"stable": 4}, [4, 8])
    other = write_policy(model_dir.rename(model_dir.parent.parent / "b"), "")
    with pytest.raises(ValueError, match=r"Received: 4; loaded are 8\."):
        set_label(other, name="a", label="stable", version=4, model_dir=other.parent.parent / "b")


def test_what_is_not_there_is_refused(models_config, model_dir, tmp_path) -> None:
    with pytest.raises(ValueError, match=r"version must be there\. Received: 9, of 1, 2, 3"):
        load_version(models_config, name="a", version=9)
    with pytest.raises(ValueError, match=r"must be one of a\. Received: 'c'"):
        set_label(models_config, name="c", label="stable", version=1)
    with pytest.raises(FileNotFoundError, match="must be there"):
        read_labels(tmp_path / "other", name="a")
    with pytest.raises(FileNotFoundError, match="must be there"):
        load_version(tmp_path / "new" / "models.config", name="a", version=1)
    assert not (tmp_path / "new").exists(), "a mistyped path leaves nothing behind"
    (model_dir / "2").rename(tmp_path / "2")
    with pytest.raises(ValueError, match=r"Received: 2, of 1, 3"):
        roll_back(models_config, name="a")
    model_dir.rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="must be seen from here"):
        roll_back(models_config, name="a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense {", "must be a ModelServerConfig in text form"),
        (
            "model_config_list { config { name: 'a' base_path: '/a' } }",
            "model_platform of 'a' must be 'tensorflow'",
        ),
        (
            "model_config_list { config { name: 'a' base_path: 'a' model_platform: 'tensorflow' }}",
            "must be an absolute path",
        ),
        (
            "model_config_list {"
            + 2 * "config { name: 'a' base_path: '/a' model_platform: 'tensorflow' }"
            + "}",
            "must stand there once",
        ),
    ],
)
def test_a_file_that_tf_serving_would_refuse_is_refused(tmp_path, text, message) -> None:
    path = tmp_path / "models.config"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_labels(path, name="a")


def test_a_change_that_was_noted_and_never_made_is_passed_over(models_config) -> None:
    """As a process leaves it that is killed between the two files."""
    before = models_config.read_text()
    load_version(models_config, name="a", version=8)
    set_label(models_config, name="a", label="stable", version=8)
    models_config.write_text(before)
    assert roll_back(models_config, name="a") == 2
    history = models_config.with_name("models.config.history.jsonl").read_text().splitlines()
    moves = [json.loads(line) for line in history if '"label"' in line]
    assert [move["version"] for move in moves] == [2, 3, 2]


def test_a_label_that_was_changed_by_hand_goes_back_to_what_is_noted(models_config) -> None:
    text = models_config.read_text()
    text = text.replace("value: 3", "value: 7").replace("versions: 2", "versions: 7")
    models_config.write_text(text)
    assert roll_back(models_config, name="a") == 3


@pytest.mark.parametrize("seed", range(20))
def test_no_order_of_changes_leaves_a_server_behind(models_config, model_dir, seed) -> None:
    """TensorFlow Serving looks at a file's labels first, with the versions of the file before."""
    draw = random.Random(seed)
    for _ in range(30):
        _, loaded = state(models_config)
        version = {"version": draw.randint(1, 8)}
        label = {"label": draw.choice(["stable", "canary"])}
        changes = [
            (load_version, version),
            (unload_version, version),
            (set_label, version | label),
            (roll_back, label),
            (remove_label, label),
        ]
        change, chosen = draw.choice(changes)
        with contextlib.suppress(ValueError):  # What is refused changes nothing.
            change(models_config, name="a", **chosen)
        if draw.random() < 0.1:
            prune(model_dir, keep=2)
        labels, loaded_now = state(models_config)
        assert set(labels.values()) <= set(loaded), "a server that saw the file before takes this"
        assert set(labels.values()) <= set(loaded_now), "and so does one that starts now"
        assert set(loaded_now) <= set(version_numbers(model_dir))
        assert len(loaded_now) <= 3


def test_two_changes_at_once_exclude_each_other(models_config) -> None:
    with (
        lock_folder(models_config.parent, command="bert-tf serving label"),
        pytest.raises(ValueError, match="one process at a time"),
    ):
        load_version(models_config, name="a", version=8)


def test_pruning_leaves_what_the_file_names(models_config, model_dir) -> None:
    load_version(models_config, name="a", version=5)
    assert prune(model_dir, keep=1, models_config=models_config, name="a") == [1, 4, 6, 7]
    assert version_numbers(model_dir) == [2, 3, 5, 8], "back to 2, stable at 3, 5 loaded, 8 newest"
    assert prune(model_dir, keep=1) == [], "the file has its place beside the models"
    models_config.unlink()
    assert prune(model_dir, keep=1) == [2, 3, 5]
    assert [path.name for path in model_dir.iterdir()] == ["8"]
    with pytest.raises(ValueError, match="keep must be 1 or more"):
        prune(model_dir, keep=0)


def test_pruning_leaves_what_another_model_of_that_folder_names(models_config, model_dir) -> None:
    load_version(models_config, name="twin", version=6, base_path=str(model_dir))
    assert prune(model_dir, keep=1, models_config=models_config, name="a") == [1, 4, 5, 7]


def test_pruning_leaves_the_newest_that_a_policy_serves(model_dir) -> None:
    path = write_policy(model_dir, "model_version_policy { latest { num_versions: 4 } }")
    assert prune(model_dir, keep=1, models_config=path, name="a") == [1, 2, 3, 4]


def test_a_number_is_never_used_twice(tmp_path) -> None:
    base = tmp_path / "a"
    base.mkdir()
    for expected in (1, 2):
        (tmp_path / "new").mkdir()
        version = publish(tmp_path / "new", base)
        assert version == base / str(expected)
        version.rmdir()


def test_from_the_command_line(models_config, model_dir) -> None:
    def run(*arguments: str) -> str:
        result = CliRunner().invoke(main, ["serving", *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    common = ["--models-config", str(models_config), "--name", "a"]
    checked = [*common, "--model-dir", str(model_dir)]
    assert run("load", *checked, "--version=8") == "a: servers load 2, 3, 8\n"
    assert run("label", *checked, "--version=8") == "a: stable is version 8 (before: 3)\n"
    assert run("labels", *common) == '{"stable": 8}\n'
    assert run("rollback", *checked) == "a: stable is version 3 again\n"
    assert run("load", *common, "--version=5") == "a: servers load 2, 3, 5\n"
    assert run("unload", *common, "--version=5") == "a: servers keep 2, 3\n"
    assert "removed 1, 4, 5, 6, 7" in run("prune", "--model-dir", str(model_dir), "--keep=1")
