"""How long one layer takes, forward and backward, and how much memory, by length.

    python -m benchmarks.ablations.layer_cost '{"kind": "additive", "length": 64, …}'

prints the memory of one layer; a process each, since peak memory never falls.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.ablations.sequence_layers import make_step
from benchmarks.machine import peak_bytes

TIME: dict[str, Any] = {
    "kinds": ["dot product"],
    "length": 64,
    "batch_size": 4,
    "width": 128,
    "num_heads": 8,
    "rounds": 15,
}
MEMORY: dict[str, Any] = {
    "kind": "dot product",
    "length": 64,
    "batch_size": 4,
    "width": 128,
    "num_heads": 8,
    "steps": 3,
}
SHORTEST_TURN = 0.05
"""Seconds: a turn repeats a short step until it lasts as long."""
SIZES = ("width", "num_heads", "batch_size", "length")


def measure_time(
    settings: Mapping[str, Any], *, seed: int, data: Path, folder: Path
) -> dict[str, float]:
    """Milliseconds a step of each kind, the median of rounds in which all kinds take turns."""
    sizes = {name: settings[name] for name in SIZES}
    steps = {kind: make_step(kind, **sizes) for kind in settings["kinds"]}
    repeats = {}
    for kind, step in steps.items():
        step()  # traced and compiled
        repeats[kind] = max(1, round(SHORTEST_TURN / _seconds(step, 1)))
    turns: dict[str, list[float]] = {kind: [] for kind in steps}
    for _ in range(settings["rounds"]):
        for kind, step in steps.items():
            turns[kind].append(1000 * _seconds(step, repeats[kind]))
    return {kind: statistics.median(found) for kind, found in turns.items()} | {
        f"{kind}, fastest": min(found) for kind, found in turns.items()
    }


def measure_memory(
    settings: Mapping[str, Any], *, seed: int, data: Path, folder: Path
) -> dict[str, float]:
    """MiB that a step adds to the process's peak, see `main`."""
    command = [sys.executable, "-m", "benchmarks.ablations.layer_cost", json.dumps(dict(settings))]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(result.stdout.splitlines()[-1]))


def main() -> None:
    """Print the memory of the layer that the argument describes, as JSON."""
    settings = json.loads(sys.argv[1])
    make_step("convolution", **{name: settings[name] for name in SIZES} | {"length": 8})()
    before = peak_bytes()
    step = make_step(settings["kind"], **{name: settings[name] for name in SIZES})
    for _ in range(settings["steps"]):
        _seconds(step, 1)
    print(json.dumps({"mib": (peak_bytes() - before) / 2**20}))


def _seconds(step: Any, repeats: int) -> float:
    """A step, on average of some one after the other."""
    started_at = time.perf_counter()
    for _ in range(repeats):
        results = step()
    results[0].numpy()
    return (time.perf_counter() - started_at) / repeats


if __name__ == "__main__":
    main()
