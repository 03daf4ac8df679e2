"""Shows a run of a flow: a live table of its steps in a terminal, log lines elsewhere."""

import contextlib
import logging
import time
from types import TracebackType
from typing import Any, Self

from bert_tf.system.listing import listed
from pipelines.engine.history import RunRecord

log = logging.getLogger(__name__)

_LINE_EVERY_SECONDS = 60.0
_MARKS = {"done": "✓", "reused": "=", "skipped": "-", "failed": "✗", "running": "▸"}
_STATUSES_WITH_REASON = ("skipped", "failed", "interrupted", "done")


class FlowDisplay:
    """Shows the steps with their times while they run.

    Without a terminal the log says when a step begins and ends, and once a minute how far it is.
    """

    def __init__(self, *, is_terminal: bool) -> None:
        self._live: Any = None
        self._line = ""
        self._record: RunRecord | None = None
        self._step_began = ("", 0.0)
        self._told_at = time.monotonic()
        if is_terminal:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                console=Console(stderr=True), get_renderable=self._table, refresh_per_second=2
            )

    def update(self, record: RunRecord, line: str) -> None:
        """The run as it is; `line` is the last that the step's process said."""
        self._record = record
        self._line = line or self._line
        is_time = time.monotonic() - self._told_at >= _LINE_EVERY_SECONDS
        if self._live is None and line and is_time:
            self._told_at = time.monotonic()
            log.info("  %s", line)
        running = next((step.name for step in record.steps if step.status == "running"), "")
        if running != self._step_began[0]:
            self._step_began, self._line = (running, time.monotonic()), ""

    def _table(self) -> Any:
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, expand=True)
        for heading in ("", "step", "status", "time", ""):
            table.add_column(heading, overflow="ellipsis", no_wrap=True)
        for step in self._record.steps if self._record else ():
            is_running = step.status == "running"
            seconds = time.monotonic() - self._step_began[1] if is_running else step.seconds
            table.add_row(
                _MARKS.get(step.status, ""),
                step.name,
                step.status,
                _duration(seconds) if seconds else "",
                self._line if is_running else step.reason,
            )
        return table

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            with contextlib.suppress(Exception):
                self._live.stop()


def describe(record: RunRecord) -> str:
    """A run in some lines."""
    head = f"{record.flow}: {record.status.replace('_', ' ')}"
    head += f", {_duration(record.seconds)}" + (f": {record.reason}" if record.reason else "")
    lines = [head]
    for step in record.steps:
        reason = step.reason if step.status in _STATUSES_WITH_REASON else ""
        seconds = _duration(step.seconds) if step.seconds else ""
        mark = _MARKS.get(step.status, " ")
        lines.append(f"  {mark} {step.name:<22}{step.status:<12}{seconds:>9}  {reason}".rstrip())
    if record.set_aside:
        files = (f"  set aside: {file['path']}: {file['reason']}" for file in record.set_aside)
        lines.append(listed(files, max_characters=500, separator="\n"))
    where = {"model": record.model, "served from": record.served_at, "report": record.report}
    return "\n".join([*lines, *(f"  {key}: {value}" for key, value in where.items() if value)])


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
