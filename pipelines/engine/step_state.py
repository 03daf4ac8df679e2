"""Decides whether a step's result may be reused: its fingerprint, and the state in its folder.

In: a step and its context. Out: its fingerprint (settings, content of files, results of the steps
before it, code), and `step.json` in its folder, which says with which fingerprint it was finished.
"""

import functools
import hashlib
import importlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import pydantic

from bert_tf.config import Config
from bert_tf.system.files import file_sha256, write_whole
from bert_tf.system.json_files import read_model
from pipelines.engine.json_files import RUN_ANEW
from pipelines.engine.step import Context, Step, Stop, find_result

STATE_FILE = "step.json"


@dataclass(frozen=True)
class State:
    """What `step.json` holds."""

    __pydantic_config__: ClassVar = pydantic.ConfigDict(extra="forbid")

    fingerprint: str
    is_finished: bool = False
    seconds: float = 0.0
    """That the work took, all attempts together."""
    result: str = ""
    """Digest of what later steps read."""
    stop: Stop | None = None
    run_id: str = ""
    """Of the run that finished it."""


def fingerprint(step: Step, context: Context, results: Mapping[str, str]) -> str:
    """Of all that the step reads; `results` are the digests of the steps before it.

    Raises:
        FileNotFoundError, ValueError, ConnectionError: what it reads is not there.
    """
    inputs = {
        "step": step.name,
        "settings": {key: _setting(context.config, key) for key in step.settings},
        "files": [(str(path), file_sha256(path)) for path in step.files(context.config)],
        "world": step.world(context),
        "before": [_result_of(names, results) for names in step.after],
        "code": _code(work_address(step.work).partition(":")[0]),
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def read_state(directory: Path) -> State | None:
    """None where nothing was begun."""
    path = directory / STATE_FILE
    if not path.is_file():
        return None
    return read_model(path, State, what="the state of a step", to_do=RUN_ANEW)


def read_seconds(directory: Path) -> float:
    """How long a step's work took when it was done; 0 of one that never was."""
    state = read_state(directory)
    return 0.0 if state is None else state.seconds


def write_state(directory: Path, state: State) -> None:
    """Whole or not at all."""
    write_whole(directory / STATE_FILE, json.dumps(asdict(state)))


def begin(directory: Path, mark: str) -> State:
    """The folder for a step with the fingerprint `mark`: as it was left, if that was for the same.

    Anything else in it is removed.
    """
    before = read_state(directory)
    if before is None or before.fingerprint != mark:
        shutil.rmtree(directory, ignore_errors=True)
        before = State(mark)
    directory.mkdir(parents=True, exist_ok=True)
    state = State(mark, seconds=0.0 if before.is_finished else before.seconds)
    write_state(directory, state)
    return state


def result_digest(step: Step, directory: Path, mark: str) -> str:
    """Of the files that later steps read; where none are named, of what it was made from.

    Raises:
        FileNotFoundError: the step did not write one of them.
    """
    if not step.result:
        return mark
    folder = directory / step.result_folder
    paths = [find_result(folder, names) for names in step.result]
    content = [(path.name, file_sha256(path)) for path in paths]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def work_address(work: Callable[..., Any]) -> str:
    """`module:function`, by which another process finds the work.

    Raises:
        TypeError: it is no function of a module.
    """
    if "<" in work.__qualname__:
        raise TypeError(f"A step's work must be a function of a module. Received: {work!r}.")
    return f"{work.__module__}:{work.__qualname__}"


def _setting(config: Config, key: str) -> Any:
    section, _, name = key.partition(".")
    values = config.model_dump(mode="json", include={section})[section]
    return values[name] if name else values


def _result_of(names: str, results: Mapping[str, str]) -> str | None:
    return next((results[name] for name in names.split("|") if name in results), None)


@functools.cache
def _code(module: str) -> list[tuple[str, str]]:
    """The package, and the module with the work."""
    package = Path(str(importlib.import_module("bert_tf").__file__)).parent
    own = Path(str(importlib.import_module(module).__file__))
    files = [*sorted(package.rglob("*.py")), own]
    return [(path.name, file_sha256(path)) for path in files]
