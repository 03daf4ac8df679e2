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

from bert_tf.data.batches import length_groups
from bert_tf.data.batches.labelled import NUM_SPECIAL_TOKENS, EncodedTexts
from bert_tf.data.text import packing
from bert_tf.data.text.offsets import TokenOffsets, packed_offsets
from bert_tf.data.text.tokenizer import Tokenizer

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
    """int32 (texts, (tokens)), of each token; -1 of one that has none."""

    def features(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Encoded`: besides `token_starts`, `token_ends`, `begins_word` and `labels`, int32
        (B, length), and `label_weights`, float32: 0 at tokens that have no label."""
        features = super().features(rows)
        width = tf.shape(features["input_ids"])[1]
        offsets = TokenOffsets(*(tf.gather(it, rows) for it in self.offsets))
        placed = packed_offsets(offsets, max_seq_length=self.max_seq_length)
        placed = {name: _to_width(it, width) for name, it in placed.items()}
        # 0 is no label: [CLS], [SEP] and padding have none.
        labels = tf.gather(self.labels, rows).to_tensor(-1) + 1
        labels = _to_width(tf.pad(labels, [[0, 0], [1, 0]]), width)
        return {
            **features,
            **placed,
            "labels": tf.maximum(labels - 1, 0),
            "label_weights": tf.cast(labels > 0, tf.float32),
        }


def encode_tokens(
    texts: Sequence[str],
    label: Callable[[Units], np.ndarray],
    *,
    kind: UnitKind,
    tokenizer: Tokenizer,
    max_seq_length: int,
) -> EncodedTokens:
    """All texts tokenised, together; too long ones are cut at the end.

    Args:
        label: the units of all texts -> int32 (N,), their labels.
        kind: of the units, see `mark_units`.
    """
    parts = []
    for start in range(0, len(texts), _TEXTS_A_CALL):
        some = tf.constant(texts[start : start + _TEXTS_A_CALL], tf.string)
        parts.append(_tokenize(some, tokenizer=tokenizer, max_seq_length=max_seq_length))
    offsets = TokenOffsets(*(tf.concat(of_all, axis=0) for of_all in zip(*parts, strict=True)))
    ids = offsets.ids
    is_unit, units = _units(offsets, kind=kind, max_seq_length=max_seq_length)
    labels = np.full(len(is_unit), -1, np.int32)
    labels[is_unit] = label(units)
    steps = np.asarray(length_groups.batch_lengths(max_seq_length), np.int32)
    return EncodedTokens(
        first=ids,
        second=None,
        targets={},
        tokenizer=tokenizer,
        max_seq_length=max_seq_length,
        lengths=steps[np.searchsorted(steps, ids.row_lengths().numpy() + NUM_SPECIAL_TOKENS)],
        offsets=offsets,
        labels=ids.with_values(tf.constant(labels)),
    )


def _tokenize(texts: tf.Tensor, *, tokenizer: Tokenizer, max_seq_length: int) -> TokenOffsets:
    found = tokenizer.tokenize_with_offsets(texts)
    lengths = tf.minimum(found.ids.row_lengths(), max_seq_length - NUM_SPECIAL_TOKENS)
    return TokenOffsets(*(packing.keep_first(it, lengths=lengths) for it in found))


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


def _to_width(values: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """int32 (B, width), filled up with 0."""
    values = tf.cast(values, tf.int32)[:, :width]
    padded = tf.pad(values, [[0, 0], [0, width - tf.shape(values)[1]]])
    return tf.ensure_shape(padded, [None, None])
