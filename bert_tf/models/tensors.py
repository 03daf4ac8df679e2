"""Maps our weights to the tensors of a file, and converts one into the other.

A file's tensors have their own names and layouts. A table of `Entry`s says which make up each of
our weights; `load_tensors` and `stored_tensors` go through it, one tensor at a time.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import ml_dtypes  # noqa: F401  (teaches NumPy bfloat16)
import numpy as np
import safetensors

from bert_tf.system.listing import AS_LINES, listed

FLOATS = ("F64", "F32", "F16", "BF16")
Shape = tuple[int, ...]
Reader = Callable[[str], np.ndarray]
"""A stored tensor by its name."""


@dataclass(frozen=True)
class Entry:
    """One of our weights and the stored tensors that it consists of."""

    ours: str
    """Path below the model, such as `encoder/layer_0/output/kernel`."""
    theirs: tuple[str, ...]
    """Names in the file; several stand side by side on the last axis of ours (Q, K, V)."""
    is_transposed: bool = False
    """Stored as (outputs, inputs)."""
    shape: Shape | None = None
    """Of each stored tensor where it is only another arrangement of the same numbers."""

    def stored_shape(self, our_shape: Shape) -> Shape:
        """The shape that each stored tensor must have."""
        part = self._part_shape(our_shape)
        if self.shape is not None:
            return self.shape
        return part[::-1] if self.is_transposed else part

    def to_ours(self, stored: list[np.ndarray], our_shape: Shape) -> np.ndarray:
        """The stored tensors, in the order of `theirs`, as our weight in float32."""
        part_shape = self._part_shape(our_shape)
        parts = [
            np.asarray(tensor.T if self.is_transposed else tensor.reshape(part_shape), np.float32)
            for tensor in stored
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)

    def to_theirs(self, value: np.ndarray) -> list[np.ndarray]:
        """Our weight as the stored tensors, in the order of `theirs`."""
        shape = self.stored_shape(value.shape)
        parts = np.split(value, len(self.theirs), axis=-1) if len(self.theirs) > 1 else [value]
        return [
            np.ascontiguousarray(part.T if self.is_transposed else part.reshape(shape))
            for part in parts
        ]

    def _part_shape(self, our_shape: Shape) -> Shape:
        return (*our_shape[:-1], our_shape[-1] // len(self.theirs))


def entries_from_table(
    table: Mapping[str, str],
    *,
    num_layers: int,
    layout: Callable[[str], Mapping[str, Any]] = lambda ours: {},
) -> list[Entry]:
    """Entries of a table of names: ours to theirs.

    `{i}` in both stands for the number of a Transformer layer, `{qkv}` in theirs for `query`,
    `key` and `value`, three tensors.

    Args:
        layout: the other fields of the entry of one of our weights.
    """
    entries = []
    for ours, theirs in table.items():
        for index in range(num_layers if "{i}" in ours else 1):
            name = ours.replace("{i}", str(index))
            parts = ("query", "key", "value") if "{qkv}" in theirs else ("",)
            stored = theirs.replace("{i}", str(index))
            names = tuple(stored.replace("{qkv}", part) for part in parts)
            entries.append(Entry(name, names, **layout(name)))
    return entries


def weights_by_name(model: keras.Model) -> dict[str, keras.Variable]:
    """Every weight by its path below the model, without the model's own name."""
    weights = {weight.path.split("/", 1)[1]: weight for weight in model.weights}
    if len(weights) != len(model.weights):
        raise ValueError(f"Weights of {model.name} must have distinct paths. Name its layers.")
    return weights


def load_tensors(
    weights: Mapping[str, keras.Variable],
    entries: Iterable[Entry],
    *,
    shapes: Mapping[str, Shape],
    read: Reader,
    source: str,
) -> None:
    """Set `weights` from stored tensors; holds one weight at a time.

    Args:
        weights: by our names; each must have an entry.
        shapes: of all stored tensors that are weights, by their names.
        read: a stored tensor by its name.
        source: where they are stored, for the error.

    Raises:
        ValueError: lists all missing, unexpected and mis-shaped tensors; nothing is set then. Or a
            tensor holds NaN or what is infinite as float32.
    """
    by_ours = {entry.ours: entry for entry in entries if entry.ours in weights}
    wanted = {
        name: entry.stored_shape(tuple(weights[ours].shape))
        for ours, entry in by_ours.items()
        for name in entry.theirs
    }
    faults = [f"missing: {name}" for name in wanted if name not in shapes]
    faults += [f"unexpected: {name}" for name in shapes if name not in wanted]
    faults += [
        f"shape of {name}: {tuple(shapes[name])} in the file, {shape} wanted"
        for name, shape in wanted.items()
        if name in shapes and tuple(shapes[name]) != shape
    ]
    faults += [f"no stored tensor is known for {name}" for name in weights if name not in by_ours]
    if faults:
        raise ValueError(
            f"{source}: tensors must fit the model, name by name. Received:\n  "
            + listed(sorted(faults), **AS_LINES)
            + "\nUse the description that belongs to these tensors."
        )
    for ours, entry in by_ours.items():
        weight = weights[ours]
        parts = [_finite(read(name), name=name, source=source) for name in entry.theirs]
        weight.assign(entry.to_ours(parts, tuple(weight.shape)))


def _finite(tensor: np.ndarray, *, name: str, source: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        num_bad = tensor.size - np.count_nonzero(np.isfinite(tensor.astype(np.float32, copy=False)))
    if num_bad:
        raise ValueError(
            f"{source}: weights must be finite float32 numbers. Received: NaN or infinity in {name}"
            f", {num_bad:,} of {tensor.size:,}. Use a checkpoint from before they became so."
        )
    return tensor


def stored_tensors(
    values: Mapping[str, np.ndarray | keras.Variable], entries: Iterable[Entry]
) -> Iterator[tuple[str, np.ndarray]]:
    """Stored names and tensors of our weights (or of gradients: every layout is linear)."""
    for entry in entries:
        if entry.ours in values:
            parts = entry.to_theirs(np.asarray(values[entry.ours], np.float32))
            yield from zip(entry.theirs, parts, strict=True)


def open_safetensors(paths: Iterable[str | Path]) -> tuple[dict[str, Shape], Reader]:
    """Shapes by name, and a function that reads one tensor, of one or several files.

    Raises:
        ValueError: a file is damaged or no safetensors file; a name stands in two files.
    """
    files: dict[str, str] = {}
    shapes: dict[str, Shape] = {}
    for path in map(str, paths):
        try:
            with safetensors.safe_open(path, framework="np") as file:
                found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except safetensors.SafetensorError as error:
            raise ValueError(
                f"{path}: must be a whole safetensors file. Received: {error}. "
                "Copy or download it again."
            ) from error
        repeated = sorted(shapes.keys() & found.keys())
        if repeated:
            raise ValueError(
                f"{path}: a tensor must stand in one file. Received again: {repeated}."
            )
        shapes |= found
        files |= dict.fromkeys(found, path)

    def read(name: str) -> np.ndarray:
        # Opened anew, so that the pages read before are no longer mapped.
        with safetensors.safe_open(files[name], framework="np") as file:
            dtype = file.get_slice(name).get_dtype()
            if dtype not in FLOATS:
                raise ValueError(
                    f"{files[name]}: weights must be of type {', '.join(FLOATS)}. Received: "
                    f"{dtype} for {name}. Quantised models are not read."
                )
            return file.get_tensor(name)

    return shapes, read
