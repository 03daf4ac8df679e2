"""An output folder has one kind and, at a time, one writer.

The kind is noted in `folder.json` before anything else is written, so that no command writes over
what another has made; a folder of before that note is told by its files.
"""

import contextlib
import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from bert_tf.system.files import write_whole
from bert_tf.system.folder_lock import LOCK_FILE, lock_folder
from bert_tf.system.json_files import read_json

KIND_FILE = "folder.json"
COMMANDS = {
    "vocab": "a vocabulary",
    "prepare": "records",
    "pretrain": "a pretraining",
    "finetune": "a fine-tuning",
    "evaluate": "an evaluation",
    "evaluate-retrieval": "an evaluation of a search",
    "benchmark": "a benchmark's runs and table",
    "export": "exported versions",
    "convert": "a converted model",
    "inspect": "an inspection report",
    "registry fetch": "a fetched version",
    "pipeline run": "flows",
}
"""The commands that write a folder, and what each of them writes."""

_SIGNS = (
    ("registry.json", "registry fetch"),
    ("model.json", "convert"),
    ("manifest.json", "prepare"),
    (".prepare", "prepare"),
    (".highest_version", "export"),
    ("vocabulary_report.json", "vocab"),
)
"""Files by which a folder without a note is told, the first that is there, and whose it is."""
_FOREIGN = (
    *("vocab.txt", "tokenizer.json", "config.json", "model.safetensors", "pytorch_model.bin"),
    *("saved_model.pb", "bert_config.json", "tokenizer_config.json", "spm.model"),
)
"""Files of models that this package has not made there."""
_INNER = ("checkpoints", "tensorboard", "tracking", ".prepare")
"""Folders inside of one that a command writes, which are its own."""
_OF_VERSIONS = ("export", "registry fetch", "pipeline run")
"""Commands in whose folders there are folders of others."""
_LEFTOVER = re.compile(r"\.(.+\.\d+|step-\d+)\.tmp")
"""What a process leaves that was killed while it wrote a file or a checkpoint."""


@contextlib.contextmanager
def owned_folder(directory: str | Path, *, command: str, is_shared: bool = False) -> Iterator[Path]:
    """Make `directory`, hold its lock, and note whose it is; leftovers of the dead are cleared.

    A command that then writes nothing leaves nothing: neither the note nor a new folder.

    Args:
        command: one of `COMMANDS`.
        is_shared: several processes may write there at a time, since what each of them writes
            appears whole under a name of its own: no lock, and nothing is cleared.

    Raises:
        ValueError: see `check_folder`; or another process holds the lock. Nothing is written then.
    """
    check_folder(directory, command=command)
    path = Path(directory)
    made = [place for place in (path, *path.parents) if not place.exists()]
    try:
        with _noted(path, command=command, is_shared=is_shared):
            yield path
    finally:
        with contextlib.suppress(OSError):
            for place in made:
                place.rmdir()  # where nothing was written


@contextlib.contextmanager
def _noted(path: Path, *, command: str, is_shared: bool) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            path.mkdir(parents=True, exist_ok=True)
            if not is_shared:
                stack.enter_context(lock_folder(path, command=f"bert-tf {command}"))
                _clear(path)
            is_noted = _note(path, command=command)
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            yield
        finally:
            if is_noted and {file.name for file in path.iterdir()} <= {KIND_FILE, LOCK_FILE}:
                (path / KIND_FILE).unlink()


def check_folder(directory: str | Path, *, command: str) -> None:
    """Look whether `command` may write into `directory`; nothing is written.

    Raises:
        ValueError: it names no folder, is a file, or holds what another command made.
    """
    path = _named(directory, what="--output-dir", example=f"runs/{command}")
    for place in (path, *path.parents):
        found = "a file" if place.exists() else "a link that leads nowhere"
        if os.path.lexists(place) and not place.is_dir():
            raise ValueError(
                f"{directory}: the output folder must be a folder, or not there yet. Received: "
                f"{place} is {found}. Give another --output-dir."
            )
    if path.name in _INNER and (inside := noted_owner(path.parent)):
        raise ValueError(
            f"{directory}: a folder holds what one command writes. Received: `bert-tf {command}` "
            f"into a part of {COMMANDS[inside]}. Give another --output-dir."
        )
    owner = owner_of(path)
    if owner not in (None, command):
        found = COMMANDS.get(str(owner), "files that no command of this package wrote there")
        raise ValueError(
            f"{directory}: a folder holds what one command writes. Received: `bert-tf {command}` "
            f"into a folder with {found}. Give another --output-dir."
        )


def check_base(directory: str | Path) -> None:
    """Raise ValueError if models cannot be published below `directory`: it is a command's own."""
    owner = noted_owner(_named(directory, what="--base-dir", example="runs/served"))
    if owner is not None and owner not in _OF_VERSIONS:
        raise ValueError(
            f"{directory}: models are published into a folder of their own. Received: a folder "
            f"with {COMMANDS[owner]}. Give another --base-dir."
        )


def noted_owner(directory: Path) -> str | None:
    """The command that `folder.json` names; None where there is none."""
    path = directory / KIND_FILE
    return _read_note(path) if path.is_file() else None


def _named(directory: str | Path, *, what: str, example: str) -> Path:
    if not isinstance(directory, str | os.PathLike) or "\0" in os.fspath(directory):
        raise ValueError(
            f"{what} must be the name of a folder. Received: {directory!r}. Give one, such as "
            f"{example}."
        )
    if not str(directory).strip():
        raise ValueError(
            f"{what} must name a folder. Received: an empty name. Give one, such as {example}."
        )
    return Path(directory)


def owner_of(directory: Path) -> str | None:
    """The command that may go on in a folder; None where there is nothing that one writes.

    "" where there are files of a model that this package has not written there.
    """
    if (owner := noted_owner(directory)) is not None:
        return owner
    settings = directory / "checkpoints" / "settings.json"
    if settings.is_file():
        return "finetune" if b'"description"' in settings.read_bytes() else "pretrain"
    for name, command in _SIGNS:
        if (directory / name).exists():
            return command
    if any(directory.glob("[0-9]*/saved_model.pb")):
        return "export"
    if (directory / "metrics.json").is_file():
        return "evaluate"
    return "" if any((directory / name).exists() for name in _FOREIGN) else None


def _read_note(path: Path) -> str:
    command = read_json(path, what="the note of a folder's kind").get("command")
    if isinstance(command, str) and command in COMMANDS:
        return command
    raise ValueError(
        f"{path}: must name the command that wrote the folder, one of {', '.join(COMMANDS)}. "
        f"Received: {command!r}. Give another --output-dir, or remove the folder."
    )


def _note(directory: Path, *, command: str) -> bool:
    """Whether the note is new."""
    if (directory / KIND_FILE).is_file():
        return False
    content = {"command": command, "holds": COMMANDS[command]}
    write_whole(directory / KIND_FILE, json.dumps(content) + "\n")
    return True


def _clear(directory: Path) -> None:
    for folder in (directory, directory / "checkpoints"):
        for left_over in folder.glob(".*.tmp"):
            if not _LEFTOVER.fullmatch(left_over.name):
                continue
            if left_over.is_dir():
                shutil.rmtree(left_over, ignore_errors=True)
            else:
                left_over.unlink()


def _unwritable(directory: str | Path, error: OSError) -> OSError | ValueError:
    if error.errno in (
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ENAMETOOLONG,
    ):
        return ValueError(
            f"{directory}: the output folder must be one that can be written. Received: "
            f"{os.strerror(error.errno).lower()}. Give another --output-dir, or the right to "
            "write there."
        )
    return error
