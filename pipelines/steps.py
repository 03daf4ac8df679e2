"""Steps of a flow: each has a folder, runs once for given inputs, and says when it is reused.

A step's fingerprint covers its inputs (settings, content of files, fingerprints of the steps it
builds on) and the code that makes it. A finished folder with the same fingerprint is reused; an
unfinished one with the same fingerprint is gone on with; any other is removed first.
"""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bert_tf.files import write_whole

log = logging.getLogger(__name__)

STEP_FILE = "step.json"
TRANSIENT = (ConnectionError, TimeoutError)
"""What may be gone at the next attempt."""


@dataclass(frozen=True)
class Step:
    """A finished step."""

    name: str
    directory: Path
    fingerprint: str
    is_reused: bool
    seconds: float
    """How long the work took, when it was done."""


def run_step(
    name: str,
    work: Callable[[Path], Any],
    *,
    inputs: Mapping[str, Any],
    code: Sequence[Path],
    parent_dir: Path,
    max_attempts: int = 1,
    backoff_seconds: float = 5.0,
) -> Step:
    """Run `work` in `parent_dir/name`, or reuse what it made there from the same inputs.

    Args:
        inputs: what the result depends on: JSON values, `Path`s (their content counts) and
            earlier `Step`s.
        code: source files and folders whose change makes the result another.
        max_attempts: so often is tried what fails for a while only, a server that does not answer
            or a time limit; first after `backoff_seconds`, then after twice as long each time. Any
            other error ends the step at once.
    """
    directory = parent_dir / name
    sources = [_sources(path) for path in code]
    fingerprint = _digest({"name": name, "inputs": inputs, "code": sources})
    before = _read(directory)
    if before and before["fingerprint"] == fingerprint and before["is_finished"]:
        log.info("%s: nothing changed, reusing %s", name, directory)
        return Step(name, directory, fingerprint, True, before["seconds"])
    if before is None or before["fingerprint"] != fingerprint:
        shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    seconds_before = before["seconds"] if before and before["fingerprint"] == fingerprint else 0.0
    _write(directory, fingerprint=fingerprint, is_finished=False, seconds=seconds_before)
    log.info("%s: running in %s", name, directory)
    started_at = time.monotonic()
    _attempt(name, work, directory, max_attempts=max_attempts, backoff_seconds=backoff_seconds)
    seconds = seconds_before + time.monotonic() - started_at
    _write(directory, fingerprint=fingerprint, is_finished=True, seconds=seconds)
    log.info("%s: done in %.0f s", name, seconds)
    return Step(name, directory, fingerprint, False, seconds)


def _attempt(
    name: str,
    work: Callable[[Path], Any],
    directory: Path,
    *,
    max_attempts: int,
    backoff_seconds: float,
) -> None:
    for attempt in range(1, max_attempts + 1):
        try:
            work(directory)
        except TRANSIENT as error:
            if attempt == max_attempts:
                raise
            wait_seconds = backoff_seconds * 2 ** (attempt - 1)
            log.warning(
                "%s: attempt %d of %d failed, the next in %.0f s: %s",
                name,
                attempt,
                max_attempts,
                wait_seconds,
                error,
            )
            time.sleep(wait_seconds)
        else:
            return


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=_content)
    return hashlib.sha256(text.encode()).hexdigest()


def _content(value: Any) -> Any:
    if isinstance(value, Step):
        return value.fingerprint
    if isinstance(value, Path):
        files = sorted(path for path in value.rglob("*") if path.is_file())
        return [
            (str(path.relative_to(value)), hashlib.sha256(path.read_bytes()).hexdigest())
            for path in (files if value.is_dir() else [value])
        ]
    raise TypeError(f"A step's input must be JSON, a Path or a Step. Received: {value!r}.")


def _sources(path: Path) -> list[tuple[str, str]]:
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [
        (str(file.relative_to(path.parent)), hashlib.sha256(file.read_bytes()).hexdigest())
        for file in files
    ]


def _read(directory: Path) -> dict[str, Any] | None:
    path = directory / STEP_FILE
    if not path.is_file():
        return None
    state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return state


def _write(directory: Path, **state: Any) -> None:
    write_whole(directory / STEP_FILE, json.dumps(state))
