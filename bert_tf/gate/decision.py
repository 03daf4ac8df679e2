"""The gate: may a challenger replace the champion?

    predictions of both on the same examples -> checks, each with its limit -> decision

Every check is made, also after one has failed: the decision shows all of them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bert_tf.config.gate import GateConfig
from bert_tf.data.inspection.text_profile import UNKNOWN_WORDS, TextProfile, compare
from bert_tf.gate.predictions import Predictions
from bert_tf.metrics.metric import Metric
from bert_tf.metrics.outcomes import Outcomes, grouped_rows
from bert_tf.metrics.resampling import bootstrap, paired_bootstrap
from bert_tf.system.listing import listed
from bert_tf.tasks.base import Task

DECISION_FILE = "gate.json"
_LENGTH_NAMES = ("shortest third", "middle third", "longest third")


@dataclass(frozen=True)
class Check:
    """One condition."""

    name: str
    has_passed: bool
    value: float
    limit: str
    """What must hold, in words."""
    detail: str = ""


@dataclass(frozen=True)
class Decision:
    """All checks of a challenger."""

    checks: Sequence[Check]
    figures: Mapping[str, Any]
    """Metrics with intervals, of both models and by slice."""

    @property
    def has_passed(self) -> bool:
        return all(check.has_passed for check in self.checks)

    @property
    def reason(self) -> str:
        """One line."""
        failed = [check for check in self.checks if not check.has_passed]
        if not failed:
            return f"all {len(self.checks)} checks passed"
        reasons = (f"{c.name} is {c.value:.4g}, must be {c.limit}" for c in failed)
        return listed(reasons, max_characters=200, separator="; ")

    def as_json(self) -> dict[str, Any]:
        return {
            "has_passed": self.has_passed,
            "reason": self.reason,
            "checks": [asdict(check) for check in self.checks],
            "figures": dict(self.figures),
        }

    def as_markdown(self) -> str:
        """A table for people."""
        rows = [
            f"| {'yes' if c.has_passed else '**no**'} | {c.name} | {c.value:.4g} | {c.limit} "
            f"| {c.detail} |"
            for c in self.checks
        ]
        head = ["| passed | what | value | must be | |", "|---|---|---|---|---|"]
        return "\n".join([*head, *rows])


def decide(
    challenger: Predictions,
    champion: Predictions | None,
    *,
    task: Task,
    config: GateConfig,
    sources: Sequence[str] | None = None,
    training_profile: TextProfile | None = None,
    seed: int = 0,
) -> Decision:
    """Judge a challenger, beside the champion if there is one.

    Args:
        sources: where each example comes from (`--source-field`): a slice for each.
        training_profile: the text profile of the champion's training data. It is compared with that
            of these examples as the champion tokenizes them; without it drift is not judged.

    Raises:
        ValueError: the two answered different examples or have different classes, or the task does
            not have what the configuration asks for.
    """
    judge = _Judge(task, config, task.metric(config.metric), seed)
    ours = challenger.outcomes
    theirs = None if champion is None else _aligned(task, champion.outcomes, ours)
    named = slices(challenger, task, sources)
    checks = [
        *judge.metric_checks(ours, theirs),
        *judge.slice_checks(ours, theirs, named),
        *_cost_checks(challenger, champion, config),
        *judge.calibration_checks(ours),
        *judge.drift_checks(champion or challenger, training_profile),
    ]
    figures: dict[str, Any] = {
        "num_texts": len(ours),
        "metrics": {
            metric.name: {"title": metric.title, "is_higher_better": metric.is_higher_better}
            for metric in task.metrics
        },
        "challenger": judge.figures(challenger, ours, named),
    }
    if champion is not None and theirs is not None:
        figures["champion"] = judge.figures(champion, theirs, named)
    return Decision(checks, figures)


def _aligned(task: Task, champion: Outcomes, challenger: Outcomes) -> Outcomes:
    """The champion's outcomes with its classes in the challenger's order."""
    aligned = task.aligned(champion, challenger)
    if not np.array_equal(aligned.targets, challenger.targets):
        raise ValueError(
            "Challenger and champion must have answered the same texts. Received: different "
            "targets. Ask both about the same examples."
        )
    return aligned


def slices(
    predictions: Predictions, task: Task, sources: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Names to indices of rows, by length, target and source; those that have any."""
    edges = np.quantile(predictions.lengths, [1 / 3, 2 / 3])
    thirds = np.searchsorted(edges, predictions.lengths)
    named = {name: thirds == third for third, name in enumerate(_LENGTH_NAMES)}
    named |= task.target_slices(predictions.outcomes)
    if sources:
        names, groups = np.unique(np.array(sources, object), return_inverse=True)
        rows_of = zip(names, grouped_rows(groups, num_groups=len(names)), strict=True)
        named |= {f"source {source}": rows for source, rows in rows_of}
    found = {name: _indices(rows) for name, rows in named.items()}
    return {name: rows for name, rows in found.items() if len(rows)}


def _indices(rows: np.ndarray) -> np.ndarray:
    return np.flatnonzero(rows) if rows.dtype == bool else rows


@dataclass(frozen=True)
class _Judge:
    task: Task
    config: GateConfig
    metric: Metric
    seed: int

    def metric_checks(self, ours: Outcomes, theirs: Outcomes | None) -> Iterator[Check]:
        metric, config = self.metric, self.config
        value = metric.score(ours, None)
        if metric.is_higher_better:
            limit = f"at least {config.minimum:.4g}"
            yield Check(metric.name, value >= config.minimum, value, limit)
        elif config.maximum is not None:
            limit = f"at most {config.maximum:.4g}"
            yield Check(metric.name, value <= config.maximum, value, limit)
        if theirs is None:
            return
        compared = paired_bootstrap(metric, ours, theirs, **self._resampling())
        difference = compared.difference
        margin = config.margin
        yield Check(
            f"{metric.name} minus the champion's",
            (difference.value if metric.is_higher_better else -difference.value) >= -margin,
            difference.value,
            f"at least {0 - margin:.4g}" if metric.is_higher_better else f"at most {margin:.4g}",
            f"{config.confidence:.0%} interval {difference.low:+.4f} to {difference.high:+.4f}",
        )
        if config.needs_improvement:
            yield Check(
                "share of paired resamples that are better",
                compared.share_better >= config.confidence,
                compared.share_better,
                f"at least {config.confidence:.4g}",
            )

    def slice_checks(
        self, ours: Outcomes, theirs: Outcomes | None, named: Mapping[str, np.ndarray]
    ) -> Iterator[Check]:
        """By the task's metric for slices: F1 of one label alone says another thing."""
        metric, config = self.task.slice_metric, self.config
        for name, rows in named.items():
            if len(rows) < config.min_slice_size:
                continue
            value, detail = metric.score(ours.take(rows), None), f"{len(rows):,} texts"
            bound = config.slice_minimum if metric.is_higher_better else math.inf
            if theirs is not None:
                champion = metric.score(theirs.take(rows), None)
                detail += f"; champion {champion:.4f}"
                margin = config.slice_margin
                if metric.is_higher_better:
                    bound = max(bound, champion - margin)
                else:
                    bound = champion + margin
            if math.isinf(bound):
                continue
            # Two shares of the same number of texts: what rounding adds is less than a text.
            if metric.is_higher_better:
                passed, limit = value >= bound - 1e-9, f"at least {bound:.4g}"
            else:
                passed, limit = value <= bound + 1e-9, f"at most {bound:.4g}"
            yield Check(f"{metric.name}, {name}", passed, value, limit, detail)

    def calibration_checks(self, ours: Outcomes) -> Iterator[Check]:
        ceiling = self.config.max_calibration_error
        if ceiling is None:
            return
        value = self.task.calibration_error(ours)
        if value is None:
            raise ValueError(
                f"gate.max_calibration_error must be unset for {self.task.name}, which gives no "
                f"probabilities. Received: {ceiling}. Take it out."
            )
        yield Check("calibration error", value <= ceiling, value, f"at most {ceiling:.4g}")

    def drift_checks(
        self, predictions: Predictions, training_profile: TextProfile | None
    ) -> Iterator[Check]:
        if training_profile is None:
            return
        config = self.config
        compare_targets = self.task.compare_targets
        for drift in compare(
            training_profile, predictions.profile, compare_targets=compare_targets
        ):
            is_of_words, moved = drift.name == UNKNOWN_WORDS, drift.moved
            ceiling = config.max_unknown_drift if is_of_words else config.max_drift
            yield Check(
                f"drift of {drift.name}",
                not (moved.size > ceiling and moved.p_value < config.drift_p_value),
                moved.size,
                f"at most {ceiling:.4g}",
                f"{moved.before} before, {moved.now} now; {moved.test}, p = {moved.p_value:.2g}",
            )

    def figures(
        self, predictions: Predictions, outcomes: Outcomes, named: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        metric = self.task.slice_metric
        found: dict[str, Any] = {
            "calibration_error": self.task.calibration_error(outcomes),
            "latency_ms": predictions.latency_ms,
            "size_bytes": predictions.size_bytes,
            "slices": {
                name: float(metric.score(outcomes.take(rows), None)) for name, rows in named.items()
            },
        }
        for metric in self.task.metrics:
            if metric.has_interval:
                found[metric.name] = asdict(bootstrap(metric, outcomes, **self._resampling()))
        return found

    def _resampling(self) -> dict[str, Any]:
        return {
            "num_resamples": self.config.num_resamples,
            "confidence": self.config.confidence,
            "seed": self.seed,
        }


def _cost_checks(
    challenger: Predictions, champion: Predictions | None, config: GateConfig
) -> Iterator[Check]:
    size_mb = challenger.size_bytes / 1e6
    costs = (
        ("latency of one text, ms", challenger.latency_ms, config.max_latency_ms),
        ("size, MB", size_mb, config.max_size_mb),
    )
    for name, value, ceiling in costs:
        if ceiling is not None:
            yield Check(name, value <= ceiling, value, f"at most {ceiling:.4g}")
    if champion is None:
        return
    ratios = (
        ("latency by the champion's", "latency_ms", config.max_latency_ratio, "ms"),
        ("size by the champion's", "size_bytes", config.max_size_ratio, "bytes"),
    )
    for name, attribute, ceiling, unit in ratios:
        ours, theirs = getattr(challenger, attribute), getattr(champion, attribute)
        ratio = ours / theirs if theirs else math.inf
        if ceiling is not None:
            detail = f"{ours:,.4g} and {theirs:,.4g} {unit}"
            yield Check(name, ratio <= ceiling, ratio, f"at most {ceiling:.4g}", detail)
