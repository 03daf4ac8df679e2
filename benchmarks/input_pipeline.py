"""How soon is the first batch there, and does reading keep up with training?

    python -m benchmarks.input_pipeline [--num-records 2000000 --steps mini:32:10 base:8:3]

Writes synthetic records of full length, one kind after the other, and removes each once measured:
at most one is on the disk. In a fresh process for each kind: seconds to the first batch at step 0
and deep in a late epoch, the pipeline alone at the first step's batch size, and the peak of memory
above what the imports take. Checksums (static records: counting) are timed apart: a process
computes them once. CPU is the processor's own time, which other work on the machine hardly
lengthens. Then training steps on one batch in memory and on records, in turn; on a CPU they share
their cores with the pipeline.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks.machine import describe_machine, peak_bytes
from benchmarks.pretraining_step import make_our_step
from benchmarks.synthetic_records import (
    CLS_ID,
    NUM_PREDICTIONS,
    VOCAB_SIZE,
    MakeBatches,
    batches_of,
    examples,
    write_records,
)
from bert_tf.config import ModelConfig
from bert_tf.data import records
from bert_tf.data.batches import google_records
from bert_tf.training.engine.strategy import dtype_policy, split_batches

LATE_EPOCH = 30.9


def main() -> None:
    """Write the records, time, print two Markdown tables."""
    arguments = _parse()
    if arguments.measure:
        print(json.dumps(_measure(Path(arguments.measure), arguments)))
        return
    batch_size = _step(arguments.steps[0])[1]
    print(
        f"{datetime.now(tz=UTC):%Y-%m-%d}, {describe_machine()}; {arguments.num_records:,} records "
        f"of {arguments.length} tokens in {arguments.num_shards} shards\n"
    )
    print(
        "| records | GB | checksums or counting, s | first batch, s | at epoch "
        f"{LATE_EPOCH}, s | batches/s of {batch_size} | CPU µs a sequence | peak, MB |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=arguments.directory) as folder:
        for kind in ("static", "gzip", "none"):
            path = Path(folder) / kind
            path.mkdir()
            _write(path, arguments)
            _print_row(path)
            if kind != "none":
                shutil.rmtree(path)
        _print_steps(path, arguments)


def _print_row(path: Path) -> None:
    module = [sys.executable, "-m", "benchmarks.input_pipeline"]
    command = [*module, *sys.argv[1:], "--measure", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    gigabytes = sum(file.stat().st_size for file in path.iterdir()) / 1e9
    name = "static" if path.name == "static" else f"prepared, {path.name}"
    print(
        f"| {name} | {gigabytes:.2f} | {found['checks']:.1f} | {found['first']:.2f} "
        f"| {found['late']:.2f} | {found['rate']:,.0f} | {found['cpu']:.1f} "
        f"| {found['peak']:.0f} |",
        flush=True,
    )


def _measure(path: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Of one kind of records, in this process."""
    batch_size = _step(arguments.steps[0])[1]
    tf.zeros(1).numpy()
    before, started = peak_bytes(), time.perf_counter()
    if path.name == "static":
        batches = _static_batches(path)
    else:
        records.shard_paths(path, "train")
        batches = batches_of(path)
    found = {"checks": time.perf_counter() - started}
    late = int(LATE_EPOCH * arguments.num_records) // batch_size
    for name, step in (("first", 0), ("late", late)):
        started = time.perf_counter()
        next(iter(batches(batch_size=batch_size, start_step=step)))
        found[name] = time.perf_counter() - started
    rate, cpu = _rate(batches, batch_size=batch_size, seconds=arguments.seconds)
    peak = (peak_bytes() - before) / 1e6
    return found | {"rate": rate, "cpu": cpu * 1e6 / batch_size, "peak": peak}


def _rate(batches: MakeBatches, *, batch_size: int, seconds: float) -> tuple[float, float]:
    """Batches a second, and processor seconds a batch, of the pipeline alone."""
    iterator = iter(batches(batch_size=batch_size))
    for _ in range(20):
        next(iterator)
    num_batches, started, cpu_started = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        next(iterator)
        num_batches += 1
    took, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    return num_batches / took, cpu / num_batches


def _print_steps(path: Path, arguments: argparse.Namespace) -> None:
    """Steps fed by the pipeline, beside the same step on one batch that is in memory."""
    print(
        "\n| training step | steps/s, one batch | steps/s, from records | records cost | batches/s "
        "of the pipeline alone | times the step | share of a core |"
    )
    print("|---|---|---|---|---|---|---|")
    for description in arguments.steps:
        size, batch_size, num_steps = _step(description)
        alone, cpu = _rate(batches_of(path), batch_size=batch_size, seconds=arguments.seconds)
        batches = batches_of(path)(batch_size=batch_size)
        still = batches.take(1).cache().repeat()
        make_rate = _training_step(size, num_steps=num_steps, length=arguments.length)
        measures = [make_rate(still), make_rate(batches)]
        rates = [[rate() for rate in measures] for _ in range(arguments.rounds)]
        before, after = np.median(rates, axis=0).tolist()
        print(
            f"| {size}, {batch_size} x {arguments.length} | {before:.2f} | {after:.2f} "
            f"| {1 - after / before:.1%} | {alone:,.0f} | {alone / before:,.0f} "
            f"| {cpu * before:.2%} |",
            flush=True,
        )


def _training_step(
    size: str, *, num_steps: int, length: int
) -> Callable[[tf.data.Dataset], Callable[[], float]]:
    """Of global batches, a function that takes steps on them and gives steps a second."""
    config = ModelConfig.model_validate({"size": size, "vocab_size": VOCAB_SIZE})
    train_step, strategy, *_ = make_our_step(config, length=length, policy=dtype_policy("auto"))

    def make_rate(batches: tf.data.Dataset) -> Callable[[], float]:
        iterator = iter(split_batches(lambda: batches, strategy))

        def rate() -> float:
            started = time.perf_counter()
            for step in range(num_steps):
                result = train_step(iterator, tf.constant(step, tf.int64))
            tf.nest.map_structure(lambda value: value.numpy(), result)
            return num_steps / (time.perf_counter() - started)

        rate()  # Traces and compiles.
        return rate

    return make_rate


def _static_batches(folder: Path) -> MakeBatches:
    static = google_records.open_static(folder, vocab_size=VOCAB_SIZE, cls_id=CLS_ID)
    return lambda **options: google_records.training_batches(static, seed=1, **options)


def _write(folder: Path, arguments: argparse.Namespace) -> None:
    if folder.name == "static":
        _write_static(folder, arguments)
        return
    write_records(
        folder,
        num_records=arguments.num_records,
        num_shards=arguments.num_shards,
        length=arguments.length,
        compression=folder.name,
    )


def _write_static(folder: Path, arguments: argparse.Namespace) -> None:
    """Files as Google's create_pretraining_data.py writes them, of 2,000 different records."""
    ids = examples(2000, length=arguments.length, seed=0).input_ids.reshape(2000, -1)
    pool = [_static_record(row) for row in ids.tolist()]
    for index in range(arguments.num_shards):
        with tf.io.TFRecordWriter(str(folder / f"{index:03d}.tfrecord")) as writer:
            for number in range(_shard_size(index, arguments)):
                writer.write(pool[number % len(pool)])


def _static_record(ids: list[int]) -> bytes:
    message = tf.train.Example()
    numbers = {
        "input_ids": ids,
        "input_mask": [1] * len(ids),
        "segment_ids": [0] * len(ids),
        "masked_lm_positions": list(range(1, NUM_PREDICTIONS + 1)),
        "masked_lm_ids": ids[1 : NUM_PREDICTIONS + 1],
        "next_sentence_labels": [1],
    }
    for name, values in numbers.items():
        message.features.feature[name].int64_list.value.extend(values)
    weights = message.features.feature["masked_lm_weights"]
    weights.float_list.value.extend([1.0] * NUM_PREDICTIONS)
    return bytes(message.SerializeToString())


def _shard_size(index: int, arguments: argparse.Namespace) -> int:
    return int(arguments.num_records + index) // int(arguments.num_shards)


def _step(description: str) -> tuple[str, int, int]:
    """Size, batch size and number of steps."""
    size, batch_size, num_steps = description.split(":")
    return size, int(batch_size), int(num_steps)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-records", type=int, default=2_000_000)
    parser.add_argument("--num-shards", type=int, default=32)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each pipeline's rate")
    parser.add_argument(
        "--steps",
        nargs="+",
        default=["mini:32:10", "base:8:3"],
        help="size:batch size:number of steps timed",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", help="where the records are written for the time")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
