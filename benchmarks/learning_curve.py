"""Does our model learn as much from the same batches as tf-models-official's does?

    python -m benchmarks.learning_curve --data ../shared/data/en --output-dir runs/learning \
        --chart docs/learning_curve.png

The data folder holds `progit/*.txt`, a document a file, and `wikitext2_valid.txt`, a document an
article. Both learners get batch after batch of our own pipeline, the same masks in each, and are
measured on the same held-out documents by the same code (see `learners`). Batches, dropout and the
first weights follow from the seed; the difference between seeds says what is noise.

Every evaluation is written to `curves.jsonl` at once. The same command after an interruption keeps
the curves that are whole and runs the others.
"""

import argparse
import functools
import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.learners import Learner, Lesson, model_garden_learner, our_learner
from benchmarks.learning_chart import draw_chart
from benchmarks.learning_records import learning_config, prepare_learning_records
from benchmarks.machine import describe_machine
from bert_tf.config import ModelConfig, OptimizerConfig
from bert_tf.data.batches.masked_batches import baselines, evaluation_batches, training_batches
from bert_tf.data.records import read_manifest
from bert_tf.data.text.tokenizer import Tokenizer

OURS, PEER = "bert_tf", "tf-models-official"
LEARNERS = {OURS: our_learner, PEER: model_garden_learner}
Curve = dict[int, dict[str, float]]
"""Step -> metrics on the held-out documents."""


def main() -> None:
    """Run the curves that are missing, draw the chart and print a Markdown table."""
    arguments = _parse()
    folder = Path(arguments.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    _bind(arguments, folder)
    records = _prepare(arguments, folder)
    for seed in arguments.seeds:
        for name in arguments.learners:
            if arguments.steps not in _curves(folder).get((name, seed), {}):
                _run(arguments, name, seed, folder=folder, records=records)
    curves, guesses = _curves(folder), baselines(records)
    _print(arguments, curves, guesses, records=records)
    if arguments.chart:
        draw_chart(curves, guesses, path=Path(arguments.chart))


def _run(
    arguments: argparse.Namespace, name: str, seed: int, *, folder: Path, records: Path
) -> None:
    """One curve from its beginning, each evaluation written as soon as it is made."""
    _forget(folder, name, seed)
    learner: Learner = LEARNERS[name](_lesson(arguments, records, seed=seed))
    started_at = time.perf_counter()
    for step in range(arguments.steps + 1):
        if step % arguments.evaluate_every == 0 or step == arguments.steps:
            line = {"learner": name, "seed": seed, "step": step, **learner.evaluate()}
            with (folder / "curves.jsonl").open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
            print(
                f"{name}, seed {seed}, step {step} of {arguments.steps}, "
                f"{time.perf_counter() - started_at:.0f} s: {_short(line)}",
                flush=True,
            )
        if step < arguments.steps:
            learner.step(step)


def _lesson(arguments: argparse.Namespace, records: Path, *, seed: int) -> Lesson:
    masking = learning_config(records.parent, length=arguments.length).masking
    options = {"batch_size": arguments.batch_size, "masking": masking, "seed": seed}
    return Lesson(
        architecture=ModelConfig(
            size=arguments.size,
            vocab_size=Tokenizer.load(records).vocab_size,
            max_position_embeddings=arguments.length,
            initializer_range=arguments.initializer_range,
            hidden_dropout_prob=arguments.dropout,
            attention_probs_dropout_prob=arguments.dropout,
        ),
        optimizer=OptimizerConfig(
            learning_rate=arguments.learning_rate,
            warmup_share=arguments.warmup_share,
            beta_2=arguments.beta_2,
        ),
        num_steps=arguments.steps,
        seed=seed,
        length=arguments.length,
        train_batches=functools.partial(training_batches, records, **options),
        # The same masks for all seeds.
        eval_batches=functools.partial(evaluation_batches, records, **options | {"seed": 0}),
    )


def _prepare(arguments: argparse.Namespace, folder: Path) -> Path:
    """Vocabulary and records, held-out documents among them."""
    return prepare_learning_records(
        Path(arguments.data),
        folder,
        vocab_size=arguments.vocab_size,
        length=arguments.length,
        repeat=arguments.repeat,
    )


def _bind(arguments: argparse.Namespace, folder: Path) -> None:
    """Raise ValueError where the folder's curves are of other settings."""
    free = ("output_dir", "chart", "seeds", "learners")
    settings = {key: value for key, value in vars(arguments).items() if key not in free}
    path = folder / "settings.json"
    if path.is_file() and (before := json.loads(path.read_text(encoding="utf-8"))) != settings:
        raise ValueError(
            f"{path}: a folder's curves must share their settings. Received: {settings}, and "
            f"{before} before. Use another --output-dir."
        )
    path.write_text(json.dumps(settings, indent=2), encoding="utf-8")


def _curves(folder: Path) -> dict[tuple[str, int], Curve]:
    """Learner and seed -> what is measured so far."""
    curves: dict[tuple[str, int], Curve] = {}
    for line in _lines(folder):
        curves.setdefault((line["learner"], line["seed"]), {})[line["step"]] = line
    return curves


def _forget(folder: Path, name: str, seed: int) -> None:
    kept = [line for line in _lines(folder) if (line["learner"], line["seed"]) != (name, seed)]
    text = "".join(json.dumps(line) + "\n" for line in kept)
    (folder / "curves.jsonl").write_text(text, encoding="utf-8")


def _lines(folder: Path) -> list[dict[str, Any]]:
    path = folder / "curves.jsonl"
    return (
        [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        if path.is_file()
        else []
    )


def _short(line: Mapping[str, Any]) -> str:
    return (
        f"masked-LM loss {line['masked_lm_loss']:.4f}, accuracy {line['masked_lm_accuracy']:.1%}; "
        f"next-sentence accuracy {line['next_sentence_accuracy']:.1%}"
    )


def _print(
    arguments: argparse.Namespace,
    curves: dict[tuple[str, int], Curve],
    guesses: Mapping[str, float],
    *,
    records: Path,
) -> None:
    manifest = read_manifest(records)
    print(
        f"\n{arguments.size}, {arguments.batch_size} x {arguments.length}, float32, "
        f"{arguments.steps} steps, peak learning rate {arguments.learning_rate:g}, seeds "
        f"{', '.join(map(str, arguments.seeds))}; {manifest.num_examples('train'):,} sequences, "
        f"{manifest.num_examples('eval'):,} held out; {describe_machine()}; "
        f"{datetime.now(UTC):%Y-%m-%d}\n"
    )
    print(
        f"| step | masked-LM loss: {OURS} | {PEER} | accuracy: {OURS} | {PEER} "
        f"| next-sentence accuracy: {OURS} | {PEER} |\n|---|---|---|---|---|---|---|"
    )
    means = {name: mean_curve(curves, name) for name in LEARNERS}
    for step in sorted(set(means[OURS]) & set(means[PEER])):
        cells = [
            form.format(means[name][step][metric])
            for metric, form in (
                ("masked_lm_loss", "{:.3f}"),
                ("masked_lm_accuracy", "{:.1%}"),
                ("next_sentence_accuracy", "{:.1%}"),
            )
            for name in LEARNERS
        ]
        print(f"| {step} | " + " | ".join(cells) + " |")
    print(
        f"\nGuessing: unigram entropy {guesses['unigram_entropy']:.3f}, the more frequent answer "
        f"{guesses['next_sentence_majority']:.1%}. At the last step, by seed:"
    )
    for (name, seed), curve in sorted(curves.items()):
        if arguments.steps in curve:
            print(f"- {name}, seed {seed}: {_short(curve[arguments.steps])}")


def mean_curve(curves: dict[tuple[str, int], Curve], name: str) -> Curve:
    """Means over the seeds of the steps that all of a learner's curves have."""
    own = [curve for (learner, _), curve in curves.items() if learner == name]
    steps = set.intersection(*map(set, own)) if own else set()
    metrics = ("masked_lm_loss", "masked_lm_accuracy", "next_sentence_accuracy")
    return {
        step: {metric: float(np.mean([curve[step][metric] for curve in own])) for metric in metrics}
        for step in sorted(steps)
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--output-dir", required=True)
    parser.add_argument("--chart", help="a PNG file of the curves")
    parser.add_argument("--size", default="small")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--vocab-size", type=int, default=8000)
    parser.add_argument("--repeat", type=int, default=5, help="times a document is cut into pairs")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--evaluate-every", type=int, default=100)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--warmup-share", type=float, default=0.1)
    parser.add_argument("--beta-2", type=float, default=0.999)
    parser.add_argument("--initializer-range", type=float, default=0.02)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--learners", nargs="+", choices=tuple(LEARNERS), default=tuple(LEARNERS))
    return parser.parse_args()


if __name__ == "__main__":
    main()
