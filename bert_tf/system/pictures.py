"""Draws pictures for people that nothing depends on: bounded in size, and whole or not there."""

import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bert_tf.system.files import write_whole

log = logging.getLogger(__name__)

MAX_INCHES = 60.0
"""Of a side; a picture of 60 inches takes 200 MB while it is drawn."""
_DPI = 120


def try_to_draw(draw: Callable[..., None], *args: Any, **options: Any) -> bool:
    """Whether `draw(*args, **options)` succeeded: a picture that fails is a warning in the log."""
    try:
        draw(*args, **options)
    except Exception as error:
        log.warning(
            "%s must draw a picture, which nothing depends on. Received: %s: %s. The result is "
            "complete without it.",
            getattr(draw, "__name__", draw),
            type(error).__name__,
            error,
        )
        return False
    return True


def make_figure(width: float, height: float) -> Any:
    """An empty figure, in inches.

    Raises:
        ValueError: it is too large to be drawn in bounded time and memory, or to be read.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if max(width, height) > MAX_INCHES:
        raise ValueError(
            f"A picture must be at most {MAX_INCHES:g} inches wide and high. Received: "
            f"{width:.0f} x {height:.0f}. Draw less, such as the most frequent alone."
        )
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Any, path: str | Path) -> None:
    """As PNG."""
    content = io.BytesIO()
    figure.savefig(content, dpi=_DPI)
    write_whole(path, content.getvalue())
