"""How many texts a second does a served model of sequence to sequence write?

    python -m benchmarks.decoding_served --data DATA/en/multi30k --export runs/mt-served
        [--clients 32 --rounds 3]

What `bert-tf export` wrote, in the local server with serving/production's settings, asked over REST
for Multi30k's test sentences: one text at a time, then `--clients` at once, each with one text at a
time. How long answers are is the model's affair: take one that was trained.
"""

import argparse
import itertools
import os
import statistics
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.serving import ask_alone, ask_together
from benchmarks.serving_processes import serve_saved_model
from benchmarks.translation_pairs import TEST, read_pairs
from bert_tf.tasks.examples import TEXT
from bert_tf.tasks.written_texts import GENERATED


def main() -> None:
    """Measure each export in turn and print a Markdown table."""
    arguments = _parse()
    texts = itertools.cycle(read_pairs(arguments.data, TEST).inputs[TEXT])
    print(
        f"{arguments.clients} clients, {arguments.rounds} rounds of {arguments.alone} and "
        f"{arguments.together} texts; {describe_machine()}; {datetime.now(UTC):%Y-%m-%d}\n"
    )
    print("| | alone: p50, p95 (ms) | at once: p50, p95 (ms) | texts/s | words an answer |")
    print("|---|---|---|---|---|")
    for base in arguments.export:
        with serve_saved_model(base) as server:
            first = list(itertools.islice(texts, arguments.clients))
            with server.client() as client:
                rows = client.predict(instances=[{"text": text} for text in first])
            words = [len(row[GENERATED].split()) for row in rows]
            for _ in range(arguments.rounds):
                server.alone += ask_alone(server, list(itertools.islice(texts, arguments.alone)))
                together = list(itertools.islice(texts, arguments.together))
                seconds, rate = ask_together(server, together, arguments.clients)
                server.together += seconds
                server.rates.append(rate)
            print(
                f"| {base.name} | {_milliseconds(server.alone)} | {_milliseconds(server.together)} "
                f"| {statistics.median(server.rates):.1f} | {statistics.mean(words):.1f} |"
            )


def _milliseconds(seconds: list[float]) -> str:
    return ", ".join(f"{value * 1e3:.1f}" for value in np.percentile(seconds, [50, 95]))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder as Multi30k has it")
    parser.add_argument("--export", type=Path, nargs="+", required=True, help="versions' folders")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", type=int, default=40, help="texts of one client a round")
    parser.add_argument("--together", type=int, default=320, help="texts of all clients a round")
    return parser.parse_args()


if __name__ == "__main__":
    main()
