"""Output folders: one kind, one writer, nothing left of the dead."""

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from bert_tf.system.files import hidden_folder
from bert_tf.system.output_folder import (
    COMMANDS,
    KIND_FILE,
    check_base,
    check_folder,
    owned_folder,
    owner_of,
)

SPAWN = multiprocessing.get_context("spawn")


def made_by(command: str, folder: Path) -> Path:
    with owned_folder(folder, command=command) as path:
        (path / "result").write_text(command)
    return folder


@pytest.mark.parametrize("owner", COMMANDS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_is_for_one_command(tmp_path: Path, owner: str, command: str) -> None:
    folder = made_by(owner, tmp_path / "folder")
    before = sorted(folder.iterdir())
    if command == owner:
        made_by(command, folder)
        return
    with pytest.raises(ValueError, match=f"`bert-tf {command}` into a folder with"):
        made_by(command, folder)
    assert sorted(folder.iterdir()) == before
    assert (folder / "result").read_text() == owner


@pytest.mark.parametrize(
    ("files", "owner"),
    [
        ({"checkpoints/settings.json": '{"architecture": {}}', "vocab.txt": ""}, "pretrain"),
        ({"checkpoints/settings.json": '{"description": {}}', "model.json": "{}"}, "finetune"),
        ({"model.json": "{}", "vocab.txt": ""}, "convert"),
        ({"manifest.json": "{}", "vocab.txt": "", "config.yaml": ""}, "prepare"),
        ({".prepare/plan.json": "{}"}, "prepare"),
        ({"vocab.txt": "", "vocabulary_report.json": "{}", "config.yaml": ""}, "vocab"),
        ({"1/saved_model.pb": ""}, "export"),
        ({".highest_version": "3"}, "export"),
        ({"metrics.json": "{}", "config.yaml": ""}, "evaluate"),
        ({"config.json": "{}", "vocab.txt": "", "model.safetensors": ""}, ""),
        ({"vocab.txt": ""}, ""),
        ({"saved_model.pb": ""}, ""),
        ({"notes.md": "", "reviews.tsv": ""}, None),
        ({}, None),
    ],
)
def test_a_folder_without_a_note_is_told_by_its_files(tmp_path, files, owner) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert owner_of(tmp_path) == owner
    for command in COMMANDS:
        if owner in (None, command):
            check_folder(tmp_path, command=command)
        else:
            with pytest.raises(ValueError, match="a folder holds what one command writes"):
                check_folder(tmp_path, command=command)


@pytest.mark.parametrize("note", ["", "{", "[]", '{"command": "bake"}', '{"command": ["vocab"]}'])
def test_a_damaged_note_is_refused(tmp_path: Path, note: str) -> None:
    (tmp_path / KIND_FILE).write_text(note)
    with pytest.raises(ValueError, match=r"folder\.json.*(must be|must name the command)"):
        check_folder(tmp_path, command="vocab")


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_no_folder(tmp_path, monkeypatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"must name a folder\. Received: an empty name"):
        made_by("vocab", name)
    assert not list(tmp_path.iterdir())


def test_a_file_in_its_place_or_above_it_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    for place in (file, file / "below", file / "far" / "below"):
        with pytest.raises(ValueError, match=f"Received: {file} is a file"):
            made_by("vocab", place)
    assert file.read_text() == "precious"


def test_a_folder_that_cannot_be_written_is_told() -> None:
    with pytest.raises(ValueError, match=r"/proc/none: the output folder must be one that can be"):
        made_by("vocab", Path("/proc/none"))


def test_a_second_writer_is_told_who_since_when_and_where(tmp_path: Path) -> None:
    with owned_folder(tmp_path, command="finetune"):
        expected = (
            rf"`bert-tf finetune` \(process {os.getpid()} on .+, since 20\d\d-\d\d-\d\d \d\d:"
        )
        with pytest.raises(ValueError, match=expected), owned_folder(tmp_path, command="finetune"):
            pass
        assert (tmp_path / KIND_FILE).is_file(), "the refused one has taken nothing away"
    made_by("finetune", tmp_path)


def test_a_command_that_writes_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no table"), owned_folder(tmp_path / "new", command="vocab"):
        raise OSError("no table")
    assert not list(tmp_path.iterdir())
    with owned_folder(tmp_path, command="vocab"):
        pass
    assert not list(tmp_path.iterdir()), "a folder that was there stays, as it was"


def test_what_the_dead_left_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    made_by("finetune", tmp_path)
    (tmp_path / "checkpoints" / ".step-60.tmp").mkdir(parents=True)
    dead = [tmp_path / ".metrics.json.4711.tmp", tmp_path / "checkpoints" / ".best.json.1.tmp"]
    others = [tmp_path / ".mine.tmp", tmp_path / "notes.17.tmp", tmp_path / ".gitignore"]
    for file in (*dead, *others, tmp_path / "checkpoints" / ".step-60.tmp" / "data"):
        file.write_text("")
    made_by("finetune", tmp_path)
    assert not any(path.exists() for path in (*dead, tmp_path / "checkpoints" / ".step-60.tmp"))
    assert all(path.exists() for path in others)


def test_a_killed_writer_locks_nobody_out_and_the_kind_stays(tmp_path: Path) -> None:
    process = SPAWN.Process(target=_die_writing, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    made_by("finetune", tmp_path)
    with pytest.raises(ValueError, match="into a folder with a fine-tuning"):
        made_by("vocab", tmp_path)


def test_hidden_folders_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=_hold_hidden_folder, args=(tmp_path, there))
    process.start()
    living = Path(here.recv())
    with hidden_folder(tmp_path, prefix=".exporting-") as own:
        assert set(tmp_path.iterdir()) == {living, own}
    process.kill()
    process.join()
    (tmp_path / ".exporting.notes").write_text("of another name")
    with hidden_folder(tmp_path, prefix=".exporting-") as own:
        assert {path.name for path in tmp_path.iterdir()} == {own.name, ".exporting.notes"}
        target = own.rename(tmp_path / "7")
    assert target.is_dir(), "what was renamed stays"


def _die_writing(folder: Path) -> None:
    with owned_folder(folder, command="finetune"):
        os.kill(os.getpid(), signal.SIGKILL)


def _hold_hidden_folder(parent: Path, connection: Connection) -> None:
    with hidden_folder(parent, prefix=".exporting-") as folder:
        connection.send(str(folder))
        connection.recv()


@pytest.mark.parametrize("name", [None, b"x", "a\0b"])
def test_what_is_no_name_is_told(name) -> None:
    with pytest.raises(ValueError, match="must be the name of a folder"):
        check_folder(name, command="vocab")


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "scratch").symlink_to(tmp_path / "not mounted")
    with pytest.raises(ValueError, match="scratch is a link that leads nowhere"):
        made_by("vocab", tmp_path / "scratch" / "run")


def test_the_parts_of_a_folder_are_its_owners(tmp_path: Path) -> None:
    made_by("finetune", tmp_path)
    for name in ("checkpoints", "tracking"):
        with pytest.raises(ValueError, match="`bert-tf evaluate` into a part of a fine-tuning"):
            made_by("evaluate", tmp_path / name)
    made_by("evaluate", tmp_path / "evaluation")
    with pytest.raises(ValueError, match="published into a folder of their own"):
        check_base(tmp_path)
    with pytest.raises(ValueError, match="--base-dir must name a folder"):
        check_base("")
    check_base(made_by("pipeline run", tmp_path / "flows"))


def test_nothing_is_left_of_the_folders_above(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no"), owned_folder(tmp_path / "a" / "b", command="vocab"):
        raise OSError("no table")
    assert not list(tmp_path.iterdir())
