"""Checks batches for out-of-range token ids, segments, positions and labels before training.

On a GPU TensorFlow looks up an id outside the vocabulary as zeros, and a label outside the classes
has a loss without a gradient: neither raises an error. Here the least and the greatest value of
every integer tensor are compared with the model's sizes, on the CPU, where batches are made.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf

_VOCABULARY = (
    "These records or texts were made with another vocabulary than the model's: give the one that "
    "they were made with in tokenizer.vocabulary, or prepare them again with the model's."
)
_ROW = "The records are damaged or were made for longer rows: prepare them again."
_LABELS = "The labels are not those of this task: repair the data, or name the right column."
_ADVICE = {
    "input_ids": _VOCABULARY,
    "masked_lm_ids": _VOCABULARY,
    "segment_ids": "The records have more segments than the model: raise model.type_vocab_size.",
    "decoder_input_ids": _VOCABULARY,
    "position_ids": "Prepare shorter records or raise model.max_position_embeddings.",
    "masked_lm_positions": _ROW,
    "sequence_positions": _ROW,
    "input_mask": "1 is a token and 0 padding: prepare the records again.",
    "next_sentence_labels": _LABELS,
    "labels": _LABELS,
}
_MARK = "out of range"
_FAULT = re.compile(rf"\[{_MARK}\] \[(\w+)\] \[(-?\d+)\] \[(-?\d+)\]")


class Sizes(NamedTuple):
    """A model's sizes: token ids, segments, positions and labels must be below these."""

    vocab_size: int
    type_vocab_size: int
    max_position_embeddings: int
    num_classes: int | None
    """Of a classifier; 2 of next-sentence labels whatever the model. None: any label will do."""
    target_vocab_size: int | None = None
    """Of a decoder."""


class RangeError(ValueError):
    """A batch holds an out-of-range token id, segment, position or label."""


def check_batches(batches: tf.data.Dataset, sizes: Sizes) -> tf.data.Dataset:
    """The same batches; reading one with an out-of-range number fails, see `faults_named`."""

    @tf.autograph.experimental.do_not_convert  # takes longer than all else to build
    def check(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return check_tensors(batch, _limits(batch, sizes))

    return batches.map(check)


def check_tensors(
    tensors: dict[str, tf.Tensor], limits: dict[str, int | tf.Tensor]
) -> dict[str, tf.Tensor]:
    """`tensors`, once those named in `limits` hold numbers from 0 to their limit - 1 only."""
    names = list(limits)
    # Of no values at all the least is the type's greatest, and the other way round.
    least = tf.stack([tf.cast(tf.reduce_min(tensors[name]), tf.int64) for name in names])
    greatest = tf.stack([tf.cast(tf.reduce_max(tensors[name]), tf.int64) for name in names])
    below = tf.stack([tf.cast(limit, tf.int64) for limit in limits.values()])
    is_bad = (least < 0) | (greatest >= below)
    first = tf.argmax(is_bad)
    fault = [
        _MARK,
        tf.gather(names, first),
        tf.where(greatest >= below, greatest, least)[first],
        below[first],
    ]
    with tf.control_dependencies([tf.debugging.Assert(~tf.reduce_any(is_bad), fault)]):
        return tensors | {name: tf.identity(tensors[name]) for name in names}


@contextlib.contextmanager
def faults_named() -> Iterator[None]:
    """While batches are read: what `check_batches` found becomes a `RangeError`. Also a decorator.

    It names the tensor, its range, the value that was received, and what to do.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        fault = _FAULT.search(error.message)
        if fault is None:
            raise
        name, received, limit = fault[1], int(fault[2]), int(fault[3])
        raise RangeError(
            f"{name} must be from 0 to {limit - 1:,}. Received: {received:,}. {_ADVICE[name]} "
            "The batch was not trained on."
        ) from error


def _limits(batch: dict[str, tf.Tensor], sizes: Sizes) -> dict[str, int | tf.Tensor]:
    length = tf.shape(batch["input_ids"])[-1]
    limits: dict[str, int | tf.Tensor | None] = {
        "input_ids": sizes.vocab_size,
        "masked_lm_ids": sizes.vocab_size,
        "segment_ids": sizes.type_vocab_size or None,  # a model without segments reads none
        "position_ids": sizes.max_position_embeddings,
        "masked_lm_positions": length,
        "sequence_positions": length,
        "input_mask": 2,
        "next_sentence_labels": 2,
        "labels": sizes.num_classes,
        "decoder_input_ids": sizes.target_vocab_size,
    }
    return {
        name: limit
        for name, limit in limits.items()
        if name in batch and batch[name].dtype.is_integer and limit is not None
    }
