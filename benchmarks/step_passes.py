"""What does a pretraining step read and write as large as its weights, besides its products?

    python -m benchmarks.step_passes [--size base --batch-size 8 --precision bfloat16]

Traces steps of `pretraining_step` with TensorFlow's profiler and lists, kind by kind, the
operations of which an input or output has the shape of a weight matrix: casts, norms, clipping,
decay, moments, sums and copies. A compiled function counts under its own name. Bytes are of all
inputs and outputs, what a cache may spare included. Seconds are of the step's wall time: of two
operations at once each has half. The number of tokens must not be a weight's height, or layers'
values would count, too: take 8 x 128 of BERT-base, and 2 x 128 of BERT-large.
"""

import argparse
import os
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks.machine import describe_machine
from benchmarks.pretraining_step import make_our_step
from benchmarks.workload import POLICIES, make_batch
from bert_tf.config import ModelConfig
from bert_tf.training.engine.strategy import split_batches
from bert_tf.training.measuring.step_times import (
    STEP_EVENT,
    read_operation_seconds,
    without_branch,
)

_PRODUCTS = {"MatMul", "BatchMatMulV2"}
# They hand a tensor on, or hold other operations.
_NO_PASSES = {"Identity", "ReadVariableOp", "Reshape", "Placeholder", "If", "StatelessIf", "Const"}
_NO_PASSES |= {"ExpandDims", "Squeeze", "NoOp", "IdentityN"}
_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}


class Pass(NamedTuple):
    """An operation on a tensor as large as a weight."""

    kind: str
    num_bytes: int


def main() -> None:
    """Trace some steps and print a Markdown table."""
    arguments = _parse()
    config = ModelConfig(size=arguments.size, vocab_size=30522)
    batch = make_batch(config, batch_size=arguments.batch_size, length=arguments.length, seed=0)
    ours = make_our_step(config, length=arguments.length, policy=POLICIES[arguments.precision])
    batches = iter(
        split_batches(lambda: tf.data.Dataset.from_tensors(batch).repeat(), ours.strategy)
    )
    shapes = {tuple(v.shape) for v in ours.model.trainable_variables if len(v.shape) == 2}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, 3 + arguments.steps):
            if number == 3:
                tf.profiler.experimental.start(folder)
            with tf.profiler.experimental.Trace(STEP_EVENT, step_num=number, _r=1):
                result = ours.train_step(batches, tf.constant(number, tf.int64))
                tf.nest.map_structure(np.asarray, result)
        tf.profiler.experimental.stop()
        whole, seconds = read_operation_seconds(folder)
    concrete = ours.train_step.concrete(batches, tf.constant(1, tf.int64))
    passes = dict(_passes(concrete.graph, shapes))
    print(
        f"{arguments.size}, {arguments.batch_size} x {arguments.length}, {arguments.precision}; "
        f"{describe_machine()}; {datetime.now(UTC):%Y-%m-%d}; a traced step {whole:.3f} s\n"
    )
    _print(passes, seconds, whole)


def _passes(graph: Any, shapes: set[tuple[int, ...]]) -> Iterator[tuple[str, Pass]]:
    """(name, pass) of every operation of a graph and of its branches."""
    for operation in graph.get_operations():
        if operation.type in ("If", "StatelessIf"):
            for branch in ("then_branch", "else_branch"):
                function = graph._get_function(operation.get_attr(branch).name)
                yield from _passes(function.graph, shapes)
        if operation.type in _NO_PASSES:
            continue
        tensors = [*operation.inputs, *operation.outputs]
        sizes = [(_shape(tensor), tensor.dtype.size) for tensor in tensors]
        sizes += _variables(operation)
        if any(shape in shapes for shape, _ in sizes):
            num_bytes = sum(int(np.prod(shape)) * size for shape, size in sizes if shape)
            yield operation.name, Pass(_kind(operation), num_bytes)


def _shape(tensor: tf.Tensor) -> tuple[int, ...] | None:
    known = tensor.dtype != tf.resource and tensor.shape.is_fully_defined()
    return tuple(tensor.shape) if known else None


def _variables(operation: Any) -> list[tuple[tuple[int, ...] | None, int]]:
    """What an operation reads and writes of the variables that it is given: each twice."""
    if operation.type in _CALLS or not operation.type.startswith(("ResourceApply", "Assign")):
        return []
    given = [t for t in operation.inputs if t.dtype != tf.resource and len(t.shape)]
    if not given or operation.type == "AssignVariableOp":
        return []  # takes the tensor's memory
    num_resources = sum(t.dtype == tf.resource for t in operation.inputs)
    return [(_shape(given[-1]), 4)] * (2 * num_resources)


def _kind(operation: Any) -> str:
    if operation.type not in _CALLS:
        return str(operation.type)
    name = str(operation.get_attr("f").name)
    return "compiled " + re.sub(r"^__(inference|forward)_|_\d+$", "", name)


def _print(passes: dict[str, Pass], seconds: dict[str | None, float], whole: float) -> None:
    numbers: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    times: dict[str, float] = defaultdict(float)
    products = 0.0
    for name, time in seconds.items():
        found = passes.get(without_branch(name or ""))
        if found and found.kind in _PRODUCTS:
            products += time
        elif found:
            numbers[found.kind] += 1
            sizes[found.kind] += found.num_bytes
            times[found.kind] += time
    print("| | operations | MB read and written | ms | share of the step |\n|---|---|---|---|---|")
    for kind in sorted(times, key=lambda kind: -times[kind]):
        _print_row(kind, numbers[kind], sizes[kind], times[kind], whole)
    _print_row("(all)", numbers.total(), sizes.total(), sum(times.values()), whole)
    print(f"\nProducts with a weight or its gradient: {1e3 * products:.0f} ms.")


def _print_row(kind: str, number: int, num_bytes: int, time: float, whole: float) -> None:
    print(f"| {kind} | {number} | {num_bytes / 1e6:.0f} | {1e3 * time:.1f} | {time / whole:.1%} |")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="base")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--steps", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
