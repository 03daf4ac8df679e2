"""Loads a model in the number type it is served in, and compares its answers with float32."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bert_tf.exporting.closeness import Closeness
from bert_tf.exporting.servability import Answers, Check
from bert_tf.layers.tensorflow.bfloat16 import units_assumed
from bert_tf.tasks.base import Task
from bert_tf.tasks.models import load_model

SCORE_TOLERANCE = 0.02
"""Between answers of machines that round differently; another model is further off."""


@contextlib.contextmanager
def load_for_serving(folder: Path, *, precision: str) -> Iterator[keras.Model]:
    """The model; what is traced in the block computes in `precision`.

    In `bfloat16` weights take half the memory and the products are those of hardware with units
    for them, whatever hardware exports: without such units a server is slower by it. Softmax,
    LayerNorm's statistics and the answers are float32. Padding is not computed where it need not.
    For `int8` it is a float32 model, whose products `int8.quantize` replaces.
    """
    with units_assumed() if precision == "bfloat16" else contextlib.nullcontext():
        model = load_model(folder, dtype="float32" if precision == "int8" else precision)
        model.encoder.skips_padding = True
        yield model


def compare_with_float32(
    exact: Sequence[Answers],
    found: Sequence[Answers],
    closeness: Closeness,
    *,
    task: Task | None = None,
) -> Check:
    """Whether answers are within the precision's bound of those of float32; how many agree."""
    faults: list[str] = []
    largest = 0.0
    agreements: list[bool] = []
    if len(exact) != len(found):
        faults.append(f"{len(found)} answers to {len(exact)} requests")
    for number, (wanted, received) in enumerate(zip(exact, found, strict=False)):
        for name, value in wanted.items():
            if not closeness.holds(value, received[name]):
                faults.append(
                    f"request {number}, output {name}: not float32's to within "
                    f"{closeness.of_largest:.3g} of its largest number"
                )
            elif value.dtype.kind == "f" and value.size:
                largest = max(largest, _difference(value, received[name]))
        agreements += _agreements(task, wanted, received)
    same = f"; {sum(agreements)} of {len(agreements)} answers agree" if agreements else ""
    detail = f"answers differ from float32's by at most {largest:.2g} of the largest number{same}"
    return Check("precision", tuple(faults), detail)


def _difference(exact: np.ndarray, found: np.ndarray) -> float:
    """The largest, by the largest number; of what is no number in both, none."""
    largest = float(np.nanmax(np.abs(exact), initial=0.0))
    return float(np.nanmax(np.abs(exact - found), initial=0.0)) / (largest or 1.0)


def _agreements(task: Task | None, exact: Answers, rounded: Answers) -> list[bool]:
    """Of each example whether both answers are the same to the task; none of other signatures."""
    if task is None or not task.is_answer(exact):
        return []
    rows = zip(_rows(exact), _rows(rounded), strict=True)
    return [task.disagreement(*pair, tolerance=SCORE_TOLERANCE) is None for pair in rows]


def _rows(answers: Mapping[str, np.ndarray]) -> Iterator[dict[str, Any]]:
    for values in zip(*answers.values(), strict=True):
        yield dict(zip(answers, values, strict=True))
