"""Loads a model in the number type it is served in, and compares its answers with float32."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bert_tf.exporting.closeness import relative_error
from bert_tf.exporting.servability import Answers, Check
from bert_tf.layers.tensorflow.bfloat16 import units_assumed
from bert_tf.tasks.base import Task
from bert_tf.tasks.models import load_model

SCORE_TOLERANCE = 0.02
"""Between answers of machines that round differently; another model is further off."""
BOUNDS = {"bfloat16": 1 / 8, "int8": 1 / 2}
"""By `export.precision`: how far its answers may be from float32's, see `compare_with_float32`."""


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
    *,
    bound: float,
    task: Task | None = None,
) -> Check:
    """Whether answers are as near to float32's as the precision allows; how many agree.

    The numbers of an output are compared over all requests together, as root mean squares: of
    warm-up texts, hostile ones among them, a single one may be far off in a sound model.

    Args:
        bound: of the difference, by the size of float32's numbers.
    """
    faults = [] if len(exact) == len(found) else [f"{len(found)} answers, not {len(exact)}"]
    pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    agreements: list[bool] = []
    for number, (wanted, received) in enumerate(zip(exact, found, strict=False)):
        for name, value in wanted.items():
            if task is not None and name in task.rounded_answers:
                continue
            if not _is_comparable(value, received[name]):
                faults.append(f"request {number}, output {name}: other values than float32's")
            elif value.dtype.kind == "f":
                pairs.setdefault(name, []).append((value, received[name]))
        agreements += _agreements(task, wanted, received)
    shares = {name: _difference(of_output) for name, of_output in pairs.items()}
    faults += [
        f"output {name}: further from float32's than {bound:.3g} of their size: {share:.3g}"
        for name, share in shares.items()
        if share > bound
    ]
    same = f"; {sum(agreements)} of {len(agreements)} answers agree" if agreements else ""
    largest = max(shares.values(), default=0.0)
    return Check(
        "precision",
        tuple(faults),
        f"answers differ from float32's by {largest:.2g} of their size at most{same}",
    )


def _is_comparable(exact: np.ndarray, found: np.ndarray) -> bool:
    """Whether shapes and whole numbers are the same, and no number is one in one of them alone."""
    if exact.shape != found.shape:
        return False
    if exact.dtype.kind == "f":
        return bool((np.isfinite(exact) == np.isfinite(found)).all())
    if exact.dtype.kind in "OS":
        return True  # numbers may decide a text, such as a label
    return bool((exact == found).all())


def _difference(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Relative, of all pairs together; what is no number in both is left out."""
    exact, found = (
        np.concatenate([side.ravel() for side in sides]) for sides in zip(*pairs, strict=True)
    )
    is_number = np.isfinite(exact)
    return relative_error((exact - found)[is_number], exact[is_number])


def _agreements(task: Task | None, exact: Answers, rounded: Answers) -> list[bool]:
    """Of each example whether both answers are the same to the task; none of other signatures."""
    if task is None or not task.is_answer(exact):
        return []
    rows = zip(_rows(exact), _rows(rounded), strict=True)
    return [task.disagreement(*pair, tolerance=SCORE_TOLERANCE) is None for pair in rows]


def _rows(answers: Mapping[str, np.ndarray]) -> Iterator[dict[str, Any]]:
    for values in zip(*answers.values(), strict=True):
        yield dict(zip(answers, values, strict=True))
