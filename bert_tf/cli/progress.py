"""Shows the progress of long work: a live bar in a terminal, a log line now and then elsewhere."""

import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from bert_tf.training.engine.loop import Progress

log = logging.getLogger(__name__)

LINE_EVERY_SECONDS = 15.0


class ProgressDisplay:
    """Shows stages of work with rate and time left until it is closed.

    Args:
        is_terminal: draw a live bar (rich); otherwise log a line now and then.
    """

    def __init__(self, *, is_terminal: bool, line_every_seconds: float = LINE_EVERY_SECONDS):
        self._line_every_seconds = line_every_seconds
        self._bar: Any = _make_bar() if is_terminal else None
        self._tasks: dict[str, Any] = {}
        self._first_seen: dict[str, tuple[float, int]] = {}
        self._last_line_at = 0.0

    def update(self, stage: str, done: int, total: int | None, detail: str = "") -> None:
        """`done` of `total` units of a stage are done; `detail` is shown beside it."""
        now = time.monotonic()
        seen_at, seen_done = self._first_seen.setdefault(stage, (now, done))
        if self._bar is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._bar.add_task(stage, total=total, detail="")
            self._bar.update(self._tasks[stage], completed=done, total=total, detail=detail)
            return
        is_finished = total is not None and done >= total
        if now - self._last_line_at >= self._line_every_seconds or is_finished:
            self._last_line_at = now
            log.info(
                "%s",
                describe_work(stage, done, total, detail, rate_of(done - seen_done, now - seen_at)),
            )

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def rate_of(done: int, seconds: float) -> float | None:
    """Units a second; None before there are any."""
    return done / seconds if done and seconds > 0 else None


def describe_work(stage: str, done: int, total: int | None, detail: str, rate: float | None) -> str:
    """One line: how much is done, what stands beside it or how fast it goes, the time left."""
    parts = [f"{stage}: {done:,}" + (f" of {total:,}" if total else "")]
    if detail:
        parts.append(detail)
    elif rate:
        parts.append(f"{rate:,.1f}/s")
    if total and rate and done < total:
        parts.append(f"{_duration((total - done) / rate)} left")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def _make_bar() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def progress_shown(show: Callable[..., None], stage_name: str) -> Callable[["Progress"], None]:
    """What a run calls with its progress; `show` is that of `shown_progress`."""
    return lambda progress: show(
        stage_name, progress.step, progress.num_steps, describe_progress(progress)
    )


def describe_progress(progress: "Progress") -> str:
    """Loss, accuracies, learning rate and speed of a training run in one line."""
    metrics = progress.metrics
    accuracies = [
        f"{name.removesuffix('_accuracy')} {value:.1%}"
        for name, value in metrics.items()
        if name.endswith("_accuracy")
    ]
    parts = [f"loss {metrics['loss']:.3f}", *accuracies]
    if "learning_rate" in metrics:  # no step was done where it is not
        parts.append(f"lr {metrics['learning_rate']:.2e}")
    parts.append(f"{progress.sequences_per_second:,.1f} sequences/s")
    if "real_tokens_per_second" in metrics:
        parts.append(f"{metrics['real_tokens_per_second']:,.0f} real tokens/s")
        parts.append(f"MFU {metrics['model_flops_utilization']:.1%}")
    return ", ".join(parts)
