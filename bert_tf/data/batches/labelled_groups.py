"""Examples of several texts in, batches with a row for each text out.

    a, b        [CLS] a [SEP]   [CLS] b [SEP]
    c, d, e     [CLS] c [SEP]   [CLS] d [SEP]   [CLS] e [SEP]

`input_ids` of these two are (2, 3, longest row), the third row of the first `[CLS] [SEP]`, and
`text_ids` [[0, 1, -1], [2, 3, 4]]. A text is tokenised once, however many examples have it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from bert_tf.data.batches import length_groups
from bert_tf.data.batches.labelled import tokenize
from bert_tf.data.tables.splitting import text_key
from bert_tf.data.text import packing
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.windows import NUM_SPECIAL_TOKENS


@dataclass(frozen=True, eq=False)
class EncodedGroups:
    """Groups of texts as token ids, with their targets.

    Memory, the whole time: of each different text as cut 4 bytes a token and about 24 besides, of
    an example 8 a text.
    """

    tokens: tf.RaggedTensor
    """Of each different text; the last one is empty."""
    members: tf.Tensor
    """int32 (examples, texts): which of them an example has."""
    text_ids: tf.Tensor
    """int32 (examples, texts): see `models.contrastive.Compared`."""
    targets: Mapping[str, tf.Tensor]
    """(examples, ...): a batch has their rows under the same names."""
    tokenizer: Tokenizer
    max_seq_length: int
    lengths: np.ndarray
    """See `labelled.Encoded`."""

    def features(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Encoded`: the encoder's inputs, int32 (B, texts, length), `text_ids` and targets."""
        features = self._packed(tf.gather(self.members, rows), rows=rows)
        features["text_ids"] = tf.gather(self.text_ids, rows)
        return features | {name: tf.gather(values, rows) for name, values in self.targets.items()}

    def _packed(self, *members: tf.Tensor, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """The encoder's inputs of texts, or of pairs: `members` (B, columns), one or two."""
        packed = packing.pack(
            *(tf.gather(self.tokens, tf.reshape(it, [-1])) for it in members),
            max_seq_length=self.max_seq_length,
            **self.tokenizer.frame,
        )
        length = tf.reduce_max(tf.gather(self.lengths, rows))
        padded = packing.pad_to(packed, length, pad_id=self.tokenizer.pad_id)
        shape = [-1, members[0].shape[1], length]
        return {
            name: tf.ensure_shape(tf.reshape(it, shape), [None, shape[1], None])
            for name, it in padded.items()
        }

    def first_tokens(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each first text: its tokens, and how many are [UNK]."""
        first = tf.gather(self.tokens, self.members[:, 0])
        unknown = tf.cast(first == self.tokenizer.unk_id, tf.int32)
        return first.row_lengths().numpy(), tf.reduce_sum(unknown, axis=1).numpy()


@dataclass(frozen=True, eq=False)
class EncodedPairs(EncodedGroups):
    """A first text with each of the others, a row a pair."""

    def features(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `Encoded`: the encoder's inputs, int32 (B, pairs, length), `has_passage`, int32 (B,
        pairs), 0 where an example has no such text, and targets."""
        members = tf.gather(self.members, rows)
        num_pairs = self.members.shape[1] - 1
        firsts = tf.repeat(members[:, :1], num_pairs, axis=1)
        features = self._packed(firsts, members[:, 1:], rows=rows)
        features["has_passage"] = tf.cast(tf.gather(self.text_ids, rows)[:, 1:] >= 0, tf.int32)
        return features | {name: tf.gather(values, rows) for name, values in self.targets.items()}


def encode_pairs(
    columns: Sequence[Sequence[str | None]],
    *,
    targets: Mapping[str, np.ndarray],
    tokenizer: Tokenizer,
    max_seq_length: int,
) -> EncodedPairs:
    """As `encode_groups`, of pairs that are cut to fit together, the longer text first."""
    groups = encode_groups(
        columns,
        prefixes=[""] * len(columns),
        targets=targets,
        tokenizer=tokenizer,
        max_seq_length=max_seq_length,
    )
    num_tokens = groups.tokens.row_lengths().numpy()[groups.members.numpy()]
    longest = num_tokens[:, 0] + num_tokens[:, 1:].max(axis=1) + NUM_SPECIAL_TOKENS + 1
    steps = np.asarray(length_groups.batch_lengths(max_seq_length), np.int32)
    lengths = steps[np.searchsorted(steps, np.minimum(longest, max_seq_length))]
    fields = {it.name: getattr(groups, it.name) for it in dataclasses.fields(groups)}
    return EncodedPairs(**fields | {"lengths": lengths})


def encode_groups(
    columns: Sequence[Sequence[str | None]],
    *,
    prefixes: Sequence[str],
    targets: Mapping[str, np.ndarray],
    tokenizer: Tokenizer,
    max_seq_length: int,
) -> EncodedGroups:
    """All texts tokenised, those beyond `max_seq_length` cut at the end.

    Args:
        columns: the first texts of all examples, their second ones, and so on; None where an
            example has none.
        prefixes: what is put before the texts of each column.
        targets: names to arrays (examples, ...).
    """
    numbers: dict[str, int] = {}
    keys: dict[str, int] = {}
    members = np.empty((len(columns[0]), len(columns)), np.int32)
    text_ids = np.empty_like(members)
    for column, (texts, prefix) in enumerate(zip(columns, prefixes, strict=True)):
        for row, text in enumerate(texts):
            if text is None:
                members[row, column] = text_ids[row, column] = -1
                continue
            members[row, column] = numbers.setdefault(prefix + text, len(numbers))
            text_ids[row, column] = keys.setdefault(text_key(text), len(keys))
    members[members < 0] = len(numbers)
    tokens = tokenize(
        [*numbers, ""], tokenizer=tokenizer, max_tokens=max_seq_length - NUM_SPECIAL_TOKENS
    )
    steps = np.asarray(length_groups.batch_lengths(max_seq_length), np.int32)
    longest = (tokens.row_lengths().numpy() + NUM_SPECIAL_TOKENS)[members].max(axis=1)
    return EncodedGroups(
        tokens,
        tf.constant(members),
        tf.constant(text_ids),
        {name: tf.constant(values) for name, values in targets.items()},
        tokenizer,
        max_seq_length,
        lengths=steps[np.searchsorted(steps, longest)],
    )
