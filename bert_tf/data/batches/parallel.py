"""Pairs of a source and a target in, batches by token budget of what a decoder learns from out.

    source "a b", target "x y"    input_ids          a b </s>
                                  decoder_input_ids  <s> x y
                                  labels             x y </s>
                                  label_weights      1 1 1

Which control tokens these are, `Framing` says. Source and target are made once, whatever the number
of epochs; the sources of `EncodedInfilling` are drawn anew in each.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from bert_tf.data.batches import token_budget
from bert_tf.data.batches.infilling import Infilling, infill
from bert_tf.data.seeds import derive_seed
from bert_tf.data.text.packing import keep_first

logger = logging.getLogger(__name__)

LongTexts = Literal["cut", "error"]


class TextTokenizer(Protocol):
    """What is asked of a tokenizer: text never becomes a control token."""

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """String (batch) to int32 (batch, (tokens)), without control tokens."""
        ...


class Framing(NamedTuple):
    """The control tokens of both sides."""

    pad_id: int
    start_id: int
    """Before a target."""
    end_id: int
    """Behind a target."""
    source_prefix: tuple[int, ...] = ()
    source_suffix: tuple[int, ...] = ()


class PairLimits(NamedTuple):
    """The most tokens of each side, control tokens counted, and what becomes of longer texts."""

    max_source_length: int
    max_target_length: int
    too_long: LongTexts = "cut"
    """`cut`: at the end, and the log counts them; a target that was cut has no token of its end.
    `error`: refuse the first."""


class CutTexts(NamedTuple):
    """How many texts were cut."""

    num_sources: int
    num_targets: int


@dataclass(frozen=True, eq=False, repr=False)
class EncodedPairs:
    """Sources and targets as token ids.

    Memory, the whole time: 4 bytes a token, and about 40 a pair.
    """

    sources: tf.RaggedTensor
    """int32 (pairs, (tokens)), without control tokens."""
    labels: tf.RaggedTensor
    """int32 (pairs, (tokens)): the target, and its end if it was not cut."""
    framing: Framing
    limits: PairLimits
    cut: CutTexts
    where: Callable[[int], str]
    """The place of a pair, for errors."""

    def __len__(self) -> int:
        return int(self.labels.nrows())

    def padded_lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """Tokens of each source and of each target as a batch pads them at least: int32 (pairs,).

        Control tokens are counted.
        """
        num_control = len(self.framing.source_prefix) + len(self.framing.source_suffix)
        sides = (
            (self.sources.row_lengths() + num_control, self.limits.max_source_length),
            (self.labels.row_lengths(), self.limits.max_target_length),
        )
        source, target = (
            (steps := token_budget.padded_lengths(limit))[np.searchsorted(steps, lengths.numpy())]
            for lengths, limit in sides
        )
        return source, target

    def sources_of(self, rows: tf.Tensor, epoch: tf.Tensor) -> tf.RaggedTensor:
        """The sources of some pairs in an epoch, int32 (B, (tokens)); called in the graph."""
        return tf.gather(self.sources, rows)

    def features(self, rows: tf.Tensor, epoch: tf.Tensor) -> dict[str, tf.Tensor]:
        """The model's inputs and what it is to learn of the pairs `rows`; called in the graph.

        `input_ids`, `input_mask` and `segment_ids` (0), int32 (B, source); `decoder_input_ids` and
        `labels`, int32 (B, target), and `label_weights`, float32 (B, target), 1 where a label is.
        """
        framing = self.framing
        labels = tf.gather(self.labels, rows)
        source = _framed(self.sources_of(rows, epoch), framing.source_prefix, framing.source_suffix)
        target = keep_first(labels, lengths=labels.row_lengths() - 1)
        target = _framed(target, (framing.start_id,), ())
        width = _padded_width(source, self.limits.max_source_length)
        target_width = _padded_width(labels, self.limits.max_target_length)
        weights = _dense(tf.ones_like(labels), 0, target_width)
        input_ids = _dense(source, framing.pad_id, width)
        return {
            "input_ids": input_ids,
            "input_mask": _dense(tf.ones_like(source), 0, width),
            "segment_ids": tf.zeros_like(input_ids),
            "decoder_input_ids": _dense(target, framing.pad_id, target_width),
            "labels": _dense(labels, framing.pad_id, target_width),
            "label_weights": tf.cast(weights, tf.float32),
        }


@dataclass(frozen=True, eq=False, repr=False)
class EncodedInfilling(EncodedPairs):
    """Texts as targets, and as sources the same with spans masked: see `infilling`.

    The masks are a function of (seed, epoch, text's number).
    """

    infilling: Infilling
    seed: int

    def sources_of(self, rows: tf.Tensor, epoch: tf.Tensor) -> tf.RaggedTensor:
        seed = tf.stack([tf.constant(derive_seed(self.seed, "infilling"), tf.int64), epoch])
        return infill(
            tf.gather(self.sources, rows), examples=rows, seed=seed, infilling=self.infilling
        )


def encode_pairs(
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    tokenizer: TextTokenizer,
    framing: Framing,
    limits: PairLimits,
    where: Callable[[int], str],
) -> EncodedPairs:
    """All pairs tokenised.

    Raises:
        ValueError: a text is too long under `too_long: error`; names its place.
    """
    rooms = _rooms(framing, limits)
    source_ids, target_ids = (_tokenized(texts, tokenizer) for texts in (sources, targets))
    cut = CutTexts(
        _num_cut(source_ids, rooms[0], "source", limits.too_long, where),
        _num_cut(target_ids, rooms[1], "target", limits.too_long, where),
    )
    _tell(cut, len(sources), rooms)
    labels = _labels(target_ids, rooms[1], framing)
    return EncodedPairs(_first(source_ids, rooms[0]), labels, framing, limits, cut, where)


def encode_infilling(
    texts: Sequence[str],
    *,
    tokenizer: TextTokenizer,
    framing: Framing,
    limits: PairLimits,
    infilling: Infilling,
    seed: int,
    where: Callable[[int], str],
) -> EncodedInfilling:
    """All texts tokenised; source and target are of the same part of a long one.

    Raises:
        ValueError: as of `encode_pairs`, or `infilling` is out of range.
    """
    infilling.check()
    room = min(_rooms(framing, limits))
    ids = _tokenized(texts, tokenizer)
    num_cut = _num_cut(ids, room, "text", limits.too_long, where)
    cut = CutTexts(num_cut, num_cut)
    _tell(cut, len(texts), (room, room))
    labels = _labels(ids, room, framing)
    return EncodedInfilling(_first(ids, room), labels, framing, limits, cut, where, infilling, seed)


def budgeted_batches(
    encoded: EncodedPairs,
    *,
    batch_tokens: int,
    is_training: bool,
    seed: int | None = None,
    start_step: int = 0,
    num_parts: int = 1,
    num_workers: int = 1,
    worker_index: int = 0,
) -> tf.data.Dataset:
    """Batches of at most `batch_tokens` padded tokens of the longer side: see `token_budget`.

    Training: endless, every pair once an epoch in an order that is a function of (seed, epoch); the
    first batch is that of `start_step`. Otherwise one pass, the longest first. A worker gets its
    rows of every batch, padded to the longest of these.

    Args:
        num_parts: replicas times micro-batches: copies of weight 0 fill a batch up to a multiple.

    Elements: what `encoded.features` gives, `label_weights` 0 in copies; `weights`, float32 (B), 0
    of copies; `rows`, int32 (B), which pairs.

    Raises:
        ValueError: training has no seed, a pair does not fit in a batch, or the batch cannot be
            dealt to the workers.
    """
    plan = budget_plan(encoded, batch_tokens=batch_tokens)
    if not is_training:
        batches = token_budget.evaluation_batches(plan)
    elif seed is None:
        raise ValueError("training batches need a seed. Received: None. Give seed=….")
    else:
        batches = token_budget.training_batches(plan, seed=seed, start_step=start_step)
    dealt = {"num_parts": num_parts, "num_workers": num_workers, "worker_index": worker_index}

    def make_batch(rows: tf.Tensor, epoch: tf.Tensor) -> dict[str, tf.Tensor]:
        rows, weights = token_budget.deal_rows(rows, **dealt)
        features = encoded.features(rows, epoch)
        features["label_weights"] *= weights[:, tf.newaxis]
        return features | {"weights": weights, "rows": rows}

    batches = batches.map(make_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.prefetch(tf.data.AUTOTUNE)


def budget_plan(encoded: EncodedPairs, *, batch_tokens: int) -> token_budget.BudgetPlan:
    """The batches of an epoch of `budgeted_batches`: how many there are, and their shapes.

    Raises:
        ValueError: a pair does not fit in a batch.
    """
    return token_budget.plan_batches(
        *encoded.padded_lengths(), batch_tokens=batch_tokens, where=encoded.where
    )


def _rooms(framing: Framing, limits: PairLimits) -> tuple[int, int]:
    """Tokens of a source's and of a target's text that a row has room for."""
    rooms = (
        limits.max_source_length - len(framing.source_prefix) - len(framing.source_suffix),
        limits.max_target_length - 1,
    )
    if min(rooms) < 1:
        raise ValueError(
            "max_source_length and max_target_length must leave room for a token beside the "
            f"control tokens. Received: {limits.max_source_length} and "
            f"{limits.max_target_length}, which leave {rooms[0]} and {rooms[1]}. Raise them."
        )
    return rooms


def _tokenized(texts: Sequence[str], tokenizer: TextTokenizer) -> tf.RaggedTensor:
    return tokenizer.tokenize(tf.constant(texts, tf.string))


def _num_cut(
    ids: tf.RaggedTensor, room: int, what: str, too_long: LongTexts, where: Callable[[int], str]
) -> int:
    """How many texts are longer; the first of them is refused under `error`."""
    lengths = ids.row_lengths().numpy()
    longer = np.flatnonzero(lengths > room)
    if len(longer) and too_long == "error":
        raise ValueError(
            f"{where(int(longer[0]))}: a {what} must have {room:,} tokens at most. Received: "
            f"{lengths[longer[0]]:,}; {len(longer):,} are too long in all, the longest of "
            f"{lengths.max():,}. Raise the limit, cut the texts, or let them be cut at the end."
        )
    return len(longer)


def _tell(cut: CutTexts, num_pairs: int, rooms: tuple[int, int]) -> None:
    if any(cut):
        logger.warning(
            "Cut at the end, of %s pairs: %s sources to %s tokens, %s targets to %s.",
            *(f"{number:,}" for number in (num_pairs, cut[0], rooms[0], cut[1], rooms[1])),
        )


def _labels(ids: tf.RaggedTensor, room: int, framing: Framing) -> tf.RaggedTensor:
    """Targets with their end, but of those that are cut."""
    lengths = ids.row_lengths()
    ended = _framed(ids, (), (framing.end_id,))
    return keep_first(ended, lengths=tf.where(lengths > room, tf.cast(room, tf.int64), lengths + 1))


def _first(ids: tf.RaggedTensor, room: int) -> tf.RaggedTensor:
    return keep_first(ids, lengths=tf.minimum(ids.row_lengths(), room))


def _framed(ids: tf.RaggedTensor, prefix: Sequence[int], suffix: Sequence[int]) -> tf.RaggedTensor:
    """Each row between the same control tokens."""
    num_rows = ids.nrows()
    parts = [
        tf.RaggedTensor.from_uniform_row_length(
            tf.tile(tf.constant(control, ids.dtype), [num_rows]), len(control), nrows=num_rows
        )
        for control in (tuple(prefix), tuple(suffix))
    ]
    return tf.concat([parts[0], ids, parts[1]], axis=1)


def _padded_width(ids: tf.RaggedTensor, limit: int) -> tf.Tensor:
    """The least of `padded_lengths` that the longest row has room in."""
    steps = tf.constant(token_budget.padded_lengths(limit))
    longest = tf.cast(tf.reduce_max(ids.row_lengths()), tf.int32)
    return steps[tf.searchsorted(steps, [longest])[0]]


def _dense(ids: tf.RaggedTensor, value: int, width: tf.Tensor) -> tf.Tensor:
    """int32 (rows, width), filled up with `value`."""
    dense = ids.to_tensor(value, shape=[None, None])
    padded = tf.pad(dense, [[0, 0], [0, width - tf.shape(dense)[1]]], constant_values=value)
    return tf.ensure_shape(padded, [None, None])
