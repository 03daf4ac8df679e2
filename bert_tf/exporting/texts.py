"""Turns a client's texts into the encoder's inputs, in the graph.

    bytes -> cut at limits -> tokens -> [CLS] text [SEP] trimmed -> padded to a few lengths
                                     -> [CLS] window [SEP] ...   -> likewise

Text never becomes [CLS], [SEP], [PAD] or [MASK], but for [MASK] where masks are asked for; bytes
that are no UTF-8 become U+FFFD; an empty text is [CLS] [SEP].
"""

from typing import NamedTuple

import tensorflow as tf

from bert_tf.data.text.offsets import TokenOffsets, few_marks, packed_offsets
from bert_tf.data.text.packing import bucket_length, pack, pad_to
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.windows import (
    PackedWindows,
    TextLimits,
    covered_offsets,
    pack_choices,
    pack_windows,
)
from bert_tf.models.classifier import CHOICE_WINDOWS
from bert_tf.tasks.choice_lines import split_choices

BYTES_A_TOKEN = 64
"""More than a token of any language takes, white space around it included."""


class TextWindows(NamedTuple):
    """Texts in windows, (windows, length) each, and what there is of whole texts."""

    rows: PackedWindows
    offsets: dict[str, tf.Tensor]
    """Of `[CLS] text [SEP]`, int32 (batch, tokens), if asked for; of a pair of the second text.
    Of texts with choices: see `TextInputs.choices`."""
    num_texts: tf.Tensor


class TextInputs:
    """Texts, or texts and their seconds, to the encoder's inputs.

    Args:
        limits: longer ones lose tokens at their ends, of a pair the longer text.
        max_bytes: what a text has beyond is left out before it is tokenised, so that no text, of
            whatever length, takes more than so much work. Default: `BYTES_A_TOKEN` a token.
        pad_to_multiple_of: the longest of a batch is padded to such a length, the others with it.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        limits: TextLimits,
        *,
        max_bytes: int | None = None,
        pad_to_multiple_of: int = 1,
    ):
        self.tokenizer = tokenizer
        self.limits = limits
        self.max_bytes = max_bytes or BYTES_A_TOKEN * limits.document_length
        self.pad_to_multiple_of = pad_to_multiple_of

    @tf.function(autograph=False)  # one graph for all signatures that it is part of
    def __call__(
        self,
        text: tf.Tensor,
        text_pair: tf.Tensor | None = None,
        *,
        with_masks: bool = False,
        with_offsets: bool = False,
    ) -> dict[str, tf.Tensor]:
        """`input_ids`, `input_mask`, `segment_ids`, int32 (batch, length), of strings (batch).

        Of each text as much as a row holds. `with_offsets`: of single texts, `packed_offsets` too.
        """
        offsets: dict[str, tf.Tensor] = {}
        if with_offsets:
            tokens = self._with_offsets(text)
            offsets = packed_offsets(tokens, max_seq_length=self.limits.max_seq_length)
            first = tokens.ids
        else:
            first = self._tokens(text, with_masks=with_masks)
        inputs = pack(
            first,
            None if text_pair is None else self._tokens(text_pair),
            max_seq_length=self.limits.max_seq_length,
            **self.tokenizer.frame,
        )
        length = self._padded_length(inputs)
        return pad_to({**inputs, **offsets}, length, pad_id=self.tokenizer.pad_id)

    @tf.function(autograph=False)
    def windows(
        self, text: tf.Tensor, text_pair: tf.Tensor | None = None, *, with_offsets: bool = False
    ) -> TextWindows:
        """Windows of strings (batch), of pairs of the second, with the first before each."""
        last = text if text_pair is None else text_pair
        lead = None if text_pair is None else self._tokens(text)
        offsets = {}
        if with_offsets:
            ids, placed = covered_offsets(self._with_offsets(last), lead, self.limits)
            # No text has a column, too: that of [CLS].
            missing = tf.cast(tf.equal(tf.size(placed["token_starts"]), 0), tf.int32)
            offsets = {name: tf.pad(it, [[0, 0], [0, missing]]) for name, it in placed.items()}
        else:
            ids = self._tokens(last)
        packed = pack_windows(
            ids,
            lead,
            limits=self.limits,
            **self.tokenizer.frame,
        )
        length = self._padded_length(packed.inputs)
        packed = packed.padded(length, pad_id=self.tokenizer.pad_id)
        return TextWindows(packed, offsets, tf.shape(last)[0])

    @tf.function(autograph=False)
    def choices(self, text: tf.Tensor, choices: tf.Tensor, *, max_choices: int) -> TextWindows:
        """Windows of strings (batch), with one of the choices of each behind them.

        `choices`: string (batch), see `choice_lines.split_choices`. In the place of offsets there
        is `CHOICE_WINDOWS`.
        """
        found = split_choices(choices, max_choices=max_choices).choices
        packed, choice_windows = pack_choices(
            self._tokens(text),
            found.with_values(self._tokens(found.values)),
            limits=self.limits,
            **self.tokenizer.frame,
        )
        rows = packed.padded(self._padded_length(packed.inputs), pad_id=self.tokenizer.pad_id)
        return TextWindows(rows, {CHOICE_WINDOWS: choice_windows}, tf.shape(text)[0])

    def _tokens(self, text: tf.Tensor, *, with_masks: bool = False) -> tf.RaggedTensor:
        tokenize = self.tokenizer.tokenize_with_masks if with_masks else self.tokenizer.tokenize
        return tokenize(few_marks(self._cut(text)))

    def _with_offsets(self, text: tf.Tensor) -> TokenOffsets:
        return self.tokenizer.tokenize_with_offsets(self._cut(text), with_few_marks=True)

    def _padded_length(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        return bucket_length(
            tf.maximum(tf.shape(inputs["input_ids"])[1], 1),  # no text has a column, too
            max_seq_length=self.limits.max_seq_length,
            multiple=self.pad_to_multiple_of,
        )

    def _cut(self, text: tf.Tensor) -> tf.Tensor:
        text = tf.convert_to_tensor(text)
        is_long = tf.strings.length(text) > self.max_bytes
        return tf.cond(
            tf.reduce_any(is_long),
            lambda: tf.where(is_long, _first_bytes(text, self.max_bytes), text),
            lambda: text,
        )


def _first_bytes(texts: tf.Tensor, number: int) -> tf.Tensor:
    """At most the first `number` bytes of each, without a character that this would cut through."""
    texts = tf.strings.substr(texts, 0, number)
    last = tf.io.decode_raw(tf.strings.substr(tf.strings.join(["   ", texts]), -3, 3), tf.uint8)
    # The first byte of a character of two bytes is 0xC0 at least, of three 0xE0, of four 0xF0: such
    # a byte, so far from the end, begins one that is cut through.
    is_begun = tf.cast(last, tf.int32) >= [0xF0, 0xE0, 0xC0]
    num_begun = tf.reduce_max(tf.where(is_begun, [3, 2, 1], 0), axis=1)
    return tf.strings.substr(texts, tf.zeros_like(num_begun), tf.strings.length(texts) - num_begun)
