"""What becomes of output folders that are in use, of another kind, or on a full disk."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import bert_tf
from bert_tf.cli.main import main
from bert_tf.config import load_config
from bert_tf.system.output_folder import KIND_FILE, owned_folder
from bert_tf.system.signals import TrainingInterruptedError
from bert_tf.training.stages.pretraining import pretrain
from tests.cli import test_commands
from tests.cli.test_commands import run

FOLDERS = {
    "vocab": "vocab",
    "prepare": "records",
    "pretrain": "encoder",
    "finetune": "classifier",
    "export": "served/reviews",
}
DISK_BYTES = 4 << 20
KILOBYTES_LEFT = {
    "vocab": (0, 8, 24),
    "prepare": (0, 8, 24, 48, 64),
    "pretrain": (48, 0, 8, 24, 64, 96, 120, 150),
    "finetune": (48, 0, 8, 24, 64, 96, 120, 150),
    "export": (48, 0, 8, 24, 150, 300, 500),
    "evaluate": (0, 8, 24),
}
"""What is left on the disk; of a command that takes long the first alone is no slow test."""


work = test_commands.work


@pytest.fixture
def given(work):
    """The configuration's options, and those that `evaluate` needs besides."""
    return [
        *("--config", str(work / "config.yaml")),
        *("--set", f"evaluation.model={work / 'classifier'}"),
        *("--set", f"evaluation.data={work / 'eval.tsv'}"),
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("command", [*FOLDERS, "evaluate"])
def test_a_command_of_another_kind_is_refused_before_it_writes(work, given, command):
    for owner, folder in FOLDERS.items():
        if owner == command:
            continue
        before = contents(work / folder)
        output = run(command, *given, "--output-dir", str(work / folder), exit_code=1)
        assert f"`bert-tf {command}` into a folder with" in output
        assert contents(work / folder) == before


@pytest.mark.parametrize("command", ["vocab", "prepare", "finetune", "evaluate"])
def test_a_second_command_in_one_folder_is_refused_at_once(given, tmp_path, command):
    with owned_folder(tmp_path, command=command):
        output = run(command, *given, "--output-dir", str(tmp_path), exit_code=1)
        assert f"`bert-tf {command}` while `bert-tf {command}` (process " in output
        assert ", since 20" in output
        assert {path.name for path in tmp_path.iterdir()} == {".lock", KIND_FILE}


@pytest.mark.parametrize("command", [*FOLDERS, "evaluate"])
@pytest.mark.parametrize("place", ["", "file", "/proc/none"])
def test_what_is_no_folder_is_told_in_a_line(given, tmp_path, monkeypatch, command, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("precious")
    output = run(command, *given, "--output-dir", place, exit_code=1)
    assert output.splitlines()[-1].startswith("Error: ")
    assert "Give " in output.splitlines()[-1]
    assert contents(tmp_path) == {"file": b"precious"}


@pytest.mark.parametrize("changed", ["vocab.txt", "tokenizer.json"])
def test_a_model_with_another_tokenizer_is_refused_by_all_who_read_it(
    work, given, tmp_path, changed
):
    folder = tmp_path / "model"
    shutil.copytree(work / "classifier", folder)
    tokens = (folder / "vocab.txt").read_text("utf-8").splitlines()
    (folder / "vocab.txt").write_text("\n".join([*tokens[5:], *tokens[:5]]) + "\n", "utf-8")
    if changed == "tokenizer.json":
        shutil.copyfile(work / "classifier" / "vocab.txt", folder / "vocab.txt")
        settings = json.loads((folder / "tokenizer.json").read_text())
        settings["lower_case"] = not settings["lower_case"]
        (folder / "tokenizer.json").write_text(json.dumps(settings))
    message = f"{folder / changed}: must be the file that the model beside it was trained with"
    for command, key in (
        ("export", "export.model"),
        ("evaluate", "evaluation.model"),
        ("finetune", "finetuning.pretrained"),
    ):
        out = tmp_path / command
        output = run(
            command, *given, "--set", f"{key}={folder}", "--output-dir", str(out), exit_code=1
        )
        assert message in output
        assert not out.exists(), "nothing was written"
    converted = ("convert", "--from", str(folder), "--to", str(tmp_path / "converted"))
    assert message in run(*converted, exit_code=1)
    with pytest.raises(ValueError, match="was trained with"):
        bert_tf.load(folder)
    # The tokenizer of the export is in its graph; the files beside it are read for people.
    exported = tmp_path / "1"
    shutil.copytree(work / "served" / "reviews" / "1", exported)
    shutil.copyfile(folder / changed, exported / "assets.extra" / changed)
    with pytest.raises(ValueError, match="was trained with"):
        bert_tf.load(exported)


def test_a_model_without_its_tokenizers_settings_is_refused(work, given, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(work / "classifier", folder)
    (folder / "tokenizer.json").unlink()
    model = ["--set", f"evaluation.model={folder}"]
    output = run("evaluate", *given, *model, "--output-dir", str(tmp_path / "out"), exit_code=1)
    assert "tokenizer.json: must be the file that the model beside it" in output
    assert "Received: no such file" in output


def test_a_run_that_is_made_longer_is_no_model_until_it_ends(work, given, tmp_path):
    folder = tmp_path / "encoder"
    shutil.copytree(work / "encoder", folder)
    longer = ["--set", "pretraining.num_train_steps=8"]
    config = load_config(work / "config.yaml", overrides=[longer[1]])
    with pytest.raises(TrainingInterruptedError):
        pretrain(config, folder, is_stop_requested=lambda: True)
    assert not (folder / "model.json").exists()
    exported = ["--set", f"export.model={folder}", "--output-dir", str(tmp_path / "served")]
    assert "model.json" in run("export", *given, *exported, exit_code=1)
    run("pretrain", *given, *longer, "--output-dir", str(folder))
    assert json.loads((folder / "metrics.json").read_text())
    assert (folder / "model.json").is_file()


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    place.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    mounted = subprocess.run(["mount", *options], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _marks(command: str, *, is_first: bool) -> tuple[pytest.MarkDecorator, ...]:
    if command not in ("pretrain", "finetune", "export"):
        return ()
    if not is_first:
        return (pytest.mark.slow,)
    return () if command == "pretrain" else (pytest.mark.flows,)


@pytest.mark.parametrize(
    ("command", "kilobytes"),
    [
        pytest.param(command, number, marks=_marks(command, is_first=number == numbers[0]))
        for command, numbers in KILOBYTES_LEFT.items()
        for number in numbers
    ],
)
def test_a_full_disk_is_told_in_a_line_and_the_command_goes_on(
    work, given, tmp_path, command, kilobytes
):
    with small_disk(tmp_path / "disk") as disk:
        (disk / "filler").write_bytes(bytes(DISK_BYTES - (kilobytes << 10)))
        arguments = [command, *given, "--output-dir", str(disk / "out")]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 1, result.output
        assert isinstance(result.exception, SystemExit), result.exception
        last = result.output.splitlines()[-1]
        assert "there must be space for what is written. Received: no space left" in last
        left = {path.name for path in (disk / "out").rglob("*")}
        assert not any(name.endswith(".tmp") or name == ".lock" for name in left)
        assert not {"model.json", "metrics.json", "manifest.json", "1"} & left
        (disk / "filler").unlink()
        run(*arguments)
        if command in FOLDERS:
            assert kept(disk / "out") == kept(work / FOLDERS[command])


def kept(folder: Path) -> dict[str, bytes]:
    """What does not hold a time or a place."""
    names = ("model.safetensors", "vocab.txt", "metrics.json", "manifest.json")
    return {
        name: content
        for name, content in contents(folder).items()
        if Path(name).name in names or name.endswith(".tfrecord")
    }
