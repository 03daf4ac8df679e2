"""Records what the runs of a flow did: the one that is under way, and all before it.

FLOW_DIR/state.json      the newest run, as far as it is; a killed one stays `running` there
FLOW_DIR/history.jsonl   all that have ended, one JSON object a line
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pydantic

from bert_tf.system.files import write_whole
from bert_tf.system.folder_lock import holder_of
from bert_tf.system.json_files import parse_json, read_text, validated
from pipelines.engine.json_files import RUN_ANEW

STATE_FILE, HISTORY_FILE = "state.json", "history.jsonl"

RUNNING, KILLED, INTERRUPTED, FAILED = "running", "killed", "interrupted", "failed"
DONE, NOTHING_NEW, REFUSED, ROLLED_BACK = "done", "nothing_new", "refused", "rolled_back"


_WHAT = "the record of a run"


@dataclass
class StepRecord:
    """What became of a step in one run."""

    __pydantic_config__: ClassVar = pydantic.ConfigDict(extra="forbid")

    name: str
    status: str = "waiting"
    """`waiting`, `running`, `done`, `reused`, `skipped`, `failed`, `interrupted`, `not reached`."""
    seconds: float = 0.0
    """In this run."""
    reason: str = ""
    """Why it was reused, skipped or not reached, or failed."""
    started_at: str = ""


@dataclass
class RunRecord:
    """One run of a flow. Times are UTC, ISO 8601."""

    __pydantic_config__: ClassVar = pydantic.ConfigDict(extra="forbid")

    flow: str
    run_id: str
    started_at: str
    steps: list[StepRecord]
    status: str = RUNNING
    reason: str = ""
    ended_at: str = ""
    model: str = ""
    """`NAME version N`, where the run has one."""
    served_at: str = ""
    """Path or address of the version that it published."""
    set_aside: list[dict[str, str]] = field(default_factory=list)
    """Damaged files: `path` and `reason`."""
    report: str = ""

    @classmethod
    def read(cls, text: str, *, origin: str) -> "RunRecord":
        """From the JSON of `as_json`."""
        content = parse_json(text, origin=origin, what=_WHAT, to_do=RUN_ANEW)
        return validated(cls, content, origin=origin, what=_WHAT, to_do=RUN_ANEW)

    @property
    def seconds(self) -> float:
        """Until its end, or until now."""
        end = datetime.fromisoformat(self.ended_at) if self.ended_at else datetime.now(UTC)
        return (end - datetime.fromisoformat(self.started_at)).total_seconds()

    def step(self, name: str) -> StepRecord:
        """By name."""
        return next(step for step in self.steps if step.name == name)

    def as_json(self) -> dict[str, Any]:
        """For files and scripts."""
        return asdict(self)


def now() -> str:
    """UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def write_state(flow_dir: Path, run: RunRecord) -> None:
    """The run as it is now."""
    write_whole(flow_dir / STATE_FILE, json.dumps(run.as_json(), ensure_ascii=False))


def read_state(flow_dir: Path) -> RunRecord | None:
    """The newest run; `killed` where it says that it runs, and no process is there that does."""
    path = flow_dir / STATE_FILE
    if not path.is_file():
        return None
    run = RunRecord.read(read_text(path, what=_WHAT), origin=str(path))
    if run.status == RUNNING and holder_of(flow_dir) is None:
        mark_killed(run)
    return run


def mark_killed(run: RunRecord) -> None:
    """The record of a run whose process ended without one."""
    run.status, run.ended_at = KILLED, now()
    active = [step for step in run.steps if step.status == "running"]
    for step in active:
        step.status, step.reason = "interrupted", "its process was killed"
    run.reason = f"killed at {active[0].name}" if active else "killed"


def append(flow_dir: Path, run: RunRecord) -> None:
    """One line more, whole or not at all."""
    lines = [*_lines(flow_dir), json.dumps(run.as_json(), ensure_ascii=False)]
    write_whole(flow_dir / HISTORY_FILE, "\n".join(lines) + "\n")


def read_history(flow_dir: Path) -> list[RunRecord]:
    """All runs that have ended, the oldest first."""
    path = flow_dir / HISTORY_FILE
    return [
        RunRecord.read(line, origin=f"{path}:{number}")
        for number, line in enumerate(_lines(flow_dir), start=1)
    ]


def _lines(flow_dir: Path) -> Iterable[str]:
    path = flow_dir / HISTORY_FILE
    return read_text(path, what="the history of a flow").splitlines() if path.is_file() else []
