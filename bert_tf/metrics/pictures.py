"""Pictures of predictions for people, as PNG: confusion matrix, bars of labels, scatter, curve.

The time and the size of a picture are bounded, however many classes and examples there are.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bert_tf.metrics.answer_thresholds import LARGEST, ThresholdCurve
from bert_tf.metrics.fonts import drawable
from bert_tf.system.pictures import make_figure, save_figure

MAX_CLASSES = 30
MAX_LABELS = 40
MAX_POINTS = 3000


def draw_confusion_matrix(
    matrix: Any, class_names: Sequence[str], path: str | Path, *, title: str
) -> None:
    """Shares of the true class as colour, counts as text; `matrix` (C, C), dense or sparse.

    Of more than 30 classes those with the most errors are drawn, the rest as one class, "other".
    """
    numbered = [f"class {index}" for index in range(len(class_names))]
    if len(class_names) > MAX_CLASSES:
        shown = _most_confused(matrix)
        other = f"other ({len(class_names) - len(shown):,} classes)"
        class_names = [*(class_names[index] for index in shown), other]
        numbered = [*(numbered[index] for index in shown), other]
        matrix = _pooled(matrix, shown)
    elif not isinstance(matrix, np.ndarray):
        matrix = matrix.toarray()
    names, fonts = drawable(class_names, numbered)
    size = 2.5 + 0.7 * len(names) + inches_of_long_names(names)
    figure = make_figure(size + 1, size)
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    text: dict[str, Any] = {"family": fonts, "parse_math": False}
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", **text)
    axes.set_yticks(range(len(names)), names, **text)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title)
    for (row, column), count in np.ndenumerate(matrix):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=colour)
    figure.colorbar(image, label="share of the true class")
    save_figure(figure, path)


def draw_label_bars(
    rows: Sequence[Mapping[str, Any]],
    path: str | Path,
    *,
    title: str,
    counted: str = "examples that have it",
    rated: tuple[str, str] = ("f1", "F1"),
) -> None:
    """F1 and support of the 40 most frequent of `rows`, which have `name`, `f1` and `support`.

    Args:
        counted: what the support is a number of.
        rated: in the place of F1: its key in `rows`, and what it is called.
    """
    order = sorted(range(len(rows)), key=lambda index: -rows[index]["support"])[:MAX_LABELS]
    shown = [rows[index] for index in order]
    names, fonts = drawable([row["name"] for row in shown], [f"label {index}" for index in order])
    figure = make_figure(9 + inches_of_long_names(names), 1.6 + 0.28 * len(shown))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    draw_bars(left, [row[rated[0]] for row in shown], "{:.2f}")
    draw_bars(right, [row["support"] for row in shown], "{:,}")
    left.set_yticks(range(len(names)), names, family=fonts, parse_math=False)
    left.set_ylim(len(names) - 0.4, -0.6)
    left.set_xlim(0.0, 1.12)
    left.set_xticks(np.linspace(0.0, 1.0, 6))
    left.set_xlabel(rated[1])
    right.set_xlabel(counted)
    right.margins(x=0.2)
    right.locator_params(axis="x", nbins=4)
    right.xaxis.set_major_formatter("{x:,.0f}")
    left_out = len(rows) - len(shown)
    rest = f"\nthe {len(shown)} most frequent; {left_out:,} are left out" if left_out else ""
    figure.suptitle(title + rest)
    save_figure(figure, path)


def draw_scatter(
    targets: np.ndarray, predictions: np.ndarray, path: str | Path, *, title: str
) -> None:
    """Predictions over targets, both (E,), with the diagonal; many points as a density.

    Points that are not finite are left out.
    """
    is_finite = np.isfinite(targets) & np.isfinite(predictions)
    true, predicted = targets[is_finite], predictions[is_finite]
    low, high = _limits(true, predicted)
    figure = make_figure(6, 5.5)
    axes = figure.add_subplot()
    if len(true) > MAX_POINTS:
        density = axes.hexbin(
            true,
            predicted,
            gridsize=50,
            extent=(low, high, low, high),
            bins="log",
            mincnt=1,
            cmap="Blues",
        )
        figure.colorbar(density, label="examples")
    else:
        axes.scatter(true, predicted, s=12, alpha=0.4, linewidths=0)
    axes.plot([low, high], [low, high], color="grey", linewidth=1, linestyle="--")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")
    axes.set_xlabel("true")
    axes.set_ylabel("predicted")
    axes.set_title(title)
    save_figure(figure, path)


def draw_threshold_curve(
    curve: ThresholdCurve, path: str | Path, *, threshold: float, title: str, label: str
) -> None:
    """A metric over the threshold of no answer: of all questions, and of those with and without.

    Args:
        label: what the metric is called.
    """
    shown = np.flatnonzero(np.abs(curve.thresholds) < LARGEST)
    rows = shown[:: max(1, math.ceil(len(shown) / MAX_POINTS))]
    figure = make_figure(7, 4.5)
    axes = figure.add_subplot()
    for values, name in (
        (curve.values, "all questions"),
        (curve.has_answer, "with an answer"),
        (curve.no_answer, "without"),
    ):
        if not np.isnan(values).any():
            axes.plot(curve.thresholds[rows], values[rows], drawstyle="steps-post", label=name)
    axes.axvline(
        threshold, color="grey", linewidth=1, linestyle="--", label=f"threshold {threshold:.3g}"
    )
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("no answer is given above this margin")
    axes.set_ylabel(label)
    axes.set_title(title)
    axes.legend()
    save_figure(figure, path)


def inches_of_long_names(names: Sequence[str]) -> float:
    return 0.15 * max(0, max(map(len, names), default=0) - 16)


def _most_confused(matrix: Any) -> np.ndarray:
    """The classes with the most errors, in their order, one less than can be drawn."""
    errors = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * matrix.diagonal()
    return np.sort(np.argsort(-errors, kind="stable")[: MAX_CLASSES - 1])


def _pooled(matrix: Any, shown: np.ndarray) -> np.ndarray:
    """The counts of `shown` classes, then those of all others as one."""
    from scipy.sparse import coo_array

    groups = np.full(matrix.shape[0], len(shown))
    groups[shown] = np.arange(len(shown))
    cells = coo_array(matrix)
    pooled = np.zeros((len(shown) + 1, len(shown) + 1), matrix.dtype)
    np.add.at(pooled, (groups[cells.row], groups[cells.col]), cells.data)
    return pooled


def draw_bars(axes: Any, values: Sequence[float], pattern: str) -> None:
    bars = axes.barh(range(len(values)), values, height=0.7)
    axes.bar_label(bars, [pattern.format(value) for value in values], padding=3, fontsize=8)


def _limits(true: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    values = np.concatenate([true, predicted]).astype(float)
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    margin = 0.05 * (high - low) or 0.05 * abs(low) or 1.0
    return float(low - margin), float(high + margin)
