"""Figures for reports, drawn without a display."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Curves = Mapping[str, Sequence[tuple[int, float]]]
"""Name -> (step, value)."""


def make_figure(num_axes: int) -> tuple[Any, Sequence[Any]]:
    """A row of axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * num_axes, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, num_axes, squeeze=False)[0]


def plot(axes: Any, curves: Curves, name: str, style: str, label: str) -> None:
    """One curve, if there is one of that name."""
    points = curves.get(name, [])
    if points:
        axes.plot(*zip(*points, strict=True), style, label=label)


def save(figure: Any, path: Path) -> None:
    """As PNG."""
    for axes in figure.axes:
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    figure.savefig(path, dpi=120)
