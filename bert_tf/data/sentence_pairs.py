"""Documents of token ids in, A/B pairs with next-sentence or sentence-order labels out.

A document [[1, 2], [3], [4, 5, 6]] with room for all six tokens and the first cut drawn gives
first [1, 2], second [3, 4, 5, 6], is_random_next False; or, with a random second part, first
[1, 2], second from another document, is_random_next True, and goes on at [3], which was not used.

With `negative_pairs: swapped` the second part always follows, and label 1 means that both were
exchanged: first [3, 4, 5, 6], second [1, 2]. It needs no other document.

Source: google-research/bert, create_pretraining_data.py, create_instances_from_document. One
difference: where Google draws up to ten times to meet another document, and keeps its own
after ten misses, the draw here is among the others. Swapped: Lan et al. 2020 (ALBERT), section
3.1; where ALBERT's code gives a single sentence a random second part, it has none here.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from bert_tf.config import ExamplesConfig

Sentences = Sequence[Sequence[int]]
Draw = Callable[[], float]


class Pair(NamedTuple):
    """Token ids without [CLS] and [SEP]; `second` is empty where there is no pair."""

    first: list[int]
    second: list[int]
    is_random_next: bool
    """The label: `second` does not follow `first`: it is random, or stood before it."""


def make_pairs(
    documents: Sequence[Sentences], *, config: ExamplesConfig, rng: np.random.Generator
) -> Iterator[Pair]:
    """Pairs of every document in turn, or full sequences with `next_sentence: false`.

    Both parts of a pair hold at least one token and together at most `max_seq_length` - 3; a
    sequence without pairs at most `max_seq_length` - 2. With `negative_pairs: swapped` a chunk of
    one sentence comes without a second part. Documents and sentences must not be empty.

    Raises:
        ValueError: random pairs of a single document: there is no other to draw from.
    """
    draw = _uniform_draws(rng)
    if not config.next_sentence:
        for document in documents:
            yield from _full_sequences(document, config=config, draw=draw)
        return
    if len(documents) == 1 and config.negative_pairs == "random":
        raise ValueError(
            "next-sentence pairs need at least 2 documents, to draw random sentences from another. "
            "Received: 1. Add documents, split them with corpus.document_boundary, or set "
            "examples.negative_pairs=swapped or examples.next_sentence=false."
        )
    for index in range(len(documents)):
        yield from _document_pairs(documents, index=index, config=config, draw=draw, rng=rng)


def truncate_pair(
    first: list[int], second: list[int], *, max_tokens: int, rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    """Take tokens from the longer part, each from the front or the back by a coin.

    With equal lengths the second part gives. How many each gives is settled by the lengths, so
    the coins of a part are one binomial draw.
    """
    if len(first) + len(second) <= max_tokens:
        return first, second
    second_kept = min(len(second), max(max_tokens - len(first), max_tokens // 2))
    first_kept = min(len(first), max_tokens - second_kept)
    return _cut_ends(first, first_kept, rng=rng), _cut_ends(second, second_kept, rng=rng)


def _document_pairs(
    documents: Sequence[Sentences],
    *,
    index: int,
    config: ExamplesConfig,
    draw: Draw,
    rng: np.random.Generator,
) -> Iterator[Pair]:
    document = documents[index]
    max_tokens = config.max_seq_length - 3
    target = _target_length(max_tokens, config=config, draw=draw)
    start = position = length = 0
    while position < len(document):
        length += len(document[position])
        position += 1
        if length < target and position < len(document):
            continue
        num_sentences = position - start
        cut = start + (_integer(draw, 1, num_sentences - 1) if num_sentences > 1 else 1)
        first = _join(document[start:cut])
        if config.negative_pairs == "swapped":
            second = _join(document[cut:position])
            is_negative = num_sentences > 1 and draw() < config.random_next_share
            if is_negative:
                first, second = second, first
        elif is_negative := num_sentences == 1 or draw() < config.random_next_share:
            second = _random_next(documents, index=index, length=target - len(first), draw=draw)
            position = cut  # The sentences after the cut were not used: go on with them.
        else:
            second = _join(document[cut:position])
        first, second = truncate_pair(first, second, max_tokens=max_tokens, rng=rng)
        yield Pair(first, second, is_negative)
        start, length = position, 0


def _random_next(
    documents: Sequence[Sentences], *, index: int, length: int, draw: Draw
) -> list[int]:
    """Sentences of another document from a random one on, at least one, until `length` tokens."""
    other = _integer(draw, 0, len(documents) - 2)
    document = documents[other + (other >= index)]
    position = _integer(draw, 0, len(document) - 1)
    tokens = list(document[position])
    while len(tokens) < length and position + 1 < len(document):
        position += 1
        tokens += document[position]
    return tokens


def _full_sequences(document: Sentences, *, config: ExamplesConfig, draw: Draw) -> Iterator[Pair]:
    """Whole sentences as long as they fit; one beyond the limit goes on in the next sequence."""
    max_tokens = config.max_seq_length - 2
    target = _target_length(max_tokens, config=config, draw=draw)
    tokens: list[int] = []
    for sentence in document:
        for start in range(0, len(sentence), max_tokens):
            part = sentence[start : start + max_tokens]
            if tokens and len(tokens) + len(part) > target:
                yield Pair(tokens, [], False)
                tokens = []
            tokens = [*tokens, *part]
    if tokens:
        yield Pair(tokens, [], False)


def _target_length(max_tokens: int, *, config: ExamplesConfig, draw: Draw) -> int:
    if draw() < config.short_seq_prob:
        return _integer(draw, 2, max_tokens)
    return max_tokens


def _join(sentences: Sentences) -> list[int]:
    return list(itertools.chain.from_iterable(sentences))


def _cut_ends(tokens: list[int], num_kept: int, *, rng: np.random.Generator) -> list[int]:
    num_cut = len(tokens) - num_kept
    front = int(rng.binomial(num_cut, 0.5)) if num_cut else 0
    return tokens[front : front + num_kept]


def _integer(draw: Draw, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included."""
    return low + int(draw() * (high - low + 1))


def _uniform_draws(rng: np.random.Generator) -> Draw:
    """Numbers in [0, 1) one by one, drawn in blocks: a draw of one costs thirty times as much."""

    def numbers() -> Iterator[float]:
        while True:
            yield from rng.random(4096).tolist()

    return numbers().__next__
