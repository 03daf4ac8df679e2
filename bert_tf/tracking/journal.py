"""Writes and reads a run's journal on disk.

In: events, `{"event": "metrics", "time_ms": …, …}`. Out: `journal.jsonl`; beside it `sent.json`,
how far the MLflow server has it, and `lock`, held by the process that sends.
"""

import fcntl
import json
import math
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import pydantic

from bert_tf.config import Section
from bert_tf.system.files import write_whole
from bert_tf.system.json_files import decode_json, read_model

TRACKING_FOLDER = "tracking"
JOURNAL_FILE = "journal.jsonl"
SYSTEM = "system/"
_SENT = "sent.json"
_SEND_AGAIN = "Remove it to send all again, into a new run."


class _Sent(Section):
    """What `sent.json` holds."""

    run_id: str | None
    offset: pydantic.NonNegativeInt


class Curves:
    """The metrics among a journal's events: name -> step -> value.

    A training that began anew with other settings has other steps: those before are forgotten.

    Args:
        from_step: of a long run only this step and later ones are held, and step 0, where results
            are.
    """

    def __init__(self, events: Iterable[Mapping[str, Any]] = (), *, from_step: int = 0) -> None:
        self.values: dict[str, dict[int, float]] = {}
        self._from_step = from_step
        self._begins_with: str | None = None
        for event in events:
            self.note(event)

    def note(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "metrics":
            if 0 < event["step"] < self._from_step:
                return
            for name, value in event["values"].items():
                self.values.setdefault(name, {})[event["step"]] = float(value)
        elif begins_with := event.get("begins_with"):
            if self._begins_with not in (None, begins_with):
                self.values.clear()
            self._begins_with = begins_with

    def at(self, step: int) -> dict[str, float]:
        return {name: curve[step] for name, curve in self.values.items() if step in curve}


class Journal:
    """An append-only file of events, "close" the last. A half-written line is closed off.

    `before` are the metrics that it had when it was opened, from a step on: those that a training
    which goes on there may log again. What the machine does (`system/…`) never comes again.
    """

    def __init__(self, path: Path, *, from_step: int = 0):
        self.first: dict[str, Any] | None = None
        self.last_kind: str | None = None
        self.before = Curves(from_step=from_step)
        self._lock = threading.Lock()
        self._file = path.open("a+b", buffering=0)
        if self._file.seek(0, os.SEEK_END):
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")
        for event in read_events(path):
            self.last_kind = event["event"]
            if not _is_of_system(event):
                self.before.note(event)
            if self.first is None and self.last_kind == "open":
                self.first = event

    @property
    def age_seconds(self) -> int:
        return (_now_ms() - (self.first or {}).get("time_ms", _now_ms())) // 1000

    def append(self, kind: str, **fields: Any) -> None:
        event = {"event": kind, "time_ms": _now_ms(), **fields}
        if self.first is None and kind == "open":
            self.first = event
        if kind == "metrics":  # JSON has no NaN and no infinity
            event["values"] = {
                name: value if math.isfinite(value) else repr(value)
                for name, value in fields["values"].items()
            }
        line = json.dumps(event, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            if not self._file.closed:
                self._file.write(line)
            if kind == "close":
                self._file.close()

    def close(self) -> None:
        with self._lock:
            self._file.close()


def _is_of_system(event: Mapping[str, Any]) -> bool:
    return event["event"] == "metrics" and next(iter(event["values"]), "").startswith(SYSTEM)


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """A journal's events in the order they were logged; broken lines are passed over."""
    with path.open("rb") as file:
        yield from filter(None, map(parse_event, file))


def parse_event(line: bytes) -> dict[str, Any] | None:
    """The event of a line; None for a line that was not written whole."""
    try:
        event = decode_json(line.decode())
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def take_lock(directory: Path, *, wait_seconds: float) -> IO[bytes] | None:
    """An open file whose closing, or whose process's death, frees the lock."""
    file = (directory / "lock").open("ab")
    end = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() >= end:
                file.close()
                return None
        time.sleep(0.05)


def read_sent(directory: Path) -> tuple[str | None, int]:
    """The MLflow run of a folder's journal, and how many bytes of the journal it has."""
    path = directory / _SENT
    if not path.is_file():
        return None, 0
    sent = read_model(path, _Sent, what="a note of what MLflow has", to_do=_SEND_AGAIN)
    return sent.run_id, sent.offset


def write_sent(directory: Path, *, run_id: str | None, offset: int) -> None:
    """Note that the run has the journal up to `offset`."""
    write_whole(directory / _SENT, json.dumps({"run_id": run_id, "offset": offset}))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
