"""The gate: may a challenger replace the champion?

    answers of both on the same texts -> checks, each with its figures and its limit -> decision

Every check is made, also after one has failed: the decision shows all of them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bert_tf.config.gate import GateConfig
from bert_tf.data.inspection.text_profile import UNKNOWN_WORDS, TextProfile, compare
from bert_tf.gate.predictions import Answers
from bert_tf.metrics.statistics import (
    METRICS,
    bootstrap,
    calibration_error,
    metric,
    paired_bootstrap,
)

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
        return "; ".join(f"{c.name} is {c.value:.4g}, must be {c.limit}" for c in failed)

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
    challenger: Answers,
    champion: Answers | None,
    *,
    config: GateConfig,
    sources: Sequence[str] | None = None,
    training_profile: TextProfile | None = None,
    seed: int = 0,
) -> Decision:
    """Judge a challenger, beside the champion if there is one.

    Args:
        sources: of each text, for slices.
        training_profile: of the texts the champion was trained on, to be compared with these as the
            champion reads them; without it drift is not judged.

    Raises:
        ValueError: the two answered other texts or have other classes.
    """
    if champion is not None:
        champion = _with_classes_of(challenger, champion)
    checks = [
        *_metric_checks(challenger, champion, config, seed),
        *_slice_checks(challenger, champion, config, sources),
        *_cost_checks(challenger, champion, config),
        *_calibration_checks(challenger, config),
        *_drift_checks(champion or challenger, training_profile, config),
    ]
    figures: dict[str, Any] = {"num_texts": len(challenger.labels)}
    for name, answers in (("challenger", challenger), ("champion", champion)):
        if answers is not None:
            figures[name] = _figures(answers, config, seed)
    return Decision(checks, figures)


def _with_classes_of(challenger: Answers, champion: Answers) -> Answers:
    """The champion with its classes in the challenger's order."""
    if sorted(champion.classes) != sorted(challenger.classes):
        raise ValueError(
            "Challenger and champion must have the same classes. Received: "
            f"{', '.join(challenger.classes)} and {', '.join(champion.classes)}. Register a model "
            "of another task under another name."
        )
    order = [champion.classes.index(name) for name in challenger.classes]
    labels = np.argsort(order)[champion.labels]
    if len(labels) != len(challenger.labels) or (labels != challenger.labels).any():
        raise ValueError(
            "Challenger and champion must have answered the same texts. Received: other labels."
        )
    return Answers(
        classes=challenger.classes,
        labels=labels,
        probabilities=champion.probabilities[:, order],
        lengths=champion.lengths,
        profile=champion.profile,
        latency_ms=champion.latency_ms,
        size_bytes=champion.size_bytes,
    )


def _metric_checks(
    challenger: Answers, champion: Answers | None, config: GateConfig, seed: int
) -> Iterator[Check]:
    value = _metric(challenger, config.metric)
    limit = f"at least {config.minimum:.4g}"
    yield Check(config.metric, value >= config.minimum, value, limit)
    if champion is None:
        return
    compared = paired_bootstrap(
        config.metric,
        challenger.labels,
        challenger.predictions,
        champion.predictions,
        **_resampling(challenger, config, seed),
    )
    difference = compared.difference
    yield Check(
        f"{config.metric} minus the champion's",
        difference.value >= -config.margin,
        difference.value,
        f"at least {0 - config.margin:.4g}",
        f"{config.confidence:.0%} interval {difference.low:+.4f} to {difference.high:+.4f}",
    )
    if config.needs_improvement:
        yield Check(
            "share of paired resamples that are better",
            compared.share_better >= config.confidence,
            compared.share_better,
            f"at least {config.confidence:.4g}",
        )


def _slice_checks(
    challenger: Answers,
    champion: Answers | None,
    config: GateConfig,
    sources: Sequence[str] | None,
) -> Iterator[Check]:
    for name, rows in slices(challenger, sources).items():
        if rows.sum() < config.min_slice_size:
            continue
        # Of one slice always the share of right answers: F1 of one label alone says another thing.
        value = float(challenger.is_right[rows].mean())
        floor, detail = config.slice_minimum, f"{rows.sum():,} texts"
        if champion is not None:
            theirs = float(champion.is_right[rows].mean())
            floor = max(floor, theirs - config.slice_margin)
            detail += f"; champion {theirs:.4f}"
        # Two shares of the same number of texts: what rounding adds is less than a text.
        passed = value >= floor - 1e-9
        yield Check(f"accuracy, {name}", passed, value, f"at least {floor:.4g}", detail)


def slices(answers: Answers, sources: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Names to (texts,) bool: by length, label and source."""
    edges = np.quantile(answers.lengths, [1 / 3, 2 / 3])
    thirds = np.searchsorted(edges, answers.lengths)
    named = {name: thirds == third for third, name in enumerate(_LENGTH_NAMES)}
    for number, label in enumerate(answers.classes):
        named[f"label {label}"] = answers.labels == number
    for source in sorted(set(sources or ())):
        named[f"source {source}"] = np.array([other == source for other in sources or ()])
    return {name: rows for name, rows in named.items() if rows.any()}


def _cost_checks(
    challenger: Answers, champion: Answers | None, config: GateConfig
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


def _calibration_checks(challenger: Answers, config: GateConfig) -> Iterator[Check]:
    ceiling = config.max_calibration_error
    if ceiling is not None:
        value = calibration_error(challenger.labels, challenger.probabilities)
        yield Check("calibration error", value <= ceiling, value, f"at most {ceiling:.4g}")


def _drift_checks(
    answers: Answers, training_profile: TextProfile | None, config: GateConfig
) -> Iterator[Check]:
    if training_profile is None:
        return
    for drift in compare(training_profile, answers.profile):
        is_of_words = drift.name == UNKNOWN_WORDS
        ceiling = config.max_unknown_drift if is_of_words else config.max_drift
        has_moved = drift.size > ceiling and drift.p_value < config.drift_p_value
        yield Check(
            f"drift of {drift.name}",
            not has_moved,
            drift.size,
            f"at most {ceiling:.4g}",
            f"{drift.before} before, {drift.now} now; {drift.test}, p = {drift.p_value:.2g}",
        )


def _figures(answers: Answers, config: GateConfig, seed: int) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "calibration_error": calibration_error(answers.labels, answers.probabilities),
        "latency_ms": answers.latency_ms,
        "size_bytes": answers.size_bytes,
        "slices": {
            name: float(answers.is_right[rows].mean()) for name, rows in slices(answers).items()
        },
    }
    options = _resampling(answers, config, seed)
    for name in METRICS:
        figures[name] = asdict(bootstrap(name, answers.labels, answers.predictions, **options))
    return figures


def _resampling(answers: Answers, config: GateConfig, seed: int) -> dict[str, Any]:
    return {
        "num_classes": len(answers.classes),
        "num_resamples": config.num_resamples,
        "confidence": config.confidence,
        "seed": seed,
    }


def _metric(answers: Answers, name: str) -> float:
    return metric(name, answers.labels, answers.predictions, num_classes=len(answers.classes))
