"""Encoded examples in, batches of them out: of any step in training, of one pass in evaluation.

An example is encoded once, whatever the number of epochs and evaluations; see `length_groups` for
which of them make a batch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import tensorflow as tf

from bert_tf.data.batches import length_groups
from bert_tf.data.batches.epochs import worker_rows
from bert_tf.data.text import packing, windows
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.windows import NUM_SPECIAL_TOKENS, TextLimits


class Encoded(Protocol):
    """Examples as numbers, and what a batch of some of them is."""

    @property
    def lengths(self) -> np.ndarray:
        """(examples,) int32: the least length that a batch with the example is padded to."""
        ...

    def features(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """The model's inputs and the targets of the examples `rows`; called in the graph."""
        ...


@runtime_checkable
class CountsTokens(Protocol):
    """Encoded examples that a text profile can be made of."""

    def first_tokens(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each first text, as one row holds it alone: its tokens, and how many are [UNK]."""
        ...


class ExampleBatches(Protocol):
    """The batches of encoded examples."""

    @property
    def batch_size(self) -> int:
        """Examples of a batch; where batches differ, of most."""
        ...

    @property
    def is_filled_up(self) -> bool:
        """Whether rows without weight make a batch one that its parts divide."""
        ...

    def num_steps(self, num_epochs: float) -> int:
        """Batches of so many epochs."""
        ...

    def training(self, *, seed: int, start_step: int, **worker: int) -> tf.data.Dataset:
        """Endless, from a step on; `worker`: `num_workers` and `worker_index`, of several."""
        ...

    def one_pass(self, **worker: int) -> tf.data.Dataset:
        """Every example once."""
        ...


@dataclass(frozen=True)
class LabelledBatches:
    """See `labelled_batches`."""

    encoded: Encoded
    batch_size: int
    group_by_length: bool = False
    is_filled_up: bool = False

    def num_steps(self, num_epochs: float) -> int:
        return math.ceil(num_epochs * len(self.encoded.lengths) / self.batch_size)

    def training(self, *, seed: int, start_step: int, **worker: int) -> tf.data.Dataset:
        return self._batches(is_training=True, seed=seed, start_step=start_step, **worker)

    def one_pass(self, **worker: int) -> tf.data.Dataset:
        return self._batches(is_training=False, **worker)

    def _batches(self, **options: Any) -> tf.data.Dataset:
        return labelled_batches(
            self.encoded,
            batch_size=self.batch_size,
            group_by_length=self.group_by_length,
            **options,
        )


def labelled_batches(
    encoded: Encoded,
    *,
    batch_size: int,
    is_training: bool,
    group_by_length: bool = False,
    seed: int | None = None,
    start_step: int = 0,
    num_workers: int = 1,
    worker_index: int = 0,
) -> tf.data.Dataset:
    """Batches padded to the longest example in them, rounded up to one of a few lengths.

    Training: endless, every example once an epoch in an order that is a function of (seed, epoch);
    the first batch is that of `start_step`, and a batch may span two epochs. Otherwise one pass,
    the last batch filled up with copies of weight 0. A worker gets its rows of every batch, B =
    `batch_size` / `num_workers`, padded to the longest of these. `group_by_length`: batches grouped
    by length, in training still in random order (see `length_groups`), otherwise the longest first;
    without it one pass is in order.

    Elements: what `encoded.features` gives, such as `input_ids`, `input_mask`, `segment_ids` int32
    (B, length) and `labels` (B, ...); `weights` float32 (B); `rows` int32 (B), which examples.

    Raises:
        ValueError: training has no seed, or the batch cannot be dealt to the workers.
    """
    if is_training:
        if seed is None:
            raise ValueError("training batches need a seed. Received: None. Give seed=….")
        batches = length_groups.training_rows(
            encoded.lengths,
            batch_size=batch_size,
            seed=seed,
            start_step=start_step,
            group_by_length=group_by_length,
        )
    else:
        batches = length_groups.evaluation_rows(
            encoded.lengths, batch_size=batch_size, group_by_length=group_by_length
        )
    own = worker_rows(batch_size, num_workers=num_workers, worker_index=worker_index)
    num_own = own.stop - own.start

    def make_batch(rows: tf.Tensor, weights: tf.Tensor) -> dict[str, tf.Tensor]:
        rows, weights = rows[own], weights[own]
        features = encoded.features(rows) | {"weights": weights, "rows": rows}
        return {
            name: tf.ensure_shape(values, [num_own, *values.shape[1:]])
            for name, values in features.items()
        }

    batches = batches.map(make_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.prefetch(tf.data.AUTOTUNE)


def concatenated(batches: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays (batch, …) as one; the second dimension is filled up with 0, or empty texts, to the
    longest: batches have rows of different lengths."""
    if batches[0].ndim < 2:
        return np.concatenate(batches)
    width = max(batch.shape[1] for batch in batches)
    return np.concatenate([_of_width(batch, width) for batch in batches])


def _of_width(batch: np.ndarray, width: int) -> np.ndarray:
    missing = [(0, 0)] * batch.ndim
    missing[1] = (0, width - batch.shape[1])
    fill: Any = b"" if batch.dtype.kind in "OS" else 0
    return np.pad(batch, missing, constant_values=fill) if missing[1][1] else batch


@dataclass(frozen=True, eq=False)
class EncodedTexts:
    """Texts, or pairs of texts, as token ids, with their targets.

    Memory, the whole time: of the texts as cut, 4 bytes a token, and about 24 a text (32 a pair).
    """

    first: tf.RaggedTensor
    second: tf.RaggedTensor | None
    targets: Mapping[str, tf.Tensor]
    """(examples, ...): a batch has their rows under the same names."""
    tokenizer: Tokenizer
    limits: TextLimits
    lengths: np.ndarray
    """See `Encoded`; of a text in windows the tokens of all of these, which is more."""

    def features(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Encoded`: `[CLS] first [SEP]`, or both texts, trimmed and padded, and targets.

        With `limits.max_windows` over 1 as windows, int32 (B, most of a text, length), with
        `document_columns` (see `data.text.windows`).
        """
        length = tf.reduce_max(tf.gather(self.lengths, rows))
        first, second = (
            None if tokens is None else tf.gather(tokens, rows)
            for tokens in (self.first, self.second)
        )
        pack = self.pack_row if self.limits.max_windows == 1 else self.pack_windows
        features = pack(first, second, tf.minimum(length, self.limits.max_seq_length))
        return features | {name: tf.gather(values, rows) for name, values in self.targets.items()}

    def pack_row(
        self, first: tf.RaggedTensor, second: tf.RaggedTensor | None, length: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The encoder's inputs, int32 (B, length)."""
        tokenizer = self.tokenizer
        features = packing.pack(
            first,
            second,
            max_seq_length=self.limits.max_seq_length,
            **tokenizer.frame,
        )
        padded = packing.pad_to(features, length, pad_id=tokenizer.pad_id)
        return {name: tf.ensure_shape(value, [None, None]) for name, value in padded.items()}

    def pack_windows(
        self, first: tf.RaggedTensor, second: tf.RaggedTensor | None, length: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The encoder's inputs and `document_columns`, int32 (B, windows, length)."""
        tokenizer = self.tokenizer
        packed = windows.pack_windows(
            *([first] if second is None else [second, first]),
            limits=self.limits,
            **tokenizer.frame,
        ).padded(length, pad_id=tokenizer.pad_id)
        features = packed.of_each(first.nrows(), pad_id=tokenizer.pad_id)
        return {name: tf.ensure_shape(value, [None] * 3) for name, value in features.items()}

    def first_tokens(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each first text, as one row holds it alone: its tokens, and how many are [UNK]."""
        read = self.first[:, : self.limits.max_seq_length - NUM_SPECIAL_TOKENS]
        unknown = tf.cast(read == self.tokenizer.unk_id, tf.int32)
        return read.row_lengths().numpy(), tf.reduce_sum(unknown, axis=1).numpy()


def encode_texts(
    texts: Sequence[str],
    text_pairs: Sequence[str] | None = None,
    *,
    targets: Mapping[str, np.ndarray],
    tokenizer: Tokenizer,
    limits: TextLimits,
) -> EncodedTexts:
    """All texts tokenised, together; too long ones are cut at the end, of a pair the longer first.

    `targets`: names to arrays (texts, ...).
    """
    first, second = (
        None
        if column is None
        else tokenize(column, tokenizer=tokenizer, max_tokens=limits.document_length)
        for column in (texts, text_pairs)
    )
    return EncodedTexts(
        first,
        second,
        {name: tf.constant(values) for name, values in targets.items()},
        tokenizer,
        limits,
        batched_lengths(first, second, limits=limits),
    )


def batched_lengths(
    first: tf.RaggedTensor, second: tf.RaggedTensor | None, *, limits: TextLimits
) -> np.ndarray:
    """The `Encoded.lengths` of texts: of their rows, or of all windows, rounded up."""
    texts = first if second is None else second
    num_lead = None if second is None else first.row_lengths()
    of_rows, owners = windows.row_lengths(texts.row_lengths(), num_lead, limits)
    totals = tf.math.segment_sum(of_rows, owners).numpy()
    steps = length_groups.batch_lengths(limits.max_seq_length)
    steps += [limits.max_seq_length * number for number in range(2, limits.max_windows + 1)]
    return np.asarray(steps, np.int32)[np.searchsorted(steps, totals)]


def tokenize(texts: Sequence[str], *, tokenizer: Tokenizer, max_tokens: int) -> tf.RaggedTensor:
    ids = tokenizer.tokenize(tf.constant(texts, tf.string))
    return packing.keep_first(ids, lengths=tf.minimum(ids.row_lengths(), max_tokens))
