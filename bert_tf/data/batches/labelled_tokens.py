"""Texts and a label for each of their units in, batches with a label a token out.

    Ada Lovelace wrote.   [CLS] Ada Love ##lace wrote . [SEP]
    labels                  0    1    2    0      0   0   0
    label_weights           0    1    1    0      1   1   0

What a unit is, a word or a piece, `mark_units` says, here and where answers are made.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import tensorflow as tf

from bert_tf.data.batches.labelled import EncodedTexts, batched_lengths
from bert_tf.data.text import packing
from bert_tf.data.text.offsets import TokenOffsets, packed_offsets
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.windows import NUM_SPECIAL_TOKENS, TextLimits

UnitKind = Literal["words", "spaced_words", "pieces"]
_TEXTS_A_CALL = 1024


class Units(NamedTuple):
    """The units of some texts, as far as these are not cut, all in one row: N of them."""

    rows: np.ndarray
    """int (N,): which text."""
    starts: np.ndarray
    """int (N,): code points of the text."""
    ends: np.ndarray
    """int (N,): of a word, where its last piece ends."""


def mark_units(
    starts: tf.Tensor, ends: tf.Tensor, begins_word: tf.Tensor, *, kind: UnitKind
) -> tuple[tf.Tensor, tf.Tensor]:
    """Which tokens have a label, bool, and where their units end, int32: (batch, length).

    Args:
        starts, ends: int32 (batch, length), a token's place in its text; the same at [CLS], [SEP]
            and padding.
        begins_word: int32 (batch, length), 1 at the first piece of a word.
        kind: `words`, between white space and punctuation, and `spaced_words`, between white space,
            have the label of their first piece; of `pieces` each has its own.
    """
    is_text = starts < ends
    ends = tf.where(is_text, ends, 0)
    if kind == "pieces":
        return is_text, ends
    is_first = begins_word > 0
    if kind == "spaced_words":
        before = tf.pad(ends[:, :-1], [[0, 0], [1, 0]])
        is_inner = tf.pad(is_text[:, :-1], [[0, 0], [1, 0]])
        is_first = (starts > before) | ~is_inner
    is_unit = is_text & is_first
    shape = tf.shape(ends)
    word = tf.cumsum(tf.cast(is_unit, tf.int32), axis=1)  # 0 before the first
    word += tf.range(shape[0])[:, tf.newaxis] * (shape[1] + 1)
    last = tf.math.unsorted_segment_max(
        tf.reshape(ends, [-1]), tf.reshape(word, [-1]), shape[0] * (shape[1] + 1)
    )
    return is_unit, tf.gather(last, word)


@dataclass(frozen=True, eq=False)
class EncodedTokens(EncodedTexts):
    """Texts as token ids, where the tokens stand, and a label a unit.

    Memory beside that of `EncodedTexts`: 13 bytes a token.
    """

    offsets: TokenOffsets
    labels: tf.RaggedTensor
    """int32 (texts, (tokens)): 1 + the label of each token, 0 of one that has none."""

    def features(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Encoded`: besides `token_starts`, `token_ends`, `begins_word` and `labels`, int32
        (B, length), and `label_weights`, float32: 0 at tokens that have no label. Of windows these
        are of `[CLS] text [SEP]`, as if a text were one row."""
        features = super().features(rows)
        length = self.limits.document_length
        offsets = TokenOffsets(*(tf.gather(it, rows) for it in self.offsets))
        beside = packed_offsets(offsets, max_seq_length=length)
        beside["labels"] = packing.pack_beside(tf.gather(self.labels, rows), max_seq_length=length)
        ids = features["input_ids"]
        if ids.shape.rank == 2:  # as wide as the padded row
            missing = [[0, 0], [0, tf.shape(ids)[1] - tf.shape(beside["labels"])[1]]]
            beside = {name: tf.pad(values, missing) for name, values in beside.items()}
        beside = {name: tf.ensure_shape(values, [None, None]) for name, values in beside.items()}
        labels = beside.pop("labels")
        return {
            **features,
            **beside,
            "labels": tf.maximum(labels - 1, 0),
            "label_weights": tf.cast(labels > 0, tf.float32),
        }


def encode_tokens(
    texts: Sequence[str],
    label: Callable[[Units], np.ndarray],
    *,
    kind: UnitKind,
    tokenizer: Tokenizer,
    limits: TextLimits,
) -> EncodedTokens:
    """All texts tokenised, together; too long ones are cut at the end.

    Args:
        label: the units of all texts -> int32 (N,), their labels.
        kind: of the units, see `mark_units`.
    """
    offsets = tokenize_all(texts, tokenizer=tokenizer, max_length=limits.document_length)
    ids = offsets.ids
    is_unit, units = _units(offsets, kind=kind, max_seq_length=limits.document_length)
    labels = np.zeros(len(is_unit), np.int32)
    labels[is_unit] = 1 + label(units)
    return EncodedTokens(
        first=ids,
        second=None,
        targets={},
        tokenizer=tokenizer,
        limits=limits,
        lengths=batched_lengths(ids, None, limits=limits),
        offsets=offsets,
        labels=ids.with_values(tf.constant(labels)),
    )


def tokenize_all(texts: Sequence[str], *, tokenizer: Tokenizer, max_length: int) -> TokenOffsets:
    """The tokens of all texts and their places, as many as `[CLS] text [SEP]` has room for."""
    parts = []
    for start in range(0, len(texts), _TEXTS_A_CALL):
        some = tf.constant(texts[start : start + _TEXTS_A_CALL], tf.string)
        found = tokenizer.tokenize_with_offsets(some)
        lengths = tf.minimum(found.ids.row_lengths(), max_length - NUM_SPECIAL_TOKENS)
        parts.append([packing.keep_first(it, lengths=lengths) for it in found])
    return TokenOffsets(*(tf.concat(of_all, axis=0) for of_all in zip(*parts, strict=True)))


def _units(
    offsets: TokenOffsets, *, kind: UnitKind, max_seq_length: int
) -> tuple[np.ndarray, Units]:
    """Which tokens are units, bool (tokens of all texts), and the units."""
    is_unit, found = [], []
    for start in range(0, int(offsets.ids.nrows()), _TEXTS_A_CALL):
        some = TokenOffsets(*(it[start : start + _TEXTS_A_CALL] for it in offsets))
        placed = packed_offsets(some, max_seq_length=max_seq_length)
        starts, ends, begins = (tf.cast(it, tf.int32) for it in placed.values())
        marks, ends = mark_units(starts, ends, begins, kind=kind)
        # [CLS] stands before a text's tokens, [SEP] behind them.
        is_token = tf.sequence_mask(some.ids.row_lengths() + 1, tf.shape(marks)[1])
        is_token &= tf.range(tf.shape(marks)[1]) > 0
        is_unit.append(tf.boolean_mask(marks, is_token).numpy())
        places = tf.where(marks)
        found.append(
            (
                start + places[:, 0].numpy(),
                *(tf.boolean_mask(it, marks).numpy() for it in (starts, ends)),
            )
        )
    return np.concatenate(is_unit), Units(*map(np.concatenate, zip(*found, strict=True)))
