"""Questions, contexts and answers in, batches of windows with the answers' tokens out.

    who wrote it?   Ada wrote it.       [CLS] who wrote it ? [SEP] Ada wrote it . [SEP]
    answer 0 to 9, "Ada wrote"          of `[CLS] Ada wrote it . [SEP]`: first_columns [1]
                                                                        last_columns  [2]

A question without an answer has [CLS], column 0. A context of several questions is tokenised once.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from bert_tf.data.batches.labelled import EncodedTexts, batched_lengths
from bert_tf.data.batches.labelled_tokens import tokenize_all
from bert_tf.data.text import windows
from bert_tf.data.text.offsets import TokenOffsets
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.windows import TextLimits

log = logging.getLogger(__name__)

Place = tuple[int, int]
"""Start and end of an answer in its context, code points; the end is behind its last."""


class AnswerColumns(NamedTuple):
    """Of each question the columns of its answers' first and last tokens in `[CLS] context`.

    int32, (questions, most answers of one): -1 where there is none, 0 alone for no answer.
    """

    firsts: np.ndarray
    lasts: np.ndarray


@dataclass(frozen=True, eq=False)
class EncodedQuestions(EncodedTexts):
    """Questions (`first`) and their contexts (`second`, each once) as token ids."""

    context_of: tf.Tensor
    """int32 (questions): the row of `second`."""
    offsets: TokenOffsets
    """Of the contexts."""

    def features(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `EncodedTexts`; besides, of `[CLS] context [SEP]`, `token_starts`, `token_ends` and
        `begins_word`, int32 (B, tokens), and `first_columns` and `last_columns` of the answers,
        int32 (B, most answers of a question): -1 where there is none that the windows hold."""
        questions = tf.gather(self.first, rows)
        own = tf.gather(self.context_of, rows)
        offsets = TokenOffsets(*(tf.gather(it, own) for it in self.offsets))
        ids, placed = windows.covered_offsets(offsets, questions, self.limits)
        placed = {name: tf.ensure_shape(it, [None, None]) for name, it in placed.items()}
        length = tf.reduce_max(tf.gather(self.lengths, rows))
        length = tf.minimum(length, self.limits.max_seq_length)
        columns = {name: tf.gather(values, rows) for name, values in self.targets.items()}
        read = tf.cast(ids.row_lengths(), tf.int32)
        is_read = columns["last_columns"] <= read[:, tf.newaxis]
        return {
            **self.pack_windows(questions, ids, length),
            **placed,
            **{name: tf.where(is_read, values, -1) for name, values in columns.items()},
        }


def encode_questions(
    questions: Sequence[str],
    contexts: Sequence[str],
    answers: Sequence[Sequence[Place]],
    *,
    tokenizer: Tokenizer,
    limits: TextLimits,
) -> EncodedQuestions:
    """All questions and contexts tokenised; what is cut, and what tokens cannot say, is told."""
    distinct = {context: number for number, context in enumerate(dict.fromkeys(contexts))}
    context_of = np.array([distinct[context] for context in contexts], np.int32)
    length = limits.document_length
    offsets = tokenize_all(list(distinct), tokenizer=tokenizer, max_length=length)
    first = tokenizer.tokenize(tf.constant(list(questions), tf.string))
    second = tf.gather(offsets.ids, context_of)
    kept = windows.lead_lengths(
        first.row_lengths(), second.row_lengths(), max_seq_length=limits.max_seq_length
    )
    if num_cut := int(tf.reduce_sum(tf.cast(kept < first.row_lengths(), tf.int32))):
        log.warning(
            "%s of %s questions are longer than half of finetuning.max_seq_length and lose their "
            "ends.",
            *(f"{num_cut:,}", f"{len(questions):,}"),
        )
    read = windows.covered_lengths(second.row_lengths(), first.row_lengths(), limits)
    columns = _columns(offsets, context_of, answers)
    _tell_misfits(columns, offsets, context_of, answers, read.numpy())
    return EncodedQuestions(
        first=first,
        second=offsets.ids,
        targets={
            "first_columns": tf.constant(columns.firsts),
            "last_columns": tf.constant(columns.lasts),
        },
        tokenizer=tokenizer,
        limits=limits,
        lengths=batched_lengths(first, second, limits=limits),
        context_of=tf.constant(context_of),
        offsets=offsets,
    )


def _columns(
    offsets: TokenOffsets, context_of: np.ndarray, answers: Sequence[Sequence[Place]]
) -> AnswerColumns:
    """The tokens that answers meet; an answer behind the last token has columns behind it."""
    splits = offsets.ids.row_splits.numpy()
    starts, ends = (it.values.numpy() for it in (offsets.starts, offsets.ends))
    width = max(1, max(map(len, answers), default=0))
    firsts = np.full((len(answers), width), -1, np.int32)
    lasts = np.full_like(firsts, -1)
    for row, (context, own) in enumerate(zip(context_of, answers, strict=True)):
        tokens = slice(splits[context], splits[context + 1])
        if not own:
            firsts[row, 0] = lasts[row, 0] = 0
        for number, (start, end) in enumerate(own):
            first = np.searchsorted(ends[tokens], start, side="right")
            last = np.searchsorted(starts[tokens], end, side="left") - 1
            firsts[row, number], lasts[row, number] = 1 + first, 1 + max(first, last)
    return AnswerColumns(firsts, lasts)


def _tell_misfits(
    columns: AnswerColumns,
    offsets: TokenOffsets,
    context_of: np.ndarray,
    answers: Sequence[Sequence[Place]],
    read: np.ndarray,
) -> None:
    """Lines in the log: answers that are cut off, and those that end inside of tokens."""
    splits = offsets.ids.row_splits.numpy()
    starts, ends = (it.values.numpy() for it in (offsets.starts, offsets.ends))
    num_answers = num_beyond = num_inside = 0
    for row, own in enumerate(answers):
        places = zip(own, columns.firsts[row], columns.lasts[row], strict=False)
        for (start, end), first, last in places:
            num_answers += 1
            if last > read[row]:
                num_beyond += 1
                continue
            base = splits[context_of[row]] - 1
            num_inside += bool(starts[base + first] != start or ends[base + last] != end)
    if num_beyond:
        log.warning(
            "%s of %s answers lie behind the last window of their context: questions without "
            "another are not trained on. Raise finetuning.max_windows or max_seq_length.",
            *(f"{num_beyond:,}", f"{num_answers:,}"),
        )
    if num_inside:
        log.warning(
            "%s of %s answers begin or end inside of a token: a model cannot answer with these "
            "exactly. A vocabulary that was learnt on such text has finer tokens.",
            *(f"{num_inside:,}", f"{num_answers:,}"),
        )
