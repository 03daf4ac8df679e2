"""How soon is the first batch there, and does reading keep up with training?

    python -m benchmarks.input_pipeline [--num-records 2000000 --num-shards 32 --batch-size 256]

Writes synthetic records of full length once, in --directory if given. Then, in turn: seconds to
the first batch at step 0 and deep in an epoch; sequences a second of the pipeline alone, of
prepared records (plain and GZIP) and of static ones, beside those of a training step, which on a
CPU shares its cores with the pipeline. Checksums are timed apart: a process computes them once.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks.machine import describe_machine
from benchmarks.pretraining_step import make_our_step
from bert_tf.config import MaskingConfig, ModelConfig
from bert_tf.data import records
from bert_tf.data.batches import google_records, pretraining
from bert_tf.data.text.vocabulary import CLS, MASK, PAD, SEP, UNK
from bert_tf.training.strategy import dtype_policy, split_batches

VOCAB_SIZE, NUM_PREDICTIONS = 30522, 20
MakeBatches = Callable[[int], tf.data.Dataset]


def main() -> None:
    """Write the records, time, print two Markdown tables."""
    arguments = _parse()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.directory or temporary)
        sources = {
            name: _prepared(folder / name, arguments, compression=name) for name in ("none", "gzip")
        }
        print(
            f"{datetime.now(tz=UTC):%Y-%m-%d}, {describe_machine()}; "
            f"{arguments.num_records} records of {arguments.length} tokens in "
            f"{arguments.num_shards} shards, batches of {arguments.batch_size}\n"
        )
        print("| records | checksums or counting, s | first batch, s | at 90%, s | sequences/s |")
        print("|---|---|---|---|---|")
        for name, folder_of in sources.items():
            started = time.perf_counter()
            records.shard_paths(folder_of, "train")
            seconds = time.perf_counter() - started
            _print_row(
                f"prepared, {name}", seconds, _prepared_batches(folder_of, arguments), arguments
            )
        started = time.perf_counter()
        static = google_records.open_static(
            _static(folder / "static", arguments), vocab_size=VOCAB_SIZE, cls_id=2
        )
        seconds = time.perf_counter() - started
        _print_row("static", seconds, _static_batches(static, arguments), arguments)
        if arguments.sizes:
            _print_steps(sources["none"], arguments)


def _print_row(
    name: str, seconds: float, batches: MakeBatches, arguments: argparse.Namespace
) -> None:
    deep = int(0.9 * arguments.num_records) // arguments.batch_size
    first, later = (_seconds_to_first(batches, step) for step in (0, deep))
    rate = _rate(batches, arguments)
    print(f"| {name} | {seconds:.1f} | {first:.2f} | {later:.2f} | {rate:,.0f} |", flush=True)


def _print_steps(folder: Path, arguments: argparse.Namespace) -> None:
    """Steps fed by the pipeline, beside the same step on one batch that is in memory."""
    print(
        "\n| training step | sequences/s, same batch | sequences/s, from records | records cost |"
    )
    print("|---|---|---|---|")
    for size in arguments.sizes:
        batches = _prepared_batches(folder, arguments)(0)
        still = batches.take(1).cache().repeat()
        step = _training_step(size, arguments)
        rates: dict[str, list[float]] = {"still": [], "fed": []}
        for _ in range(arguments.rounds):
            for name, dataset in (("still", still), ("fed", batches)):
                rates[name].append(step(dataset))
        before, after = (float(np.median(rates[name])) for name in ("still", "fed"))
        print(f"| {size} | {before:,.0f} | {after:,.0f} | {1 - after / before:.1%} |", flush=True)


def _training_step(size: str, arguments: argparse.Namespace) -> Callable[[Any], float]:
    """A function of global batches: sequences a second over `--steps` steps."""
    config = ModelConfig.model_validate({"size": size, "vocab_size": VOCAB_SIZE})
    train_step, strategy = make_our_step(
        config, length=arguments.length, policy=dtype_policy("auto")
    )

    def rate(batches: tf.data.Dataset) -> float:
        iterator = iter(split_batches(lambda: batches, strategy))
        for _ in range(2):
            _wait(train_step(iterator, tf.constant(0, tf.int64)))
        started = time.perf_counter()
        for step in range(arguments.steps):
            result = train_step(iterator, tf.constant(step, tf.int64))
        _wait(result)
        return arguments.steps * arguments.batch_size / (time.perf_counter() - started)

    return rate


def _wait(result: Any) -> None:
    tf.nest.map_structure(lambda value: value.numpy(), result)


def _seconds_to_first(batches: MakeBatches, step: int) -> float:
    started = time.perf_counter()
    next(iter(batches(step)))
    return time.perf_counter() - started


def _rate(batches: MakeBatches, arguments: argparse.Namespace) -> float:
    iterator = iter(batches(0))
    for _ in range(20):
        next(iterator)
    num_batches, started = 0, time.perf_counter()
    while time.perf_counter() - started < arguments.seconds:
        next(iterator)
        num_batches += 1
    return num_batches * arguments.batch_size / (time.perf_counter() - started)


def _prepared_batches(folder: Path, arguments: argparse.Namespace) -> MakeBatches:
    return lambda step: pretraining.training_batches(
        folder,
        batch_size=arguments.batch_size,
        masking=MaskingConfig(max_predictions_per_seq=NUM_PREDICTIONS),
        seed=1,
        start_step=step,
    )


def _static_batches(static: Any, arguments: argparse.Namespace) -> MakeBatches:
    return lambda step: google_records.training_batches(
        static, batch_size=arguments.batch_size, seed=1, start_step=step
    )


def _prepared(folder: Path, arguments: argparse.Namespace, *, compression: str) -> Path:
    """A folder as `bert-tf prepare` writes it; one that is there is taken as it is."""
    if (folder / records.MANIFEST_FILE).is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    tokens = [PAD, UNK, CLS, SEP, MASK, *(f"w{index}" for index in range(5, VOCAB_SIZE))]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    half = arguments.length // 2
    segments = [0] * half + [1] * (arguments.length - half)
    pool = [records.Example(ids, segments, 1) for ids in _sequences(arguments)]
    shards = [
        records.write_shard(
            folder / records.shard_name("train", index, num_shards=arguments.num_shards),
            (pool[number % len(pool)] for number in range(_shard_size(index, arguments))),
            split="train",
            compression=compression,
        )
        for index in range(arguments.num_shards)
    ]
    plan = {
        "examples": {"max_seq_length": arguments.length, "next_sentence": True},
        "records": {"compression": compression},
    }
    records.write_manifest(
        records.Manifest(
            schema_version=records.SCHEMA_VERSION,
            plan=plan,
            num_documents={"train": arguments.num_records, "eval": 0},
            shards=tuple(shards),
        ),
        folder,
    )
    return folder


def _static(folder: Path, arguments: argparse.Namespace) -> Path:
    """Files as Google's create_pretraining_data.py writes them."""
    if folder.is_dir():
        return folder
    folder.mkdir(parents=True)
    pool = [_static_record(ids, arguments) for ids in _sequences(arguments)]
    for index in range(arguments.num_shards):
        with tf.io.TFRecordWriter(str(folder / f"{index:03d}.tfrecord")) as writer:
            for number in range(_shard_size(index, arguments)):
                writer.write(pool[number % len(pool)])
    return folder


def _static_record(ids: list[int], arguments: argparse.Namespace) -> bytes:
    message = tf.train.Example()
    numbers = {
        "input_ids": ids,
        "input_mask": [1] * arguments.length,
        "segment_ids": [0] * arguments.length,
        "masked_lm_positions": list(range(1, NUM_PREDICTIONS + 1)),
        "masked_lm_ids": ids[1 : NUM_PREDICTIONS + 1],
        "next_sentence_labels": [1],
    }
    for name, values in numbers.items():
        message.features.feature[name].int64_list.value.extend(values)
    weights = message.features.feature["masked_lm_weights"]
    weights.float_list.value.extend([1.0] * NUM_PREDICTIONS)
    return bytes(message.SerializeToString())


def _sequences(arguments: argparse.Namespace) -> list[list[int]]:
    rng = np.random.default_rng(0)
    shape = (2000, arguments.length - 2)
    return [[2, *ids, 3] for ids in rng.integers(5, VOCAB_SIZE, shape).tolist()]


def _shard_size(index: int, arguments: argparse.Namespace) -> int:
    return (arguments.num_records + index) // arguments.num_shards


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-records", type=int, default=2_000_000)
    parser.add_argument("--num-shards", type=int, default=32)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each pipeline's rate")
    parser.add_argument("--sizes", nargs="*", default=["tiny", "mini"])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", help="keep the records here and use them again")
    return parser.parse_args()


if __name__ == "__main__":
    main()
