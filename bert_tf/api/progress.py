"""How long work is shown where Python runs: in a notebook, in a terminal, or as log lines."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from bert_tf.cli.progress import ProgressDisplay, describe_work, rate_of

_SECONDS_BETWEEN = 0.5


@contextlib.contextmanager
def progress(*, is_shown: bool) -> Iterator[Callable[..., None]]:
    """What shows (stage, done, total, detail)."""
    if not is_shown:
        yield lambda *_: None
    elif _is_notebook():
        notebook = _NotebookDisplay()
        try:
            yield notebook.update
        finally:
            notebook.draw_last()
    else:
        with ProgressDisplay(is_terminal=sys.stderr.isatty()) as display:
            yield display.update


def _is_notebook() -> bool:
    """Whether a Jupyter kernel runs this; without one IPython is not imported."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return type(shell).__name__ == "ZMQInteractiveShell"


class _NotebookDisplay:
    """A line a stage below the cell, drawn over as the stage goes on."""

    def __init__(self) -> None:
        self._lines: dict[str, Any] = {}
        self._began: dict[str, tuple[float, int]] = {}
        self._drawn_at: dict[str, float] = {}
        self._waiting: dict[str, str] = {}

    def update(self, stage: str, done: int, total: int | None, detail: str = "") -> None:
        """`done` of `total` units of a stage are done; `detail` stands beside it."""
        now = time.monotonic()
        began_at, began_with = self._began.setdefault(stage, (now, done))
        rate = rate_of(done - began_with, now - began_at)
        self._waiting[stage] = describe_work(stage, done, total, detail, rate)
        is_last = total is not None and done >= total
        if is_last or now - self._drawn_at.get(stage, 0.0) >= _SECONDS_BETWEEN:
            self._drawn_at[stage] = now
            self._draw(stage)

    def draw_last(self) -> None:
        """What has come since the last drawing of each stage."""
        for stage in list(self._waiting):
            self._draw(stage)

    def _draw(self, stage: str) -> None:
        from IPython.display import display

        shown = {"text/plain": self._waiting.pop(stage)}
        if stage in self._lines:
            self._lines[stage].update(shown, raw=True)
        else:
            self._lines[stage] = display(shown, raw=True, display_id=True)
