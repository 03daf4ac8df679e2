"""Loads a model in the number type it is served in, and compares its answers with float32."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bert_tf.exporting.servability import Check
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
    """
    with units_assumed() if precision == "bfloat16" else contextlib.nullcontext():
        model = load_model(folder, dtype=precision)
        model.encoder.skips_padding = True
        yield model


def compare_with_float32(
    exact: Sequence[Mapping[str, np.ndarray]],
    rounded: Sequence[Mapping[str, np.ndarray]],
    *,
    task: Task | None = None,
) -> Check:
    """How far the answers are from those of float32; no fault, but to be known."""
    largest = 0.0
    agreements: list[bool] = []
    for wanted, received in zip(exact, rounded, strict=True):
        for name, value in wanted.items():
            if value.dtype.kind == "f" and value.shape == received[name].shape and value.size:
                largest = max(largest, float(np.abs(value - received[name]).max()))
        agreements += _agreements(task, wanted, received)
    same = f"; {sum(agreements)} of {len(agreements)} answers agree" if agreements else ""
    return Check("precision", detail=f"answers differ from float32 by at most {largest:.2g}{same}")


def _agreements(
    task: Task | None, exact: Mapping[str, np.ndarray], rounded: Mapping[str, np.ndarray]
) -> list[bool]:
    """Of each example whether both answers are the same to the task; none of other signatures."""
    if task is None or not task.is_answer(exact):
        return []
    rows = zip(_rows(exact), _rows(rounded), strict=True)
    return [task.disagreement(*pair, tolerance=SCORE_TOLERANCE) is None for pair in rows]


def _rows(answers: Mapping[str, np.ndarray]) -> Iterator[dict[str, Any]]:
    for values in zip(*answers.values(), strict=True):
        yield dict(zip(answers, values, strict=True))
