"""What does `training.rematerialize` save in memory, and what does it cost in time?

    python -m benchmarks.rematerialization [--size base --batch-size 4 --length 512]

Whole pretraining steps (forward, backward, update; dropout 0.1) on one random batch. Every run is a
process of its own, since peak memory never falls; the variants take turns. Memory before the first
step (weights, moments, the libraries) is subtracted in the column "of a step".
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from benchmarks.machine import describe_machine, peak_bytes
from benchmarks.pretraining_step import make_our_step
from benchmarks.workload import POLICIES, make_batch
from bert_tf.config import ModelConfig
from bert_tf.training.engine.strategy import split_batches

VARIANTS = {"kept": False, "recomputed": True}


def main() -> None:
    """Run the variants in turn and print a Markdown table; or, with --variant, run one."""
    arguments = _parse()
    if arguments.variant:
        print(json.dumps(measure(arguments, rematerialize=VARIANTS[arguments.variant])))
        return
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in VARIANTS}
    for _ in range(arguments.rounds):
        for name in VARIANTS:
            results[name].append(_run(name))
    _print(arguments, results)


def measure(arguments: argparse.Namespace, *, rematerialize: bool) -> dict[str, Any]:
    """Peak memory before and after the steps, in MiB; seconds of each; numbers of the first."""
    keras.utils.set_random_seed(0)
    config = ModelConfig(size=arguments.size, vocab_size=30522)
    batch = make_batch(config, batch_size=arguments.batch_size, length=arguments.length, seed=0)
    policy = POLICIES[arguments.precision]
    step, strategy, *_ = make_our_step(
        config, length=arguments.length, policy=policy, rematerialize=rematerialize
    )
    batches = iter(split_batches(lambda: tf.data.Dataset.from_tensors(batch).repeat(), strategy))
    before, numbers, seconds, cpu_seconds = peak_bytes() / 2**20, [], [], []
    for index in range(arguments.steps + 1):
        started_at, cpu_before = time.perf_counter(), time.process_time()
        sums, _, norm = step(batches, tf.constant(index, tf.int64))
        numbers.append((float(sums.loss["masked_lm"]), float(norm["gradient_norm"])))
        seconds.append(time.perf_counter() - started_at)
        cpu_seconds.append(time.process_time() - cpu_before)
    return {
        "before": before,
        "peak": peak_bytes() / 2**20,
        "seconds": seconds[1:],  # the first builds the graph
        "cpu_seconds": cpu_seconds[1:],
        "first_loss": numbers[0][0],
        "first_gradient_norm": numbers[0][1],
    }


def _run(variant: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.rematerialization", *sys.argv[1:]]
    result = subprocess.run(
        [*command, "--variant", variant], check=True, stdout=subprocess.PIPE, text=True
    )
    return dict(json.loads(result.stdout.splitlines()[-1]))


def _print(arguments: argparse.Namespace, results: dict[str, list[dict[str, Any]]]) -> None:
    rows = {}
    for name, runs in results.items():
        peak = statistics.median(run["peak"] for run in runs)
        own = statistics.median(run["peak"] - run["before"] for run in runs)
        seconds = statistics.median(x for run in runs for x in run["seconds"])
        cpu_seconds = statistics.median(x for run in runs for x in run["cpu_seconds"])
        loss, norm = runs[0]["first_loss"], runs[0]["first_gradient_norm"]
        rows[name] = np.array([peak, own, seconds, cpu_seconds, loss, norm])
    print(
        f"{arguments.size}, {arguments.batch_size} x {arguments.length}, {arguments.precision}, "
        f"{arguments.rounds} runs of {arguments.steps} steps each, medians; {describe_machine()}; "
        f"{datetime.now(UTC):%Y-%m-%d}\n"
    )
    print(
        "| layers' values | peak MiB | of a step, MiB | seconds a step | CPU seconds a step "
        "| masked-LM loss of the first step | its gradient norm |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, (peak, own, seconds, cpu_seconds, loss, norm) in rows.items():
        print(
            f"| {name} | {peak:.0f} | {own:.0f} | {seconds:.2f} | {cpu_seconds:.2f} "
            f"| {loss:.6g} | {norm:.6g} |"
        )
    ratio = rows["recomputed"] / rows["kept"]
    print("| ratio | " + " | ".join(f"{value:.3f}" for value in ratio) + " |")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="base")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--variant", choices=tuple(VARIANTS), help="run this one only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
