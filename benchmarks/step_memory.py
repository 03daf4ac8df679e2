"""How much memory does a pretraining step take, and how long is the first, beside its peers?

    python -m benchmarks.step_memory [--cases base,8,128 mini,32,128 base,2,512]

Every peer runs the whole steps of `pretraining_step` on the same random batch (forward, backward,
update; dropout 0.1; AdamW), in a process of its own that imports nothing else, since peak memory
never falls. "Of the step" is the peak without what the process held when its libraries were
imported: weights, moments, gradients, what the backward pass needs, and what compiling takes.
keras-nlp has no next-sentence head, so its step does less.
"""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.machine import describe_machine, peak_bytes
from benchmarks.workload import POLICIES, make_batch
from bert_tf.config import ModelConfig

OURS = "bert_tf"
# Function that makes the step; what it imports when it is called.
PEERS = {
    OURS: ("benchmarks.pretraining_step", "our_step", []),
    "keras-nlp BertMaskedLM": ("benchmarks.pretraining_step", "keras_nlp_step", ["keras_nlp"]),
    "tf-models-official BertPretrainerV2": (
        "benchmarks.pretraining_step",
        "model_garden_step",
        ["tf_keras", "official.nlp.modeling"],
    ),
    "Hugging Face BertForPreTraining": (
        "benchmarks.huggingface_step",
        "huggingface_step",
        ["torch", "transformers"],
    ),
}


def main() -> None:
    """Measure case by case and print a Markdown table of each; or, with --peer, one process."""
    arguments = _parse()
    if arguments.peer:
        (case,), (precision,) = arguments.cases, arguments.precisions
        print(json.dumps(measure(arguments.peer, case, precision, num_steps=arguments.steps)))
        return
    print(f"{describe_machine()}; {datetime.now(UTC):%Y-%m-%d}")
    for case in arguments.cases:
        for precision in arguments.precisions:
            runs: dict[str, list[dict[str, float]]] = {peer: [] for peer in arguments.peers}
            for _ in range(arguments.rounds):
                for peer in arguments.peers:
                    runs[peer].append(_run(peer, case, precision, num_steps=arguments.steps))
            _print(case, precision, runs)


def measure(peer: str, case: str, precision: str, *, num_steps: int) -> dict[str, float]:
    """MiB after the imports and at the peak; seconds of the first step and of a later one."""
    size, batch_size, length = case.split(",")
    config = ModelConfig(size=size, vocab_size=30522)
    batch = make_batch(config, batch_size=int(batch_size), length=int(length), seed=0)
    module, name, libraries = PEERS[peer]
    make_step = getattr(importlib.import_module(module), name)
    for library in libraries:
        importlib.import_module(library)
    imported = peak_bytes()
    step = make_step(config, batch, POLICIES[precision])
    seconds = []
    for _ in range(num_steps):
        started_at = time.perf_counter()
        _wait(step())
        seconds.append(time.perf_counter() - started_at)
    return {
        "imported": imported / 2**20,
        "peak": peak_bytes() / 2**20,
        "first": seconds[0],
        "later": min(seconds[1:], default=seconds[0]),
    }


def _wait(result: Any) -> None:
    """Until the numbers are there."""
    if isinstance(result, dict):
        result = tuple(result.values())
    if isinstance(result, tuple | list):
        for part in result:
            _wait(part)
    else:
        np.asarray(result)


def _run(peer: str, case: str, precision: str, *, num_steps: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.step_memory", "--peer", peer, "--cases", case]
    command += ["--precisions", precision, "--steps", str(num_steps)]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(result.stdout.splitlines()[-1]))


def _print(case: str, precision: str, runs: dict[str, list[dict[str, float]]]) -> None:
    size, batch_size, length = case.split(",")
    print(f"\n{size}, {batch_size} x {length}, {precision}:\n", flush=True)
    print("| | peak MiB | of the step, MiB | times bert_tf's | first step, s | later ones, s |")
    print("|---|---|---|---|---|---|")

    def median(peer: str, name: str) -> float:
        return statistics.median(run[name] for run in runs[peer])

    own = {peer: median(peer, "peak") - median(peer, "imported") for peer in runs}
    for peer in runs:
        ratio = own[peer] / own[OURS] if OURS in own else float("nan")
        print(
            f"| {peer} | {median(peer, 'peak'):.0f} | {own[peer]:.0f} | {ratio:.2f} "
            f"| {median(peer, 'first'):.1f} | {median(peer, 'later'):.2f} |",
            flush=True,
        )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--cases", nargs="+", default=["base,8,128", "mini,32,128", "base,2,512"], help="SIZE,B,T"
    )
    parser.add_argument(
        "--precisions", nargs="+", choices=tuple(POLICIES), default=["float32", "bfloat16"]
    )
    parser.add_argument("--peers", nargs="+", choices=tuple(PEERS), default=tuple(PEERS))
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--peer", choices=tuple(PEERS), help="measure this one, here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
