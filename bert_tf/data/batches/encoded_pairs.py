"""Sources and targets in, the tensors that a decoder learns from out, of some of them at a time.

    source "a b", target "x y"    input_ids          a b </s>
                                  decoder_input_ids  <s> x y
                                  labels             x y </s>
                                  label_weights      1 1 1

`Framing` has the control tokens. The sources of `EncodedInfilling` are drawn anew in each epoch.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, Self

import numpy as np
import tensorflow as tf

from bert_tf.data.batches import token_budget
from bert_tf.data.batches.infilling import Infilling, infill
from bert_tf.data.seeds import derive_seed
from bert_tf.data.text.packing import keep_first
from bert_tf.data.text.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

_PAIRS_AT_ONCE = 1 << 16
"""Looked at together where all are: they may be more than memory holds."""

LongTexts = Literal["cut", "error"]


class Framing(NamedTuple):
    """The control tokens of both sides."""

    pad_id: int
    start_id: int
    """Before a target."""
    end_id: int
    """Behind a target."""
    source_prefix: tuple[int, ...] = ()
    source_suffix: tuple[int, ...] = ()
    unk_id: int | None = None
    """Of either side, counted in profiles."""

    @property
    def num_of_source(self) -> int:
        """Control tokens of a source."""
        return len(self.source_prefix) + len(self.source_suffix)


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


class Tokens(Protocol):
    """The token ids of texts, in memory or in files."""

    @property
    def lengths(self) -> np.ndarray:
        """int64 (texts,): tokens of each."""
        ...

    def take(self, rows: tf.Tensor) -> tf.RaggedTensor:
        """Those of some texts, int32 (B, (tokens)); called in the graph."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class HeldTokens:
    """Tokens in memory: 4 bytes a token and 16 a text."""

    ids: tf.RaggedTensor
    """int32 (texts, (tokens))."""
    lengths: np.ndarray

    @classmethod
    def of(cls, texts: Sequence[str], tokenizer: Tokenizer) -> Self:
        """All texts tokenised, without control tokens."""
        ids = tokenizer.tokenize(tf.constant(texts, tf.string))
        return cls(ids, ids.row_lengths().numpy())

    def take(self, rows: tf.Tensor) -> tf.RaggedTensor:
        """See `Tokens`."""
        return tf.gather(self.ids, rows)


@dataclass(frozen=True, eq=False, repr=False)
class EncodedPairs:
    """Sources and targets as token ids; memory beside these: about 30 bytes a pair."""

    sources: Tokens
    targets: Tokens
    framing: Framing
    limits: PairLimits
    where: Callable[[int], str]
    """The place of a pair, for errors."""

    def __len__(self) -> int:
        return len(self.targets.lengths)

    @property
    def rooms(self) -> tuple[int, int]:
        """Tokens that are read of a source's and of a target's text."""
        return (
            self.limits.max_source_length - self.framing.num_of_source,
            self.limits.max_target_length - 1,
        )

    @property
    def cut(self) -> CutTexts:
        """How many texts have more."""
        lengths = (self.sources.lengths, self.targets.lengths)
        return CutTexts(
            *(int((it > room).sum()) for it, room in zip(lengths, self.rooms, strict=True))
        )

    def padded_lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """Tokens of each source and of each target as a batch pads them at least: int32 (pairs,).

        Control tokens are counted.
        """
        room, target_room = self.rooms
        source = np.minimum(self.sources.lengths, room) + self.framing.num_of_source
        target = np.where(self.targets.lengths > target_room, target_room, self.targets.lengths + 1)
        sides = ((source, self.limits.max_source_length), (target, self.limits.max_target_length))
        source, target = (
            (steps := token_budget.padded_lengths(limit))[np.searchsorted(steps, lengths)]
            for lengths, limit in sides
        )
        return source, target

    def first_tokens(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each source its tokens, without control tokens, and how many are unknown."""
        parts = np.array_split(np.arange(len(self)), 1 + len(self) // _PAIRS_AT_ONCE)
        num_unknown = [
            tf.reduce_sum(tf.cast(ids == self.framing.unk_id, tf.int32), axis=1).numpy()
            for ids in map(self.sources.take, parts)
        ]
        return np.minimum(self.sources.lengths, self.rooms[0]), np.concatenate(num_unknown)

    def sources_of(self, rows: tf.Tensor, epoch: tf.Tensor) -> tf.RaggedTensor:
        """The sources of some pairs in an epoch, int32 (B, (tokens)); called in the graph."""
        return _first(self.sources.take(rows), self.rooms[0])

    def features(self, rows: tf.Tensor, epoch: tf.Tensor) -> dict[str, tf.Tensor]:
        """The model's inputs and what it is to learn of the pairs `rows`; called in the graph.

        `input_ids`, `input_mask` and `segment_ids` (0), int32 (B, source); `decoder_input_ids` and
        `labels`, int32 (B, target), and `label_weights`, float32 (B, target), 1 where a label is.
        """
        framing = self.framing
        labels = _labels(self.targets.take(rows), self.rooms[1], framing)
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

    @property
    def rooms(self) -> tuple[int, int]:
        room = min(super().rooms)  # of a long text both sides have the same part
        return room, room

    def sources_of(self, rows: tf.Tensor, epoch: tf.Tensor) -> tf.RaggedTensor:
        seed = tf.stack([tf.constant(derive_seed(self.seed, "infilling"), tf.int64), epoch])
        tokens = super().sources_of(rows, epoch)
        return infill(tokens, examples=rows, seed=seed, infilling=self.infilling)


def encode_pairs(
    sources: Tokens,
    targets: Tokens,
    *,
    framing: Framing,
    limits: PairLimits,
    where: Callable[[int], str],
) -> EncodedPairs:
    """Pairs for batches; the log tells how many texts are cut.

    Raises:
        ValueError: a text is too long under `too_long: error`; names its place.
    """
    return _checked(EncodedPairs(sources, targets, framing, limits, where))


def encode_infilling(
    texts: Tokens,
    *,
    framing: Framing,
    limits: PairLimits,
    infilling: Infilling,
    seed: int,
    where: Callable[[int], str],
) -> EncodedInfilling:
    """Texts for batches whose sources are the texts with spans masked; see `encode_pairs`.

    Raises:
        ValueError: as of `encode_pairs`, or `infilling` is out of range.
    """
    infilling.check()
    encoded = EncodedInfilling(texts, texts, framing, limits, where, infilling, seed)
    _checked(encoded)
    return encoded


def _checked(encoded: EncodedPairs) -> EncodedPairs:
    """Raise ValueError where limits leave no room, or a text is refused; log what is cut."""
    limits, rooms = encoded.limits, encoded.rooms
    if min(rooms) < 1:
        raise ValueError(
            "max_source_length and max_target_length must leave room for a token beside the "
            f"control tokens. Received: {limits.max_source_length} and "
            f"{limits.max_target_length}, which leave {rooms[0]} and {rooms[1]}. Raise them."
        )
    if limits.too_long == "error":
        _check_short("source", encoded.sources.lengths, rooms[0], encoded.where)
        _check_short("target", encoded.targets.lengths, rooms[1], encoded.where)
    cut = encoded.cut
    if any(cut):
        numbers = (len(encoded), cut.num_sources, rooms[0], cut.num_targets, rooms[1])
        logger.warning(
            "Cut at the end, of %s pairs: %s sources to %s tokens, %s targets to %s.",
            *(f"{number:,}" for number in numbers),
        )
    return encoded


def _check_short(what: str, lengths: np.ndarray, room: int, where: Callable[[int], str]) -> None:
    longer = np.flatnonzero(lengths > room)
    if len(longer):
        raise ValueError(
            f"{where(int(longer[0]))}: a {what} must have {room:,} tokens at most. Received: "
            f"{lengths[longer[0]]:,}; {len(longer):,} are too long in all, the longest of "
            f"{lengths.max():,}. Raise the limit, cut the texts, or let them be cut at the end."
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
