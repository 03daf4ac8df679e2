"""Checks that a row answers the same alone and in a batch, as a stock server makes it up.

For each signature: requests of several lengths and one of hostile rows, each alone; then all of
them as `StockBatching` merges them, once filled up by the server and once by the clients. Each
request's part of the answers must be what it was answered alone, as far as that goes, and padding
beyond: of rows with a value a token the answer may be longer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bert_tf.data.text.vocabulary import PAD
from bert_tf.exporting.closeness import EXACT, Closeness
from bert_tf.exporting.hostile_rows import hostile_request
from bert_tf.exporting.stock_batching import BatchRefusedError, StockBatching, Tensors, num_rows
from bert_tf.exporting.warmup import WarmupRequest
from bert_tf.models.bert import vocab_size
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.examples import TEXT, TEXT_PAIR
from bert_tf.tasks.table import task_of

_NUM_FILLED = 2
_BEYOND = -1
"""What a client may fill a row up with: no id of any vocabulary."""
_OF_TOKENS = ", of another shape; what has a value a token must be in the signature's `per_token`"


@dataclass(frozen=True)
class Batch:
    """Requests that a server runs as one."""

    signature_name: str
    method: str
    alone: tuple[Tensors, ...]
    """As each client sends them."""
    merged: Tensors
    """As the server runs them."""
    stock: StockBatching
    pad_id: int
    rounded: tuple[str, ...] = ()
    """Outputs that are not compared where numbers are rounded (`Task.rounded_answers`)."""

    @property
    def num_requests(self) -> int:
        return len(self.alone) + 1

    def requests(self) -> list[WarmupRequest]:
        """Each alone, and the batch."""
        return [
            WarmupRequest(self.signature_name, dict(arguments), self.method)
            for arguments in (*self.alone, self.merged)
        ]

    def faults(self, answers: Sequence[Tensors | str], closeness: Closeness = EXACT) -> list[str]:
        """What is wrong with the answers to `requests`; an error's message stands for one."""
        given: list[Tensors] = []
        for answer in answers:
            if isinstance(answer, str):
                return [f"{self.signature_name} fails: {answer[:300]}"]
            given.append(answer)
        try:
            parts = self.stock.split(given[-1], [num_rows(it) for it in self.alone])
        except BatchRefusedError as error:
            return [f"{self.signature_name}: {error}"]
        return [
            f"{self.signature_name}, output {name}, request {number}: another answer beside others"
            + ("" if alone[name].shape == part[name].shape else _OF_TOKENS)
            for number, (alone, part) in enumerate(zip(given, parts, strict=False))
            for name in alone
            if not self._is_same(name, alone, part, closeness)
        ]

    def _is_same(self, name: str, alone: Tensors, part: Tensors, closeness: Closeness) -> bool:
        if name in self.rounded and not closeness.compares_texts:
            return True
        wanted, received = alone[name], part[name]
        if wanted.ndim != received.ndim or len(wanted) != len(received):
            return False
        common = tuple(map(slice, np.minimum(wanted.shape, received.shape)))
        is_exact = all(value.dtype.kind != "f" for value in alone.values())
        return closeness.holds(wanted[common], received[common], is_exact=is_exact) and all(
            self._is_padding(value, common) for value in (wanted, received)
        )

    def _is_padding(self, value: np.ndarray, common: tuple[slice, ...]) -> bool:
        is_beyond = np.ones(value.shape, bool)
        is_beyond[common] = False
        beyond = value[is_beyond]
        if value.dtype.kind in "OS":
            return set(beyond.tolist()) <= {b"", PAD.encode()}
        return bool(np.isin(beyond, [0, self.pad_id] if value.dtype.kind == "i" else [0]).all())


def make_batches(
    requests: Sequence[WarmupRequest], description: ModelDescription, *, pad_id: int
) -> list[Batch]:
    """One of each signature, and of those whose rows have lengths another, filled up by clients.

    Args:
        requests: of `warmup.make_requests`.
        pad_id: of [PAD].
    """
    task = task_of(description)
    rounded = () if task is None else task.rounded_answers
    names = (TEXT, TEXT_PAIR) if task is None else task.input_names(description)
    calls: dict[str, list[WarmupRequest]] = {}
    for request in requests:
        calls.setdefault(request.signature_name, []).append(request)
    batches = []
    for name, of_signature in calls.items():
        # The short, the middling and the long text; hostile rows in between.
        short, middling, long = (request.arguments for request in of_signature[:3])
        hostile = hostile_request(
            list(short),
            vocab_size=vocab_size(description.architecture),
            num_segments=max(1, description.architecture.type_vocab_size),
            example_names=names,
            settings={} if task is None else task.row_settings(description),
        )
        alone = (short, long, hostile, middling)
        total = sum(map(num_rows, alone))
        padding = StockBatching(allowed_batch_sizes=(1, total + _NUM_FILLED))
        plain = StockBatching(pad_variable_length_inputs=False)
        merged = {padding: padding.merge(alone)}
        if any(value.ndim > 1 for value in short.values()):
            merged[plain] = plain.merge(_to_one_width(alone))
        batches += [
            Batch(name, of_signature[0].method, alone, inputs, stock, pad_id, rounded)
            for stock, inputs in merged.items()
        ]
    return batches


def _to_one_width(requests: Sequence[Tensors]) -> list[Tensors]:
    """Tensors of two dimensions as wide as the widest, as clients may send them."""
    width = max(value.shape[1] for it in requests for value in it.values() if value.ndim > 1)
    return [
        {
            name: value
            if value.ndim == 1
            else np.pad(value, [(0, 0), (0, width - value.shape[1])], constant_values=_BEYOND)
            for name, value in request.items()
        }
        for request in requests
    ]
