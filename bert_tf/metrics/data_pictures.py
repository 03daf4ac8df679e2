"""Pictures of labelled data as PNG: how often each target is there, and how long texts are.

Parts, such as training and held-out examples, are drawn beside each other, each on its own scale.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bert_tf.metrics.fonts import drawable
from bert_tf.metrics.pictures import draw_bars, inches_of_long_names
from bert_tf.system.pictures import make_figure, save_figure

MAX_LENGTH_BARS = 64
_LEFT_OF_LAST_BAR = 99.5
"""Per cent of texts: longer ones share the last bar, so that one does not hide all others."""


def draw_target_bars(
    names: Sequence[str],
    counts: Mapping[str, Sequence[int]],
    path: str | Path,
    *,
    numbered: Sequence[str],
    title: str,
) -> None:
    """A bar for each target, from top to bottom; `counts` of each part, in the order of `names`.

    `numbered`: what stands in the place of the names where no font has their characters.
    """
    names, fonts = drawable(names, numbered)
    width = 3 + 3.5 * len(counts) + inches_of_long_names(names)
    figure = make_figure(width, 1.6 + 0.28 * len(names))
    all_axes = figure.subplots(1, len(counts), sharey=True, squeeze=False)[0]
    for axes, (part, values) in zip(all_axes, counts.items(), strict=True):
        draw_bars(axes, values, "{:,}")
        axes.set_title(part)
        axes.set_xlabel("examples")
        axes.margins(x=0.2)
        axes.locator_params(axis="x", nbins=4)
        axes.xaxis.set_major_formatter("{x:,.0f}")
    all_axes[0].set_yticks(range(len(names)), names, family=fonts, parse_math=False)
    all_axes[0].set_ylim(len(names) - 0.4, -0.6)
    figure.suptitle(title)
    save_figure(figure, path)


def draw_target_histogram(
    values: Mapping[str, np.ndarray], edges: np.ndarray | None, path: str | Path, *, title: str
) -> None:
    """Targets that are numbers, (examples,) of each part, in bins; a bar a value without."""
    figure = make_figure(8, 1 + 2.2 * len(values))
    all_axes = figure.subplots(len(values), sharex=True, squeeze=False)[:, 0]
    for axes, (part, numbers) in zip(all_axes, values.items(), strict=True):
        if edges is None:
            present, counts = np.unique(numbers, return_counts=True)
            axes.bar(present, counts, width=_bar_width(np.concatenate([*values.values()])))
        else:
            axes.hist(numbers, bins=edges, edgecolor="white", linewidth=0.5)
        axes.set_title(part)
        axes.set_ylabel("examples")
        axes.yaxis.set_major_formatter("{x:,.0f}")
    all_axes[-1].set_xlabel("target")
    figure.suptitle(title)
    save_figure(figure, path)


def draw_text_lengths(
    lengths: Mapping[str, np.ndarray], path: str | Path, *, unit: str, cut_at: int | None
) -> None:
    """Histograms of lengths, (examples,) of each part; `cut_at`: how much of a text is read."""
    figure = make_figure(8, 1 + 2.2 * len(lengths))
    all_axes = figure.subplots(len(lengths), sharex=True, squeeze=False)[:, 0]
    everything = np.concatenate([*lengths.values()])
    end = int(np.percentile(everything, _LEFT_OF_LAST_BAR))
    end = max(end, 0 if cut_at is None else cut_at) + 1
    width = -(-end // MAX_LENGTH_BARS)
    # No bar has texts on both sides of the cut.
    first = 0 if cut_at is None else (cut_at + 1) % width - width
    starts = np.arange(first, end + width, width)
    for axes, (part, of_part) in zip(all_axes, lengths.items(), strict=True):
        bars = np.minimum((of_part - first) // width, len(starts) - 1)
        axes.bar(starts, np.bincount(bars, minlength=len(starts)), width=width, align="edge")
        axes.set_xlim(left=0)
        _say_where_texts_are_cut(axes, of_part, cut_at=cut_at)
        axes.set_title(
            _length_title(part, of_part, unit=unit, last_bar=range(starts[-1], starts[-1] + width))
        )
        axes.set_ylabel("examples")
        axes.yaxis.set_major_formatter("{x:,.0f}")
    all_axes[-1].set_xlabel(f"{unit} an example")
    save_figure(figure, path)


def _say_where_texts_are_cut(axes: Any, lengths: np.ndarray, *, cut_at: int | None) -> None:
    if cut_at is None:
        return
    share = (lengths > cut_at).mean()
    label = f"{share:.1%} longer than {cut_at}"
    axes.axvline(cut_at + 1, color="tab:red", linestyle="--", linewidth=1.2, label=label)
    axes.legend(loc="upper right")


def _length_title(part: str, lengths: np.ndarray, *, unit: str, last_bar: range) -> str:
    median, longest = np.median(lengths), lengths.max()
    title = f"{part}: median {median:g}, longest {longest:,} {unit}"
    is_pooled = longest >= last_bar.stop
    return f"{title}; the last bar is {last_bar.start:,} and more" if is_pooled else title


def _bar_width(values: np.ndarray) -> float:
    """Of bars that do not touch, and can be seen."""
    present = np.unique(values)
    if len(present) == 1:
        return 0.8
    gap, extent = np.diff(present).min(), present[-1] - present[0]
    return float(max(0.8 * gap, extent / 200))
