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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from bert_tf.exporting.serving_ops import serving_ops
from bert_tf.exporting.version_folders import saved_model_file
from bert_tf.system.files import folder_bytes

REPORT_FILE = "assets.extra/servability.json"
# What REST can write.
SERVED_TYPES = (tf.float32, tf.float64, tf.int32, tf.int64, tf.uint8, tf.bool, tf.string)
PROGRAM = Path(__file__).with_name("replay.py")
SECONDS_TO_REPLAY = 600
_ABSOLUTE_PATH = re.compile(rb"(/[\w.@+-]+){2,}/?|[A-Za-z]:\\.+")


@dataclass(frozen=True)
class Check:
    """One condition, and what was found."""

    name: str
    faults: tuple[str, ...] = ()
    detail: str = ""


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
    saved_model_dir: str | Path, expected: Sequence[Mapping[str, np.ndarray]] | None = None
) -> Report:
    """Look into the file, then load it in a process of its own and replay its warm-up requests.

    Args:
        expected: the model's own answers to the warm-up requests, to compare with.

    Raises:
        FileNotFoundError: there is no SavedModel.
    """
    directory = Path(saved_model_dir)
    checks = check_file(directory)
    replayed, found, facts = _replay(directory)
    checks.append(replayed)
    if facts and expected is not None:
        checks.append(_check_answers(expected, found))
    return Report(
        checks=tuple(checks),
        num_bytes=folder_bytes(directory),
        load_seconds=facts.get("load_seconds"),
        warmup_seconds=facts.get("warmup_seconds"),
    )


def check_file(saved_model_dir: str | Path) -> list[Check]:
    """What can be told without loading it: operations, signatures, paths. Raises as above."""
    content = saved_model_file(saved_model_dir).read_bytes()
    (graph,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    return [_check_ops(graph), _check_signatures(graph), _check_paths(graph)]


def _nodes(graph: Any) -> Iterator[Any]:
    yield from graph.graph_def.node
    for function in graph.graph_def.library.function:
        yield from function.node_def


def _check_ops(graph: Any) -> Check:
    own = {function.signature.name for function in graph.graph_def.library.function}
    used = {node.op for node in _nodes(graph)} - own
    missing = sorted(used - serving_ops())
    compiled = sorted(
        function.signature.name
        for function in graph.graph_def.library.function
        if function.attr["_XlaMustCompile"].b
    )
    faults = [f"{op} is no operation of stock TF Serving" for op in missing]
    faults += [f"{name} needs a compiler" for name in compiled]
    return Check("operations", tuple(faults), f"{len(used)} kinds, all of them in stock TF Serving")


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
    for node in _nodes(graph):
        if node.op == "Const" and node.attr["dtype"].type == tf.string.as_datatype_enum:
            for value in node.attr["value"].tensor.string_val:
                if node.attr["value"].tensor.tensor_shape.dim:
                    continue  # a vector of words, such as a vocabulary
                if _ABSOLUTE_PATH.fullmatch(value):
                    found.add(value.decode(errors="replace"))
    faults = tuple(f"{path} is a place on this machine" for path in sorted(found))
    return Check("paths", faults, "none outside of the folder")


def _replay(directory: Path) -> tuple[Check, list[dict[str, np.ndarray]], dict[str, Any]]:
    """The check, the answers to the warm-up requests in order, and what the process tells."""
    with tempfile.TemporaryDirectory() as folder:
        result = f"{folder}/result.npz"
        process = subprocess.run(
            [sys.executable, "-I", str(PROGRAM), str(directory.resolve()), result],
            capture_output=True,
            text=True,
            timeout=SECONDS_TO_REPLAY,
        )
        if process.returncode:
            last = (process.stderr.strip().splitlines() or ["no message"])[-1]
            return Check("warm-up", (f"a fresh process failed: {last[:500]}",)), [], {}
        with np.load(result) as arrays:
            facts = json.loads(str(arrays["facts"]))
            found: dict[int, dict[str, np.ndarray]] = {}
            for key in arrays.files:
                number, _, output = key.partition(":")
                if output:
                    found.setdefault(int(number), {})[output] = arrays[key]
    faults = () if found else ("there are no requests",)
    detail = (
        f"{len(found)} requests answered by a process without this package and Keras; loaded in "
        f"{facts['load_seconds']:.1f} s, warm after {facts['warmup_seconds']:.1f} s"
    )
    return Check("warm-up", faults, detail), [found[number] for number in sorted(found)], facts


def _check_answers(
    expected: Sequence[Mapping[str, np.ndarray]], found: Sequence[Mapping[str, np.ndarray]]
) -> Check:
    faults = []
    largest = 0.0
    if len(expected) != len(found):
        faults.append(f"{len(found)} answers to {len(expected)} requests")
    for number, (wanted, received) in enumerate(zip(expected, found, strict=False)):
        for name, value in wanted.items():
            if not _are_close(value, received[name]):
                faults.append(f"request {number}, output {name}: other values than in memory")
            elif value.dtype.kind == "f" and value.size:
                largest = max(largest, float(np.abs(value - received[name]).max()))
    return Check("answers", tuple(faults), f"those of the model in memory to {largest:.1g}")


def _are_close(expected: np.ndarray, received: np.ndarray) -> bool:
    if expected.shape != received.shape:
        return False
    if expected.dtype.kind in "OS":
        return bool((expected.astype(bytes) == received).all())
    return np.allclose(expected, received, rtol=1e-4, atol=1e-5)
