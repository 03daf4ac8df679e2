"""What do reading, logging and checkpointing add to a training step?

    python -m benchmarks.training_overhead [--size base --batch-size 8 --steps 4]

Blocks of steps take turns in one process: on one batch that is in memory; on records, as the
commands read them, numbers checked; with every step logged to TensorBoard and to the journal that
MLflow is sent from (into a SQLite file, by its thread); and with one checkpoint, which a thread
writes while the block's other steps run and which is waited for at its end. What a log line and a
checkpoint cost is what their block takes longer, medians over the rounds; set against the steps
from one to the next (`--log-every`, `--checkpoint-every`) it is a share of a step. CPU seconds are
those of all threads, which other work on the machine hardly lengthens. Last, how long a checkpoint
stops training: until the state is copied.
"""

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import tensorflow as tf

from benchmarks.machine import describe_machine
from benchmarks.makers import OurStep
from benchmarks.pretraining_step import make_our_step
from benchmarks.synthetic_records import VOCAB_SIZE, batches_of, write_records
from benchmarks.workload import POLICIES
from bert_tf.config import Config, ModelConfig, TrainingConfig
from bert_tf.tracking.reporting import RunLog, report_run
from bert_tf.training.engine.checked_batches import checked
from bert_tf.training.engine.checkpoints import Checkpoints
from bert_tf.training.engine.strategy import split_batches
from bert_tf.training.engine.window import Window
from bert_tf.training.measuring.matrix_rate import matrix_rate


class Times(NamedTuple):
    """Seconds of a block, and the processor's own in it, of all threads."""

    wall: float
    cpu: float


Block = Callable[[], None]


def main() -> None:
    """Time the blocks in turn and print a Markdown table."""
    arguments = _parse()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as name, contextlib.ExitStack() as on:
        folder = Path(name)
        config = ModelConfig(size=arguments.size, vocab_size=VOCAB_SIZE)
        policy = POLICIES[arguments.precision]
        ours = make_our_step(config, length=arguments.length, policy=policy)
        log = on.enter_context(
            report_run(
                Config(),
                folder / "run",
                stage="pretrain",
                tracking_uri=f"sqlite:///{folder / 'mlflow.db'}",
            )
        )
        checkpoints = on.enter_context(
            Checkpoints(
                folder / "checkpoints",
                model=ours.model,
                optimizer=ours.optimizer,
                keep=2,
                saves_in_background=True,
            )
        )
        pauses: list[float] = []
        blocks = _blocks(
            arguments, ours, folder=folder, log=log, checkpoints=checkpoints, to=pauses
        )
        for block in blocks.values():
            block()  # traces and compiles; takes memory
        times: dict[str, list[Times]] = {name: [] for name in blocks}
        for _ in range(arguments.rounds):
            for name, block in blocks.items():
                times[name].append(_time(block))
        num_weights = ours.model.count_params()
    _print(arguments, times, pauses, num_weights=num_weights)


def _blocks(
    arguments: argparse.Namespace,
    ours: OurStep,
    *,
    folder: Path,
    log: RunLog,
    checkpoints: Checkpoints,
    to: list[float],
) -> dict[str, Block]:
    """Functions that take `arguments.steps` steps.

    Args:
        to: gets the seconds that each checkpoint stops training.
    """
    (folder / "records").mkdir()
    write_records(
        folder / "records",
        num_records=arguments.num_records,
        num_shards=4,
        length=arguments.length,
        compression="none",
    )
    make_batches = batches_of(folder / "records")
    batches = make_batches(batch_size=arguments.batch_size)
    still = iter(split_batches(lambda: batches.take(1).cache().repeat(), ours.strategy))
    read = iter(split_batches(checked(lambda: batches, ours.model), ours.strategy))
    window = Window(
        batch_size=arguments.batch_size,
        matrix_rate=matrix_rate(ours.strategy, dtype=ours.model.compute_dtype),
    )
    step = 0

    def take(iterator: Any, *, after_step: Callable[[], None] = lambda: None) -> None:
        nonlocal step
        for _ in range(arguments.steps):
            window.add(ours.train_step(iterator, tf.constant(step, tf.int64)))
            step += 1
            after_step()
        if window.steps:
            window.close()

    def log_step() -> None:
        log.log_metrics({f"train/{n}": value for n, value in window.close().items()}, step)

    def with_checkpoint() -> None:
        started_at = time.perf_counter()
        checkpoints.save_in_background(step)
        to.append(time.perf_counter() - started_at)
        take(still)
        checkpoints.wait()

    return {
        "nothing": lambda: take(still),
        "records": lambda: take(read),
        "logging": lambda: take(still, after_step=log_step),
        "checkpoint": with_checkpoint,
    }


def _time(block: Block) -> Times:
    started_at, cpu_started_at = time.perf_counter(), time.process_time()
    block()
    return Times(time.perf_counter() - started_at, time.process_time() - cpu_started_at)


def _print(
    arguments: argparse.Namespace,
    times: dict[str, list[Times]],
    pauses: list[float],
    *,
    num_weights: int,
) -> None:
    medians = {
        name: Times(*map(statistics.median, zip(*values, strict=True)))
        for name, values in times.items()
    }
    nothing = medians["nothing"]
    step = Times(nothing.wall / arguments.steps, nothing.cpu / arguments.steps)
    print(
        f"{arguments.size}, {arguments.batch_size} x {arguments.length}, {arguments.precision}, "
        f"medians of {arguments.rounds} blocks of {arguments.steps} steps each, {step.wall:.3f} s "
        f"({step.cpu:.3f} CPU s) a step; {describe_machine()}; {datetime.now(UTC):%Y-%m-%d}\n"
    )
    print(
        "| with | seconds a block | CPU s | one costs, s | CPU s | one in so many steps "
        "| share of a step | of its CPU time |"
    )
    print("|---" * 8 + "|")
    print(f"| nothing | {nothing.wall:.3f} | {nothing.cpu:.3f} | | | | | |")
    sums = [0.0, 0.0]
    for name, num, every in (
        ("records", arguments.steps, 1),
        ("logging", arguments.steps, arguments.log_every),
        ("checkpoint", 1, arguments.checkpoint_every),
    ):
        of_block = medians[name]
        cost = Times((of_block.wall - nothing.wall) / num, (of_block.cpu - nothing.cpu) / num)
        shares = cost.wall / every / step.wall, cost.cpu / every / step.cpu
        sums = [total + share for total, share in zip(sums, shares, strict=True)]
        print(
            f"| {name} | {of_block.wall:.3f} | {of_block.cpu:.3f} | {cost.wall:.4f} "
            f"| {cost.cpu:.4f} | {every} | {shares[0]:.2%} | {shares[1]:.2%} |"
        )
    print(f"| all | | | | | | {sums[0]:.2%} | {sums[1]:.2%} |")
    later = pauses[1:]
    print(
        f"\nA checkpoint of {num_weights / 1e6:.0f} M weights and their moments "
        f"({12 * num_weights / 1e9:.2f} GB) stops training for {statistics.median(later):.2f} s, "
        f"{max(later):.2f} s at most; the first of a run, for which memory is taken, for "
        f"{pauses[0]:.2f} s."
    )


def _parse() -> argparse.Namespace:
    training = TrainingConfig()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="mini")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--precision", choices=tuple(POLICIES), default="float32")
    parser.add_argument("--steps", type=int, default=10, help="in a block")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--log-every", type=int, default=training.log_every_steps)
    parser.add_argument("--checkpoint-every", type=int, default=training.checkpoint_every_steps)
    parser.add_argument("--num-records", type=int, default=50_000)
    parser.add_argument("--directory", help="where records and checkpoints are written")
    return parser.parse_args()


if __name__ == "__main__":
    main()
