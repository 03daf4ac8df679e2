"""The reports of tasks that rank passages, or say how alike two texts are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bert_tf.metrics.embeddings import rank_rows
from bert_tf.metrics.metric import Metric
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.metrics.pictures import draw_label_bars, draw_scatter
from bert_tf.metrics.tables import markdown_table
from bert_tf.system.files import write_whole
from bert_tf.system.pictures import try_to_draw
from bert_tf.tasks.base import Report

RANKS, SCORES = ("ranks.png", "ranks.md"), ("scores.png", "scores.md")


def report_ranks(outcomes: Outcomes, directory: Path, *, metrics: Sequence[Metric]) -> Report:
    """How many right passages are at which ranks."""
    rows = rank_rows(outcomes)
    is_drawn = try_to_draw(
        draw_label_bars,
        rows,
        directory / RANKS[0],
        title=f"{metrics[0].title} {metrics[0].score(outcomes, None):.3f}",
        counted="queries",
        rated=("share", "share of queries"),
    )
    return _written(RANKS, directory, [_metric_rows(outcomes, metrics), rows], is_drawn)


def report_scores(outcomes: Outcomes, directory: Path, *, metrics: Sequence[Metric]) -> Report:
    """Answers over scores."""
    title = f"{metrics[0].title} {metrics[0].score(outcomes, None):.3f}"
    given = outcomes.targets, outcomes.predictions, directory / SCORES[0]
    is_drawn = try_to_draw(draw_scatter, *given, title=title)
    return _written(SCORES, directory, [_metric_rows(outcomes, metrics)], is_drawn)


def _metric_rows(outcomes: Outcomes, metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    return [
        {"metric": metric.title, "value": float(metric.score(outcomes, None))} for metric in metrics
    ]


def _written(
    names: tuple[str, str], directory: Path, tables: Sequence[Any], is_drawn: bool
) -> Report:
    picture, table = names
    write_whole(directory / table, "\n\n".join(map(markdown_table, tables)) + "\n")
    return Report(files=(*([picture] if is_drawn else []), table))
