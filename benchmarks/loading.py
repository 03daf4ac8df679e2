"""How long does loading a checkpoint take, and how much memory above the model itself?

    python -m benchmarks.loading [--size base --rounds 3]

Writes a random model in every format, then loads each in fresh processes, in turn. Time is that of
`load_checkpoint`, imports apart. Memory is the peak resident size above what was resident before
the call, less the size of the model's own weights, as a multiple of that size; pages of a mapped
file count.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.machine import describe_machine, peak_bytes

FORMATS = ("bert-tf", "huggingface", "google", "keras-nlp")


def main() -> None:
    """Write, load in turn, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="base")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--load", metavar="PATH", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        print(json.dumps(load(arguments.load)))
        return
    with tempfile.TemporaryDirectory() as directory:
        write(arguments.size, Path(directory))
        results: dict[str, list[dict[str, float]]] = {name: [] for name in FORMATS}
        for _ in range(arguments.rounds):
            for name in FORMATS:
                command = [sys.executable, "-m", "benchmarks.loading", "--load"]
                output = subprocess.run(
                    [*command, f"{directory}/{name}"],
                    check=True,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                ).stdout
                results[name].append(json.loads(output.splitlines()[-1]))
    print(
        f"{arguments.size}, float32, {datetime.now(tz=UTC):%Y-%m-%d}, {describe_machine()}, "
        f"medians of {arguments.rounds}\n\n"
        "| format | seconds | extra memory, times the weights' size |\n|---|---|---|"
    )
    for name, rounds in results.items():
        seconds, extra = (
            statistics.median(one[key] for one in rounds) for key in ("seconds", "extra")
        )
        print(f"| {name} | {seconds:.1f} | {extra:.2f} |")


def write(size: str, directory: Path) -> None:
    """A random pretraining model in every format."""
    from bert_tf.config import ModelConfig
    from bert_tf.conversion.checkpoint import Model
    from bert_tf.conversion.convert import FORMATS as MODULES
    from bert_tf.models.description import ModelDescription
    from bert_tf.models.folder import save_model
    from bert_tf.tasks.models import build_model

    for name in FORMATS:
        # keras-nlp's checkpoint is a backbone; every other one has both heads.
        architecture = ModelConfig.model_validate({"size": size, "vocab_size": 30522})
        description = ModelDescription(
            kind="encoder" if name == "keras-nlp" else "pretraining",
            architecture=architecture.model_copy(update={"hidden_act": "gelu"}),
            max_seq_length=512,
        )
        network = build_model(description)
        if name == "bert-tf":
            save_model(network, description, directory / name)
        else:
            MODULES[name].write_checkpoint(Model(network, description, None), directory / name)


def load(path: str) -> dict[str, float]:
    """Load in this process and say what it took."""
    import time

    import tensorflow as tf

    from bert_tf.conversion.convert import load_checkpoint

    tf.zeros(1).numpy()  # the runtime starts
    process = psutil.Process()
    before = process.memory_info().rss
    started = time.perf_counter()
    model = load_checkpoint(path)
    seconds = time.perf_counter() - started
    size = 4 * model.network.count_params()
    return {"seconds": seconds, "extra": (peak_bytes() - before - size) / size}


if __name__ == "__main__":
    main()
