"""Texts with their choices in, batches with a row for each pair of a text and a choice out.

    a | b c, d       [CLS] a [SEP] b c [SEP]   [CLS] a [SEP] d [SEP]
    e | f, g, h      [CLS] e [SEP] f [SEP]     [CLS] e [SEP] g [SEP]   [CLS] e [SEP] h [SEP]

`input_ids` of these two are (2, 3, longest row), the third row of the first all padding, and
`choice_windows` [[1, 1, 0], [1, 1, 1]].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from bert_tf.data.batches import length_groups
from bert_tf.data.batches.labelled import EncodedTexts, tokenize
from bert_tf.data.text import windows
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.windows import TextLimits


@dataclass(frozen=True, eq=False)
class EncodedChoices(EncodedTexts):
    """Texts and their choices as token ids: `second` has those of all texts, one after another.

    Memory beside that of `EncodedTexts`: about 32 bytes a choice and 20 a text.
    """

    splits: tf.Tensor
    """int64 (texts + 1): where the choices of each text begin."""
    row_lengths: np.ndarray
    """int32 (texts): the least length that the rows of a batch with the text are padded to."""

    def features(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Encoded`: the encoder's inputs and `document_columns`, int32 (B, most rows of a
        text, length), `choice_windows`, int32 (B, most choices), and targets.

        A text has a row for each choice, of a long text one for each of its windows.
        """
        pad_id = self.tokenizer.pad_id
        choices = tf.gather(
            tf.RaggedTensor.from_row_splits(self.second, self.splits, validate=False), rows
        )
        packed, choice_windows = windows.pack_choices(
            tf.gather(self.first, rows),
            choices,
            limits=self.limits,
            **self.tokenizer.frame,
        )
        packed = packed.padded(tf.reduce_max(tf.gather(self.row_lengths, rows)), pad_id=pad_id)
        features = packed.of_each(tf.size(rows, tf.int64), pad_id=pad_id)
        features = {name: tf.ensure_shape(it, [None] * 3) for name, it in features.items()}
        features["choice_windows"] = tf.ensure_shape(choice_windows, [None, None])
        return features | {name: tf.gather(values, rows) for name, values in self.targets.items()}


def encode_choices(
    texts: Sequence[str],
    choices: Sequence[Sequence[str]],
    *,
    targets: Mapping[str, np.ndarray],
    tokenizer: Tokenizer,
    limits: TextLimits,
) -> EncodedChoices:
    """All texts and choices tokenised, each text once; see `labelled.encode_texts`."""
    splits = np.concatenate([[0], np.cumsum([len(of_text) for of_text in choices])])
    first, second = (
        tokenize(some, tokenizer=tokenizer, max_tokens=limits.document_length)
        for some in (texts, [choice for of_text in choices for choice in of_text])
    )
    longest, totals = _lengths(first, second, splits, limits=limits)
    steps = np.asarray(length_groups.batch_lengths(limits.max_seq_length), np.int32)
    return EncodedChoices(
        first,
        second,
        {name: tf.constant(values) for name, values in targets.items()},
        tokenizer,
        limits,
        lengths=totals.astype(np.int32),
        splits=tf.constant(splits, tf.int64),
        row_lengths=steps[np.searchsorted(steps, longest)],
    )


def _lengths(
    first: tf.RaggedTensor, second: tf.RaggedTensor, splits: np.ndarray, *, limits: TextLimits
) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of the longest row of each text, and of all of its rows together."""
    texts = np.repeat(np.arange(len(splits) - 1), np.diff(splits))
    num_tokens = tf.gather(first.row_lengths(), texts)
    of_rows, choices = windows.row_lengths(
        num_tokens, second.row_lengths(), limits, lead_is_last=True
    )
    owners = tf.gather(texts, choices)
    return tf.math.segment_max(of_rows, owners).numpy(), tf.math.segment_sum(
        of_rows, owners
    ).numpy()
