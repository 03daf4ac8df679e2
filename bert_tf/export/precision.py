"""A model in the number type it is served in, and what that changes in its answers."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from bert_tf.export.servability import Check
from bert_tf.layers.tensorflow.bfloat16 import units_assumed
from bert_tf.models.folder import load_model


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
    exact: Sequence[Mapping[str, np.ndarray]], rounded: Sequence[Mapping[str, np.ndarray]]
) -> Check:
    """How far the answers are from those of float32; no fault, but to be known."""
    largest, num_same, num_labels = 0.0, 0, 0
    for wanted, received in zip(exact, rounded, strict=True):
        for name, value in wanted.items():
            if value.dtype.kind == "f" and value.shape == received[name].shape and value.size:
                largest = max(largest, float(np.abs(value - received[name]).max()))
            if name == "label":
                num_same += int((value == received[name]).sum())
                num_labels += value.size
    labels = f"; {num_same} of {num_labels} labels are the same" if num_labels else ""
    return Check(
        "precision", detail=f"answers differ from float32 by at most {largest:.2g}{labels}"
    )
