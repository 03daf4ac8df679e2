"""A picture of each part: dots by variant, a dot a seed, or lines over a size."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.ablations.experiment import Chart, Experiment, Part
from benchmarks.ablations.report import Found, finished_rows, summary
from bert_tf.system.pictures import make_figure, save_figure


def draw_charts(
    experiments: Sequence[Experiment], *, seeds: Sequence[int], is_quick: bool, folder: Path
) -> None:
    """One PNG an experiment, `NAME.png`, its parts side by side; of what is finished."""
    for experiment in experiments:
        drawn = []
        for part in experiment.parts:
            found = finished_rows(experiment, part, seeds, is_quick, folder)
            if part.chart is not None and any(found.values()):
                drawn.append((part, found))
        if not drawn:
            continue
        figure = make_figure(4.8 * len(drawn), 3.4)
        for axes, (part, found) in zip(
            figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True
        ):
            draw = _draw_dots if part.chart.over is None else _draw_lines
            draw(axes, part, part.chart, found)
            axes.set_title(part.title, fontsize=9)
            axes.tick_params(labelsize=8)
        save_figure(figure, folder / f"{experiment.name}.png")


def _draw_dots(axes: Any, part: Part, chart: Chart, found: Found) -> None:
    """A line a variant, the first on top: each seed's value, and a bar at their mean."""
    variants = [variant for variant, rows in found.items() if rows]
    (metric,) = chart.metrics
    for height, variant in enumerate(variants):
        values = [row["metrics"][metric] for row in found[variant]]
        mean = sum(values) / len(values)
        axes.plot(values, [height] * len(values), "o", color="C0", alpha=0.6, markersize=5)
        axes.plot([mean], [height], "|", color="black", markersize=14)
    axes.set_yticks(range(len(variants)), variants)
    axes.set_ylim(len(variants) - 0.5, -0.5)
    axes.set_xlabel(chart.label, fontsize=8)
    axes.grid(axis="x", alpha=0.3)


def _draw_lines(axes: Any, part: Part, chart: Chart, found: Found) -> None:
    """Means over a setting: a line a metric, or of one metric a line a group."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for variant, rows in found.items():
        if rows:
            settings = part.settings(variant)
            for metric in chart.metrics:
                name = metric if chart.group is None else chart.group(settings)
                mean = summary(rows)[metric]["mean"]
                lines.setdefault(name, []).append((settings[chart.over], mean))
    for name, points in lines.items():
        axes.plot(*zip(*sorted(points), strict=True), "o-", markersize=3.5, label=name)
    if chart.scale == "log":
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
    sizes = sorted({x for points in lines.values() for x, _ in points})
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel(chart.over.replace("_", " "), fontsize=8)
    axes.set_ylabel(chart.label, fontsize=8)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
