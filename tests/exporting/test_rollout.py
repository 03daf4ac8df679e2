"""Labels of served versions: set, rolled back, and what pruning leaves."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from bert_tf.cli.main import main
from bert_tf.exporting.rollout import prune, read_labels, roll_back, set_label
from bert_tf.exporting.version_folders import publish, version_numbers

CONFIG = """# What this file is for.
model_config_list {
  config { name: "a" base_path: "/models/a" }
  config { name: "b" base_path: "/models/b" model_version_policy { specific { versions: 2 } } }
}
"""


@pytest.fixture
def models_config(tmp_path: Path) -> Path:
    path = tmp_path / "models.config"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "a"
    for version in range(1, 7):
        (folder / str(version)).mkdir(parents=True)
        (folder / str(version) / "saved_model.pb").touch()
    return folder


def parse(path: Path) -> dict[str, model_server_config_pb2.ModelConfig]:
    config = text_format.Parse(path.read_text(), model_server_config_pb2.ModelServerConfig())
    return {model.name: model for model in config.model_config_list.config}


def test_a_label_moves_and_goes_back(models_config, model_dir) -> None:
    set_label(models_config, name="a", label="stable", version=1, model_dir=model_dir)
    set_label(models_config, name="a", label="canary", version=6)
    assert set_label(models_config, name="a", label="stable", version=2) == 1
    assert set_label(models_config, name="a", label="stable", version=4) == 2
    assert read_labels(models_config, name="a") == {"stable": 4, "canary": 6}
    assert roll_back(models_config, name="a") == 2
    assert roll_back(models_config, name="a", model_dir=model_dir) == 1
    with pytest.raises(ValueError, match="has had no other version"):
        roll_back(models_config, name="a")
    assert set_label(models_config, name="a", label="stable", version=5) == 1
    assert roll_back(models_config, name="a") == 1
    assert read_labels(models_config, name="a") == {"stable": 1, "canary": 6}


def test_the_file_stays_one_that_tf_serving_reads(models_config) -> None:
    set_label(models_config, name="a", label="stable", version=1)
    set_label(models_config, name="b", label="stable", version=7)
    models = parse(models_config)
    assert models["a"].model_version_policy.WhichOneof("policy_choice") == "all", "keeps it loaded"
    assert list(models["b"].model_version_policy.specific.versions) == [2, 7]
    assert models_config.read_text().startswith("# What this file is for.\n")
    assert sorted(path.name for path in models_config.parent.glob("models*")) == [
        "models.config",
        "models.config.history.jsonl",
    ]


def test_what_is_not_there_is_refused(models_config, model_dir, tmp_path) -> None:
    with pytest.raises(ValueError, match=r"must stand for a version that is there\. Received: 9"):
        set_label(models_config, name="a", label="stable", version=9, model_dir=model_dir)
    with pytest.raises(ValueError, match=r"must be one of a, b\. Received: 'c'"):
        set_label(models_config, name="c", label="stable", version=1)
    with pytest.raises(FileNotFoundError, match="must be there"):
        read_labels(tmp_path / "other", name="a")
    models_config.write_text("nonsense {")
    with pytest.raises(ValueError, match="not a ModelServerConfig in text form"):
        read_labels(models_config, name="a")


def test_pruning_leaves_what_labels_point_to(models_config, model_dir) -> None:
    set_label(models_config, name="a", label="stable", version=1)
    set_label(models_config, name="a", label="stable", version=3)
    assert prune(model_dir, keep=2, models_config=models_config, name="a") == [2, 4]
    assert version_numbers(model_dir) == [1, 3, 5, 6], "one can still go back to version 1"
    assert prune(model_dir, keep=1) == [1, 3, 5]
    assert [path.name for path in model_dir.iterdir()] == ["6"]
    with pytest.raises(ValueError, match="keep must be 1 or more"):
        prune(model_dir, keep=0)


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
    assert run("label", *checked, "--version=1") == "a: stable is version 1 (before: none)\n"
    assert run("label", *checked, "--version=2") == "a: stable is version 2 (before: 1)\n"
    assert run("labels", *common) == '{"stable": 2}\n'
    assert run("rollback", *checked) == "a: stable is version 1 again\n"
    assert "removed 3, 4, 5" in run("prune", *checked, "--keep=1")
