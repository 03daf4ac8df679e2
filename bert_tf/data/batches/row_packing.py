"""Batches of padded sequences in, the same sequences laid into few full rows out.

Another way to compute the same step: masks, labels and weights stay what they are. Three sequences
of length 8, A = [CLS a b c SEP], B = [CLS d e f g SEP], C = [CLS h SEP], come to lie in two rows:

input_ids            [[CLS d e f g SEP 0 0], [CLS a b c SEP CLS h SEP]]
sequence_ids         [[1 1 1 1 1 1 0 0], [1 1 1 1 1 2 2 2]]
position_ids         [[0 1 2 3 4 5 0 0], [0 1 2 3 4 0 1 2]]
sequence_positions   [[0 0], [0 5]]                          where each [CLS] is

The longest sequence is laid first, each into the first row with room (first-fit decreasing).
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Batch = dict[str, NDArray[Any]]

TOKEN_FEATURES = ("input_ids", "input_mask", "segment_ids", "position_ids", "sequence_ids")
PREDICTION_FEATURES = ("masked_lm_positions", "masked_lm_ids", "masked_lm_weights")
SEQUENCE_FEATURES = ("sequence_positions", "next_sentence_labels", "next_sentence_weights")

# Rows are rounded up by at most one in so many: every number of rows compiles kernels of its own.
ROUNDING_SHARE = 32


class RowLimits(NamedTuple):
    """What a row holds at most: K sequences, P predictions."""

    num_sequences: int
    num_predictions: int


def pack_batches(
    batches: tf.data.Dataset, *, num_parts: int, masked_lm_prob: float, pad_id: int
) -> tf.data.Dataset:
    """`batches` of `masked_batches.training_batches` or the like, each packed by itself.

    T: the sequences' padded length. R, the number of rows, differs from batch to batch.
    Elements: int32 (R, T) `input_ids`, `input_mask`, `segment_ids`, `position_ids`, which restart,
    and `sequence_ids`, 1, 2, … in a row and 0 at padding; `masked_lm_positions`, `masked_lm_ids`
    int32 and `masked_lm_weights` float32 (R, P); `sequence_positions`, of each [CLS], and
    `next_sentence_labels` int32, `next_sentence_weights` float32 (R, K). Unused slots are 0 with
    weight 0. K and P follow from `row_limits`.

    Workers that make their own rows of a batch pack these only; the number of packed rows then
    differs between them, which sums over all of them do not feel.

    Args:
        num_parts: R is a multiple of it; replicas of the worker times accumulated micro-batches.
        masked_lm_prob: the share of tokens that is predicted; a wrong one only packs worse.
    """
    spec = batches.element_spec
    length = spec["input_ids"].shape[1]
    limits = row_limits(
        length,
        num_predictions=spec["masked_lm_positions"].shape[1],
        masked_lm_prob=masked_lm_prob,
    )
    widths = dict.fromkeys(TOKEN_FEATURES, length)
    widths |= dict.fromkeys(PREDICTION_FEATURES, limits.num_predictions)
    widths |= dict.fromkeys(SEQUENCE_FEATURES, limits.num_sequences)
    types = [tf.float32 if name.endswith("weights") else tf.int32 for name in widths]

    def pack(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        names = sorted(batch)

        def pack_arrays(*arrays: NDArray[Any]) -> list[NDArray[Any]]:
            given = dict(zip(names, arrays, strict=True))
            packed = pack_rows(given, limits=limits, num_parts=num_parts, pad_id=pad_id)
            return [packed[name] for name in widths]

        tensors = tf.numpy_function(pack_arrays, [batch[name] for name in names], types)
        return {
            name: tf.ensure_shape(tensor, [None, width])
            for (name, width), tensor in zip(widths.items(), tensors, strict=True)
        }

    packed = batches.map(pack, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return packed.prefetch(tf.data.AUTOTUNE)


def row_limits(length: int, *, num_predictions: int, masked_lm_prob: float) -> RowLimits:
    """Limits that short texts seldom meet, for rows of `length` tokens.

    `num_predictions`: of one sequence at most. Rounding gives short sequences more predictions a
    token than `masked_lm_prob`, hence a quarter more than that share of the row.
    """
    expected = math.ceil(1.25 * masked_lm_prob * length)
    return RowLimits(
        num_sequences=max(1, length // 4),
        num_predictions=max(num_predictions, expected),
    )


def pack_rows(
    batch: Mapping[str, NDArray[Any]], *, limits: RowLimits, num_parts: int, pad_id: int
) -> Batch:
    """One batch as arrays, features as `pack_batches`; a pure function. Padding comes last."""
    input_mask, is_used = batch["input_mask"], batch["masked_lm_weights"] > 0
    length = input_mask.shape[1]
    places = lay_out(input_mask.sum(axis=1), is_used.sum(axis=1), length=length, limits=limits)
    num_rows = round_up(int(places.row.max()) + 1, num_parts=num_parts)
    packed = {name: np.zeros([num_rows, length], np.int32) for name in TOKEN_FEATURES}
    packed["input_ids"] += pad_id
    for names, width in (
        (PREDICTION_FEATURES, limits.num_predictions),
        (SEQUENCE_FEATURES, limits.num_sequences),
    ):
        for name in names:
            dtype = np.float32 if name.endswith("weights") else np.int32
            packed[name] = np.zeros([num_rows, width], dtype)

    sequence, offset = np.nonzero(input_mask)
    at = places.row[sequence], places.start[sequence] + offset
    packed["input_ids"][at] = batch["input_ids"][sequence, offset]
    packed["segment_ids"][at] = batch["segment_ids"][sequence, offset]
    packed["input_mask"][at] = 1
    packed["position_ids"][at] = offset
    packed["sequence_ids"][at] = places.number[sequence] + 1

    sequence, slot = np.nonzero(is_used)
    rank = np.cumsum(is_used, axis=1)[sequence, slot] - 1
    at = places.row[sequence], places.first_prediction[sequence] + rank
    positions = batch["masked_lm_positions"][sequence, slot]
    packed["masked_lm_positions"][at] = places.start[sequence] + positions
    packed["masked_lm_ids"][at] = batch["masked_lm_ids"][sequence, slot]
    packed["masked_lm_weights"][at] = batch["masked_lm_weights"][sequence, slot]

    at = places.row, places.number
    packed["sequence_positions"][at] = places.start
    packed["next_sentence_labels"][at] = batch["next_sentence_labels"]
    packed["next_sentence_weights"][at] = batch["next_sentence_weights"]
    return packed


class Places(NamedTuple):
    """Where each sequence of a batch lies, int64 (B)."""

    row: NDArray[np.int64]
    number: NDArray[np.int64]
    """Sequences before it in the row."""
    start: NDArray[np.int64]
    """Tokens before it in the row."""
    first_prediction: NDArray[np.int64]
    """Predictions before it in the row."""


def lay_out(
    num_tokens: NDArray[Any], num_predictions: NDArray[Any], *, length: int, limits: RowLimits
) -> Places:
    """First-fit decreasing: each sequence, the longest first, into the first row with room.

    Of equal length the earlier comes first. Rows hold `length` tokens; a sequence alone fits.
    """
    sizes = np.stack([np.ones_like(num_tokens), num_tokens, num_predictions], axis=1)
    most = np.array([limits.num_sequences, length, limits.num_predictions])
    filled = np.zeros([len(sizes), 3], np.int64)  # Of every row: sequences, tokens, predictions.
    before, row = np.zeros_like(filled), np.zeros(len(sizes), np.int64)
    num_rows = 1
    for index in np.argsort(-num_tokens, kind="stable"):
        room = most - sizes[index]
        chosen = int(np.argmax((filled[: num_rows + 1] <= room).all(axis=1)))
        num_rows = max(num_rows, chosen + 1)
        row[index], before[index] = chosen, filled[chosen]
        filled[chosen] += sizes[index]
    return Places(row, *before.T)


def round_up(num_rows: int, *, num_parts: int) -> int:
    """A multiple of `num_parts` that few other numbers of rows are rounded up to.

    Up to 63 rows a part nothing more is added; from 64 on parts are even, from 128 on multiples of
    four, and so on: at most 1 / `ROUNDING_SHARE` of the rows.
    """
    rows_of_part = -(-num_rows // num_parts)
    step: int = 2 ** max(0, (rows_of_part // ROUNDING_SHARE).bit_length() - 1)
    return -(-rows_of_part // step) * step * num_parts
