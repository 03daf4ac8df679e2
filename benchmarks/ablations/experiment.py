"""What an experiment is: a claim, the variants that it is about, and what is shown of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.ablations import (
    dependencies,
    layer_cost,
    masked_lm,
    softmax_gradient,
    teacher_forcing,
    translation,
)

Measure = Callable[..., dict[str, float]]
"""Takes settings, seed, data and folder; gives named metrics."""

MEASURES: dict[str, tuple[Measure, dict[str, Any]]] = {
    "masked_lm": (masked_lm.measure, masked_lm.BASE),
    "translation": (translation.measure, translation.BASE),
    "softmax_gradient": (softmax_gradient.measure, softmax_gradient.BASE),
    "layer_time": (layer_cost.measure_time, layer_cost.TIME),
    "layer_memory": (layer_cost.measure_memory, layer_cost.MEMORY),
    "dependencies": (dependencies.measure, dependencies.BASE),
    "teacher_forcing": (teacher_forcing.measure, teacher_forcing.BASE),
}
"""Name -> what is called, and all its settings with the values that no variant changes."""

QUICK = {"num_steps": 2, "batch_size": 4, "rounds": 1, "steps": 1}
"""What `--quick` sets: all is computed, and no figure means anything."""


@dataclass(frozen=True)
class Column:
    """A metric of a table."""

    metric: str
    heading: str
    form: str = "{:.3f}"


@dataclass(frozen=True)
class Chart:
    """A picture of one part: dots of a metric by variant, or lines of metrics over a setting."""

    metrics: tuple[str, ...]
    label: str
    """What the metrics are, with their unit."""
    over: str | None = None
    """The setting of the horizontal axis; None draws dots by variant."""
    group: Callable[[Mapping[str, Any]], str] | None = None
    """The line that a variant is on, by its settings, where `metrics` is one."""
    scale: Literal["linear", "log"] = "linear"


@dataclass(frozen=True)
class Part:
    """One table, and its picture: variants measured by one thing."""

    title: str
    measure: str
    variants: Mapping[str, Mapping[str, Any]]
    """Name -> what differs from the settings of the measure."""
    columns: tuple[Column, ...]
    chart: Chart | None = None
    reference: str | Mapping[str, str] | None = None
    """The variant to which the others' difference in the first column is told, seed by seed; or
    a variant's own."""
    is_seeded: bool = True

    def settings(self, variant: str, *, is_quick: bool = False) -> dict[str, Any]:
        """All of a variant's settings."""
        _, base = MEASURES[self.measure]
        quick = {name: value for name, value in QUICK.items() if name in base}
        return {**base, **self.variants[variant], **(quick if is_quick else {})}

    def reference_of(self, variant: str) -> str | None:
        """The variant that another one is compared with."""
        if isinstance(self.reference, Mapping):
            return self.reference.get(variant)
        return None if variant == self.reference else self.reference


@dataclass(frozen=True)
class Experiment:
    """One claim of the notes, and what is measured about it."""

    name: str
    claim: str
    sources: str
    parts: tuple[Part, ...] = field(default_factory=tuple)
