"""Figures for reports, drawn without a display."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bert_tf.system import pictures

Curves = Mapping[str, Sequence[tuple[int, float]]]
"""Name -> (step, value)."""
MAX_POINTS = 2000
"""Of a curve: more cannot be seen, and matplotlib cannot draw any number."""


def make_figure(num_axes: int) -> tuple[Any, Sequence[Any]]:
    """A row of axes."""
    figure = pictures.make_figure(5 * num_axes, 3.6)
    return figure, figure.subplots(1, num_axes, squeeze=False)[0]


def plot(axes: Any, curves: Curves, name: str, style: str, label: str) -> None:
    """One curve, if there is one of that name; of a long one points at equal distances."""
    points = curves.get(name, [])
    every = -(-len(points) // MAX_POINTS)
    if points:
        shown = [*points[:-1:every], points[-1]]
        axes.plot(*zip(*shown, strict=True), style, label=label)


def save(figure: Any, path: Path) -> None:
    """As PNG."""
    for axes in figure.axes:
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    pictures.save_figure(figure, path)
