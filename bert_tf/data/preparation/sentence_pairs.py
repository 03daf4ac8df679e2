"""Documents of token ids in, A/B pairs with next-sentence or sentence-order labels out.

A document [[1, 2], [3], [4, 5, 6]] with room for all six tokens and the first cut drawn gives
first [1, 2], second [3, 4, 5, 6], label 0; or, with a random second part, first [1, 2], second
from another document, label 1, and goes on at [3], which was not used.

With `negative_pairs: swapped` the second part always follows, and label 1 means that both were
exchanged: first [3, 4, 5, 6], second [1, 2]. It needs no other document.

All documents of a block take their next step together, as array operations: a pair is four bounds.

Source: google-research/bert, create_pretraining_data.py, create_instances_from_document. One
difference: where Google draws up to ten times to meet another document, and keeps its own
after ten misses, the draw here is among the others. Swapped: Lan et al. 2020 (ALBERT), section
3.1; where ALBERT's code gives a single sentence a random second part, it has none here.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bert_tf.config import ExamplesConfig
from bert_tf.data import records
from bert_tf.data.preparation.token_block import Array, TokenBlock

RULES_VERSION = 2
"""Rises with every change of what is drawn: other draws are other records."""


class Pairs(NamedTuple):
    """Ranges of a block's ids, int64 (pairs), without [CLS] and [SEP]."""

    first_starts: Array
    first_ends: Array
    second_starts: Array
    second_ends: Array
    """Where a second part starts if there is none."""
    labels: Array
    """1: the second part does not follow the first, it is random, or stood before it."""


def make_pairs(block: TokenBlock, *, config: ExamplesConfig, rng: np.random.Generator) -> Pairs:
    """Pairs of every document in turn, or full sequences with `next_sentence: false`.

    Both parts of a pair hold at least one token and together at most `max_seq_length` - 3; a
    sequence without pairs at most `max_seq_length` - 2. With `negative_pairs: swapped` a chunk of
    one sentence comes without a second part.

    Raises:
        ValueError: random pairs of a single document: there is no other to draw from.
    """
    if not config.next_sentence:
        return _full_sequences(block, config=config, rng=rng)
    if block.num_documents == 1 and config.negative_pairs == "random":
        raise ValueError(
            "next-sentence pairs need at least 2 documents, to draw random sentences from another. "
            "Received: 1. Add documents, split them with corpus.document_boundary, or set "
            "examples.negative_pairs=swapped or examples.next_sentence=false."
        )
    max_tokens = config.max_seq_length - 3
    targets = _target_lengths(block.num_documents, max_tokens, config=config, rng=rng)
    splits = block.sentence_splits
    starts, ends = block.document_splits[:-1].copy(), block.document_splits[1:]
    steps: list[tuple[Array, Pairs]] = []
    documents = np.arange(block.num_documents)
    while len(documents):
        start, target = starts[documents], targets[documents]
        end = np.minimum(np.searchsorted(splits, splits[start] + target), ends[documents])
        is_single = end - start == 1
        cut = start + 1 + _below(np.maximum(end - start - 1, 1), rng=rng)
        is_negative = rng.random(len(documents)) < config.random_next_share
        parts = np.array([splits[start], splits[cut], splits[cut], splits[end]])
        if config.negative_pairs == "swapped":
            is_negative &= ~is_single
            parts = np.where(is_negative, parts[[2, 3, 0, 1]], parts)
        else:
            is_negative |= is_single
            lengths = target - (splits[cut] - splits[start])
            random_part = _random_next(block, documents, lengths=lengths, rng=rng)
            parts[2:] = np.where(is_negative, random_part, parts[2:])
            # The sentences after the cut were not used: go on with them.
            end = np.where(is_negative, cut, end)
        parts = _truncate(parts, max_tokens=max_tokens, rng=rng)
        pairs = Pairs(parts[0], parts[1], parts[2], parts[3], is_negative.astype(np.int64))
        steps.append((documents, pairs))
        starts[documents] = end
        documents = documents[end < ends[documents]]
    return _in_order(steps)


def to_examples(
    ids: npt.NDArray[np.int32], pairs: Pairs, *, cls_id: int, sep_id: int
) -> records.Examples:
    """[CLS] first [SEP] second [SEP], or [CLS] first [SEP] where there is no second part."""
    first = pairs.first_ends - pairs.first_starts
    second = pairs.second_ends - pairs.second_starts
    has_second = second > 0
    row_splits = np.concatenate([[0], np.cumsum(first + 2 + second + has_second)])
    starts, ends = row_splits[:-1], row_splits[1:]
    input_ids = np.empty(row_splits[-1], np.int32)
    input_ids[starts] = cls_id
    input_ids[starts + first + 1] = sep_id
    input_ids[ends - 1] = sep_id
    for part_starts, lengths, target in (
        (pairs.first_starts, first, starts + 1),
        (pairs.second_starts, second, starts + first + 2),
    ):
        num_before = np.cumsum(lengths) - lengths
        positions = np.arange(lengths.sum())
        source = positions + np.repeat(part_starts - num_before, lengths)
        input_ids[positions + np.repeat(target - num_before, lengths)] = ids[source]
    labels = np.where(has_second, pairs.labels, records.NO_LABEL)
    return records.Examples(input_ids, row_splits, first + 2, labels)


def truncated_lengths(first: Array, second: Array, *, max_tokens: int) -> tuple[Array, Array]:
    """What is kept of each part when tokens are taken from the longer one until both fit.

    With equal lengths the second part gives: 9 and 9 for 7 tokens become 4 and 3.
    """
    second_kept = np.minimum(second, np.maximum(max_tokens - first, max_tokens // 2))
    return np.minimum(first, max_tokens - second_kept), second_kept


def _truncate(parts: Array, *, max_tokens: int, rng: np.random.Generator) -> Array:
    """Take tokens from the longer part, each from the front or the back by a coin.

    How many each part gives is settled by the lengths, so its coins are one binomial draw.
    `parts`, and the result: starts and ends of the first and the second part, (4, pairs).
    """
    first, second = parts[1] - parts[0], parts[3] - parts[2]
    first_kept, second_kept = truncated_lengths(first, second, max_tokens=max_tokens)
    first_start = parts[0] + rng.binomial(first - first_kept, 0.5)
    second_start = parts[2] + rng.binomial(second - second_kept, 0.5)
    return np.array(
        [first_start, first_start + first_kept, second_start, second_start + second_kept]
    )


def _random_next(
    block: TokenBlock, documents: Array, *, lengths: Array, rng: np.random.Generator
) -> Array:
    """Sentences of another document from a random one on, at least one, until `lengths` tokens.

    Result: where in the ids they start and end, (2, pairs).
    """
    splits = block.sentence_splits
    others = _below(np.full(len(documents), block.num_documents - 1), rng=rng)
    others += others >= documents
    starts, ends = block.document_splits[others], block.document_splits[others + 1]
    start = starts + _below(ends - starts, rng=rng)
    end = np.maximum(np.searchsorted(splits, splits[start] + lengths), start + 1)
    return np.array([splits[start], splits[np.minimum(end, ends)]])


def _full_sequences(
    block: TokenBlock, *, config: ExamplesConfig, rng: np.random.Generator
) -> Pairs:
    """Whole sentences as long as they fit; one beyond the limit goes on in the next sequence."""
    max_tokens = config.max_seq_length - 2
    targets = _target_lengths(block.num_documents, max_tokens, config=config, rng=rng)
    part_splits, document_splits = _cut_long_sentences(block, max_tokens=max_tokens)
    starts, ends = document_splits[:-1].copy(), document_splits[1:]
    steps: list[tuple[Array, Pairs]] = []
    documents = np.arange(block.num_documents)
    while len(documents):
        start = starts[documents]
        limit = part_splits[start] + targets[documents]
        end = np.searchsorted(part_splits, limit, side="right") - 1
        end = np.clip(end, start + 1, ends[documents])
        bounds = part_splits[start], part_splits[end]
        steps.append((documents, Pairs(*bounds, bounds[1], bounds[1], np.zeros_like(start))))
        starts[documents] = end
        documents = documents[end < ends[documents]]
    return _in_order(steps)


def _cut_long_sentences(block: TokenBlock, *, max_tokens: int) -> tuple[Array, Array]:
    """Sentence and document splits in which a sentence of more tokens is several."""
    lengths = np.diff(block.sentence_splits)
    num_parts = (lengths + max_tokens - 1) // max_tokens
    part_bounds = np.concatenate([[0], np.cumsum(num_parts)])
    number = np.arange(part_bounds[-1]) - np.repeat(part_bounds[:-1], num_parts)
    part_starts = np.repeat(block.sentence_splits[:-1], num_parts) + number * max_tokens
    part_splits = np.concatenate([part_starts, block.sentence_splits[-1:]])
    return part_splits, part_bounds[block.document_splits]


def _in_order(steps: list[tuple[Array, Pairs]]) -> Pairs:
    """Every document's pairs one after the other."""
    order = np.argsort(np.concatenate([documents for documents, _ in steps]), kind="stable")
    columns = zip(*(pairs for _, pairs in steps), strict=True)
    return Pairs(*(np.concatenate(column)[order] for column in columns))


def _target_lengths(
    num_documents: int, max_tokens: int, *, config: ExamplesConfig, rng: np.random.Generator
) -> Array:
    """Mostly the longest; by `short_seq_prob` any from 2 on."""
    is_short = rng.random(num_documents) < config.short_seq_prob
    lengths = rng.integers(2, max_tokens, num_documents, endpoint=True)
    return np.where(is_short, lengths, max_tokens)


def _below(bounds: Array, *, rng: np.random.Generator) -> Array:
    """A whole number from 0 to below each bound."""
    return (rng.random(len(bounds)) * bounds).astype(np.int64)
