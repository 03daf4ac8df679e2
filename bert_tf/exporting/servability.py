"""Checks that TF Serving takes a SavedModel and that it answers as the model it was made of.

In: a folder with `saved_model.pb` and warm-up requests. Out: a report, one line a check. What is
wrong in an export must be found here, not in production.
"""

import dataclasses
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.exporting.batching_check import Batch
from bert_tf.exporting.closeness import EXACT, Closeness
from bert_tf.exporting.graph_ops import GraphOps
from bert_tf.exporting.loading import read_graph
from bert_tf.exporting.serving_ops import NEWEST, missing_in, missing_in_older, serving_ops
from bert_tf.exporting.warmup import write_logs
from bert_tf.system.files import folder_bytes

REPORT_FILE = "assets.extra/servability.json"
# What REST can write.
SERVED_TYPES = (tf.float32, tf.float64, tf.int32, tf.int64, tf.uint8, tf.bool, tf.string)
PROGRAM = Path(__file__).with_name("replay.py")
SECONDS_TO_REPLAY = 1800
_ABSOLUTE_PATH = re.compile(rb"(/[\w.@+-]+){2,}/?|[A-Za-z]:\\.+")


Answers = Mapping[str, np.ndarray]
"""Of one request: outputs by name."""


@dataclass(frozen=True)
class Check:
    """One condition, and what was found."""

    name: str
    faults: tuple[str, ...] = ()
    detail: str = ""


Compare = Callable[[Sequence[Answers], Sequence[Answers]], Check]


@dataclass(frozen=True)
class Report:
    """What was looked at; without a fault, TF Serving takes the model."""

    checks: tuple[Check, ...]
    num_bytes: int
    load_seconds: float | None = None
    warmup_seconds: float | None = None

    @property
    def faults(self) -> list[str]:
        return [f"{check.name}: {fault}" for check in self.checks for fault in check.faults]

    def with_check(self, check: Check) -> "Report":
        """This report with one more check."""
        return dataclasses.replace(self, checks=(*self.checks, check))

    def as_json(self) -> dict[str, Any]:
        """For files, and for the registry."""
        return {
            "is_servable": not self.faults,
            "checks": {
                check.name: {"faults": list(check.faults), "detail": check.detail}
                for check in self.checks
            },
            "num_bytes": self.num_bytes,
            "load_seconds": self.load_seconds,
            "warmup_seconds": self.warmup_seconds,
        }

    def describe(self) -> str:
        """One line a check, for people."""
        lines = [
            f"{'FAILED' if check.faults else 'ok':6} {check.name}: "
            + ("; ".join(check.faults) or check.detail)
            for check in self.checks
        ]
        return "\n".join(lines)


def check_servability(
    saved_model_dir: str | Path,
    expected: Sequence[Answers] | None = None,
    *,
    batches: Sequence[Batch] = (),
    closeness: Closeness = EXACT,
    serving_version: str = NEWEST,
    compare: Compare | None = None,
) -> Report:
    """Look into the file, then load it in a process of its own and replay its warm-up requests.

    Args:
        expected: the model's own answers to the warm-up requests, to compare with.
        compare: says of expected and received answers whether they are close; default: each number.
        batches: requests to be answered alone and together, see `batching_check`.
        closeness: of a row alone to itself in a batch.
        serving_version: of the TensorFlow Serving that is to take it, such as `2.16`.

    Raises:
        FileNotFoundError: there is no SavedModel.
        ValueError: the operations of that version are not known.
    """
    directory = Path(saved_model_dir)
    checks = check_file(directory, serving_version=serving_version)
    replayed, found, facts = _replay(directory, batches)
    checks.append(replayed)
    num_requests = sum(batch.num_requests for batch in batches)
    answers, of_batches = found[: len(found) - num_requests], found[len(found) - num_requests :]
    if facts and expected is not None:
        checks.append((compare or same_answers)(expected, answers))
    if facts and batches:
        checks.append(
            _check_batches(batches, of_batches, closeness, seconds=facts["requests_seconds"])
        )
    return Report(
        checks=tuple(checks),
        num_bytes=folder_bytes(directory),
        load_seconds=facts.get("load_seconds"),
        warmup_seconds=facts.get("warmup_seconds"),
    )


def check_file(saved_model_dir: str | Path, *, serving_version: str = NEWEST) -> list[Check]:
    """What can be told without loading it: operations, signatures, paths. Raises as above."""
    graph = read_graph(saved_model_dir)
    return [_check_ops(graph, serving_version), _check_signatures(graph), _check_paths(graph)]


def _check_ops(graph: Any, serving_version: str) -> Check:
    used = GraphOps(graph)
    missing = [name for name in used.names if name not in serving_ops()]
    faults = [f"{name} is no operation of stock TF Serving{used.where(name)}" for name in missing]
    faults += [
        f"{name} is not in TF Serving {serving_version}{used.where(name)}"
        for name in used.among(missing_in(serving_version))
    ]
    faults += [f"{name} needs a compiler" for name in used.compiled]
    return Check("operations", tuple(faults), _ops_detail(used))


def _ops_detail(used: GraphOps) -> str:
    """The releases that have them all: older ones lack some operations and attributes."""
    older = missing_in_older()
    lacking = {version: used.among(missing) for version, missing in older.items()}
    complete = [version for version, missing in lacking.items() if not missing]
    told = f"{len(used.names)} kinds, all of them in stock TF Serving {NEWEST} and later"
    if complete:
        told += f", and in {', '.join(complete)}"
    incomplete = [f"{version} lacks {', '.join(it)}" for version, it in lacking.items() if it]
    return "; ".join([told, *incomplete])


def _check_signatures(graph: Any) -> Check:
    faults = []
    signatures = {
        name: signature for name, signature in graph.signature_def.items() if signature.inputs
    }
    for name, signature in sorted(signatures.items()):
        for kind, infos in (("input", signature.inputs), ("output", signature.outputs)):
            for key, info in sorted(infos.items()):
                shape, dtype = tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype)
                where = f"{name}, {kind} {key}"
                if dtype not in SERVED_TYPES:
                    faults.append(f"{where} is {dtype.name}, which REST cannot write")
                if shape.rank == 0 or (shape.rank and shape[0] is not None):
                    faults.append(f"{where} has the shape {shape}; its first must be the batch")
    if tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY not in signatures:
        faults.append("there is no serving_default")
    return Check("signatures", tuple(faults), ", ".join(sorted(signatures)))


def _check_paths(graph: Any) -> Check:
    """A file that is read by its place on the machine of the export is on no other."""
    found = set()
    for node in GraphOps(graph).nodes():
        if node.op == "Const" and node.attr["dtype"].type == tf.string.as_datatype_enum:
            for value in node.attr["value"].tensor.string_val:
                if node.attr["value"].tensor.tensor_shape.dim:
                    continue  # a vector of words, such as a vocabulary
                if _ABSOLUTE_PATH.fullmatch(value):
                    found.add(value.decode(errors="replace"))
    faults = tuple(f"{path} is a place on this machine" for path in sorted(found))
    return Check("paths", faults, "none outside of the folder")


def _replay(directory: Path, batches: Sequence[Batch]) -> tuple[Check, list[Any], dict[str, Any]]:
    """The check, the answers in order, or messages of errors, and what the process tells.

    The answers are those to the warm-up requests, then those to the requests of `batches`.
    """
    with tempfile.TemporaryDirectory() as folder:
        result, requests = f"{folder}/result.npz", Path(folder) / "requests"
        write_logs([request for batch in batches for request in batch.requests()], requests)
        command = [sys.executable, "-I", str(PROGRAM), str(directory.resolve())]
        try:
            process = subprocess.run(
                [*command, result, str(requests)],
                capture_output=True,
                text=True,
                timeout=SECONDS_TO_REPLAY,
            )
        except subprocess.TimeoutExpired:
            fault = f"a fresh process had not answered all requests after {SECONDS_TO_REPLAY} s"
            return Check("warm-up", (fault,)), [], {}
        if process.returncode:
            last = (process.stderr.strip().splitlines() or ["no message"])[-1]
            return Check("warm-up", (f"a fresh process failed: {last[:500]}",)), [], {}
        with np.load(result) as arrays:
            facts = json.loads(str(arrays["facts"]))
            found: dict[int, Any] = {
                int(number): message for number, message in facts["errors"].items()
            }
            for key in arrays.files:
                number, _, output = key.partition(":")
                if output:
                    found.setdefault(int(number), {})[output] = arrays[key]
    num_requests = len(found) - sum(batch.num_requests for batch in batches)
    faults = () if num_requests else ("there are no requests",)
    detail = (
        f"{num_requests} requests answered by a process without this package and Keras; loaded in "
        f"{facts['load_seconds']:.1f} s, warm after {facts['warmup_seconds']:.1f} s"
    )
    return Check("warm-up", faults, detail), [found[number] for number in sorted(found)], facts


def same_answers(expected: Sequence[Answers], found: Sequence[Answers]) -> Check:
    """Whether they are those of the model in memory."""
    faults = []
    largest = 0.0
    if len(expected) != len(found):
        faults.append(f"{len(found)} answers to {len(expected)} requests")
    for number, (wanted, received) in enumerate(zip(expected, found, strict=False)):
        for name, value in wanted.items():
            is_exact = all(other.dtype.kind != "f" for other in wanted.values())
            if not EXACT.holds(value, received[name], is_exact=is_exact):
                faults.append(f"request {number}, output {name}: other values than in memory")
            elif value.dtype.kind == "f" and value.size:
                largest = max(largest, float(np.abs(value - received[name]).max()))
    return Check("answers", tuple(faults), f"those of the model in memory to {largest:.1g}")


def _check_batches(
    batches: Sequence[Batch], found: Sequence[Any], closeness: Closeness, *, seconds: float
) -> Check:
    faults: list[str] = []
    place = 0
    for batch in batches:
        end = place + batch.num_requests
        faults += batch.faults(found[place:end], closeness)
        place = end
    names = {batch.signature_name for batch in batches}
    num_rows = sum(len(next(iter(batch.merged.values()))) for batch in batches)
    detail = (
        f"{num_rows} rows of {len(names)} signatures, hostile ones among them, answer the same "
        f"alone and in a batch as TF Serving makes it up; asked in {seconds:.1f} s"
    )
    return Check("batching", tuple(faults), detail)
