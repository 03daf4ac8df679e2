"""One row a measurement: a variant's settings and a seed. What is finished is never done again."""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.ablations.experiment import MEASURES, Experiment, Part
from benchmarks.machine import describe_machine
from bert_tf.system.files import write_whole

NO_SEED = 0


@dataclass(frozen=True)
class Row:
    """What is to be measured; several parts may ask for the same."""

    measure: str
    settings: dict[str, Any]
    seed: int
    name: str
    """For people."""

    def path(self, folder: Path) -> Path:
        text = json.dumps([self.measure, self.settings, self.seed], sort_keys=True)
        digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        return folder / "rows" / f"{self.measure}-{digest}.json"

    @property
    def weight(self) -> float:
        """About how many seconds it takes, of which the time left is made."""
        settings = self.settings
        if "num_steps" not in settings:
            return settings.get("length", 64) / 16
        is_translation = self.measure == "translation"
        width = settings["hidden_size"]
        layers = settings["num_layers"] * 12 * width**2 * (2.3 if is_translation else 1.0)
        output = settings["vocab_size"] * width * settings.get("selected_share", 1.0)
        tokens = settings["batch_size"] * settings["length"]
        slow = 2.0 if settings.get("attention") == "additive" else 1.0
        return 10.0 + settings["num_steps"] * (0.02 + 6 * tokens * (layers + output) * slow / 1e11)


def rows_of(
    experiments: Iterable[Experiment], *, seeds: Sequence[int], is_quick: bool
) -> list[Row]:
    """All rows, each once: seed by seed, and last what has no seed."""
    rows: dict[str, Row] = {}
    parts = [(experiment, part) for experiment in experiments for part in experiment.parts]
    for seed in (*seeds, None):
        for experiment, part in parts:
            if part.is_seeded == (seed is not None):
                for row in rows_of_part(
                    experiment, part, seeds=seeds if seed is None else (seed,), is_quick=is_quick
                ):
                    rows.setdefault(row.path(Path()).name, row)
    return list(rows.values())


def rows_of_part(
    experiment: Experiment, part: Part, *, seeds: Sequence[int], is_quick: bool
) -> Iterator[Row]:
    """Those of one table, variant by variant."""
    for variant in part.variants:
        for seed in seeds if part.is_seeded else (NO_SEED,):
            settings = part.settings(variant, is_quick=is_quick)
            yield Row(part.measure, settings, seed, f"{experiment.name}: {variant}, seed {seed}")


def read_metrics(row: Row, folder: Path) -> dict[str, Any] | None:
    """What was measured, or None."""
    path = row.path(folder)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def run_row(row: Row, *, data: Path, folder: Path) -> None:
    """Measure and keep it."""
    measure, _ = MEASURES[row.measure]
    load, started_at = os.getloadavg()[0], time.perf_counter()
    metrics = measure(row.settings, seed=row.seed, data=data, folder=folder)
    found = {
        "measure": row.measure,
        "settings": row.settings,
        "seed": row.seed,
        "metrics": metrics,
        "seconds": time.perf_counter() - started_at,
        "machine": describe_machine(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_before": load,
    }
    path = row.path(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(found, indent=1).encode())
