"""Metrics of finished runs in; mean and standard deviation of each set, over seeds, out.

Where several settings were tried, those with the best mean of a set's first score are reported.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bert_tf.benchmark_tables.data import SetData
from bert_tf.benchmark_tables.plan import Run
from bert_tf.benchmark_tables.running import Work
from bert_tf.benchmark_tables.sets import Benchmark, BenchmarkSet

Results = dict[str, Any]
"""`results.json`. Values are shares, as in `metrics.json`; published ones in percent."""


def collect_results(
    benchmark: Benchmark,
    sets: Sequence[SetData],
    runs: Sequence[Run],
    work: Work,
    *,
    model: Mapping[str, str],
) -> Results:
    """All that the table says; a function of the finished runs."""
    return {
        "benchmark": benchmark.name,
        "title": benchmark.title,
        "model": dict(model),
        "seeds": list(dict.fromkeys(run.seed for run in runs)),
        "recipe_source": benchmark.recipe_source,
        "sets": {
            data.found.spec.name: _of_set(
                data, [run for run in runs if run.set_name == data.found.spec.name], work
            )
            for data in sets
        },
        "published": [
            {
                "model": row.model,
                "split": row.split,
                "source": row.source,
                "values": {name: list(values) for name, values in row.values.items()},
            }
            for row in benchmark.published
        ],
    }


def _of_set(data: SetData, runs: Sequence[Run], work: Work) -> dict[str, Any]:
    spec = data.found.spec
    by_point: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        by_point.setdefault(tuple(run.point.items()), []).append(run)
    tried = [
        {"settings": _settings(own[0]), "scores": _scores(spec, own, work)}
        for own in by_point.values()
    ]
    best = max(tried, key=lambda it: _rank(it["scores"][spec.scores[0].name]["mean"]))
    return {
        "title": spec.title,
        **best,
        "num_settings_tried": len(tried),
        "tried": tried if len(tried) > 1 else [],
        "num_examples": dict(data.num_examples),
        "files": {part: path.name for part, path in data.found.files.items()},
        "note": data.note,
    }


def _settings(run: Run) -> dict[str, Any]:
    section = run.config.finetuning
    return {
        "learning_rate": section.training.optimizer.learning_rate,
        "batch_size": section.training.batch_size,
        "num_epochs": section.num_epochs,
        "max_seq_length": section.max_seq_length,
    }


def _scores(spec: BenchmarkSet, runs: Sequence[Run], work: Work) -> dict[str, Any]:
    metrics = [work.metrics(run) for run in runs]
    found = {}
    for score in spec.scores:
        values = [of_run.get(score.part, {}).get(score.key) for of_run in metrics]
        known = [value for value in values if value is not None]
        are_all = len(known) == len(values)
        found[score.name] = {
            "title": score.title,
            "mean": statistics.fmean(known) if are_all else None,
            "std": statistics.stdev(known) if are_all and len(known) > 1 else None,
            "values": values,
        }
    return found


def _rank(mean: float | None) -> float:
    return -math.inf if mean is None else mean
