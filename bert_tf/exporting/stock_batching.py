"""What stock TensorFlow Serving does to requests that it runs as one batch.

    requests -> filled up to one shape -> one below the other -> run -> the answers cut apart

With `--enable_batching` all signatures of a model are batched, whatever their inputs: there is no
choice by signature. Requests share a batch that feed and fetch the same tensors. Before that only
the names of inputs are looked at, not types, ranks or lengths.

Source: TensorFlow Serving 2.20, `batching/batching_session.cc`, `batching/batching_util.cc`,
`servables/tensorflow/bundle_factory_util.cc`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Tensors = Mapping[str, np.ndarray]


class BatchRefusedError(ValueError):
    """The server answers all requests of the batch with this error, or ends."""


@dataclass(frozen=True)
class StockBatching:
    """Settings of `--batching_parameters_file`."""

    pad_variable_length_inputs: bool = True
    """Fill tensors up to the longest of the batch, each with its own first element."""
    allowed_batch_sizes: tuple[int, ...] = ()
    """A batch is filled up to the next of these with copies of the last request's first row."""

    def merge(self, requests: Sequence[Tensors]) -> dict[str, np.ndarray]:
        """The inputs of the batch.

        Raises:
            BatchRefusedError: the server does not run it.
        """
        num_filled = self._num_filled(sum(map(num_rows, requests)))
        merged = {}
        for name in requests[0]:
            tensors = [request[name] for request in requests]
            if len({tensor.dtype.kind for tensor in tensors}) > 1:
                raise BatchRefusedError(f"{name}: tensors must be of one type.")
            if self.pad_variable_length_inputs:
                if len({tensor.ndim for tensor in tensors}) > 1:
                    raise BatchRefusedError(
                        f"{name}: tensors that are filled up must be of one rank. Received: "
                        f"{[tensor.ndim for tensor in tensors]}, which ends the server."
                    )
                shape = np.max([tensor.shape for tensor in tensors], axis=0)
                tensors = [_filled_up(tensor, shape) for tensor in tensors]
            elif len({tensor.shape[1:] for tensor in tensors}) > 1:
                raise BatchRefusedError(
                    f"{name}: tensors must have equal dimensions but for the first, or "
                    "pad_variable_length_inputs must be true."
                )
            if num_filled and not len(tensors[-1]):
                raise BatchRefusedError(
                    f"{name}: the last request must have a row to fill the batch up with. "
                    "Received: none, which ends the server."
                )
            tensors += [tensors[-1][:1]] * num_filled
            merged[name] = np.concatenate(tensors)
        return merged

    def split(self, outputs: Tensors, sizes: Sequence[int]) -> list[dict[str, np.ndarray]]:
        """The answer to each request, which has so many rows.

        Raises:
            BatchRefusedError: an output's first dimension is not the batch.
        """
        number = sum(sizes) + self._num_filled(sum(sizes))
        for name, value in outputs.items():
            if value.ndim == 0 or len(value) != number:
                raise BatchRefusedError(
                    f"{name}: the first dimension must be the batch, {number} rows. Received: the "
                    f"shape {value.shape}."
                )
        ends = np.cumsum(sizes)
        return [
            {name: value[end - size : end] for name, value in outputs.items()}
            for size, end in zip(sizes, ends, strict=True)
        ]

    def _num_filled(self, number: int) -> int:
        return next((size for size in self.allowed_batch_sizes if size >= number), number) - number


def num_rows(request: Tensors) -> int:
    """Of a request. Raises ValueError, which the server answers it alone with."""
    numbers = {tensor.shape[0] if tensor.ndim else None for tensor in request.values()}
    if len(numbers) != 1 or None in numbers:
        raise ValueError(
            "The first dimension of all inputs must be the same number of rows. Received: "
            f"{ {name: tensor.shape for name, tensor in request.items()} }."
        )
    return int(numbers.pop() or 0)


def _filled_up(tensor: np.ndarray, shape: np.ndarray) -> np.ndarray:
    missing = [
        (0, 0),
        *((0, most - size) for most, size in zip(shape[1:], tensor.shape[1:], strict=True)),
    ]
    if tensor.size == 0:
        if not any(after for _, after in missing) or len(tensor) == 0:
            return np.zeros((len(tensor), *shape[1:]), tensor.dtype)
        raise BatchRefusedError("A tensor is empty in a batch of others that are not.")
    first = tensor.flat[0]
    filled = np.full((len(tensor), *shape[1:]), first, tensor.dtype)
    filled[tuple(slice(size) for size in tensor.shape)] = tensor
    return filled
