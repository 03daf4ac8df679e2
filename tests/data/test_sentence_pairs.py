"""Pairs and full sequences, case by case; their distribution: test_google_semantics.py."""

import random
from typing import Any, NamedTuple

import numpy as np
import pytest

from bert_tf.config import ExamplesConfig
from bert_tf.data import records
from bert_tf.data.preparation.sentence_pairs import make_pairs, to_examples, truncated_lengths
from bert_tf.data.preparation.token_block import TokenBlock


class Pair(NamedTuple):
    """The tokens that a pair's bounds mean."""

    first: list[int]
    second: list[int]
    is_random_next: bool


def make(documents: list[list[list[int]]], *, seed: int = 0, **settings: Any) -> list[Pair]:
    config = ExamplesConfig.model_validate(settings)
    block = TokenBlock.from_lists(documents)
    ids = block.ids.tolist()
    pairs = make_pairs(block, config=config, rng=np.random.default_rng(seed))
    return [Pair(ids[a:b], ids[c:d], bool(label)) for a, b, c, d, label in zip(*pairs, strict=True)]


def numbered_documents(
    num_documents: int, *, num_sentences: int, length: int
) -> list[list[list[int]]]:
    """Every token is unique and tells where it stands."""
    size = num_sentences * length
    return [
        [
            list(range(d * size + s * length, d * size + (s + 1) * length))
            for s in range(num_sentences)
        ]
        for d in range(num_documents)
    ]


def test_following_pairs_split_the_document_in_order() -> None:
    documents = [[[1, 2], [3], [4, 5, 6]], [[7, 8, 9]]]
    pairs = make(documents, max_seq_length=16, random_next_share=0.0, short_seq_prob=0.0)
    first, second, is_random = pairs[0]
    assert (first, second) in [([1, 2], [3, 4, 5, 6]), ([1, 2, 3], [4, 5, 6])]
    assert not is_random
    assert pairs[1].first == [7, 8, 9], "one sentence"
    assert pairs[1].is_random_next, "a document of one sentence has nothing that follows"
    assert set(pairs[1].second) <= {1, 2, 3, 4, 5, 6}
    assert len(pairs) == 2


def test_unused_sentences_are_put_back() -> None:
    documents = numbered_documents(5, num_sentences=9, length=3)
    pairs = make(documents, max_seq_length=15, random_next_share=1.0, short_seq_prob=0.0)
    assert all(pair.is_random_next for pair in pairs)
    firsts = sorted(token for pair in pairs for token in pair.first)
    assert firsts == list(range(5 * 27)), "each sentence is used exactly once as a first part"
    for pair in pairs:
        assert pair.first[0] // 27 != pair.second[0] // 27, "from another document"


def test_a_single_document_is_refused_only_where_pairs_are_asked_for() -> None:
    document = [[[1, 2], [3]]]
    with pytest.raises(ValueError, match=r"at least 2 documents.*examples\.next_sentence=false"):
        make(document)
    assert make(document, next_sentence=False) == [Pair([1, 2, 3], [], False)]
    swapped = make(document, negative_pairs="swapped", random_next_share=1.0)
    assert swapped == [Pair([3], [1, 2], True)]


def test_full_sequences_hold_whole_consecutive_sentences() -> None:
    document = [[1] * 4, [2] * 4, [3] * 4, [4] * 30, [5]]
    pairs = make([document], max_seq_length=12, next_sentence=False, short_seq_prob=0.0)
    assert [pair.first for pair in pairs] == [
        [1] * 4 + [2] * 4,
        [3] * 4,
        *[[4] * 10] * 3,
        [5],
    ]
    assert all(pair.second == [] for pair in pairs)


def test_full_sequences_hold_every_token_once_and_no_two_documents() -> None:
    draw = random.Random(3)
    documents = numbered_documents(40, num_sentences=9, length=7)
    documents += [
        [list(range(100_000 + d * 1000, 100_000 + d * 1000 + draw.randint(1, 300)))]
        for d in range(20)
    ]
    pairs = make(documents, max_seq_length=32, next_sentence=False, short_seq_prob=0.1)
    starts = {document[0][0] for document in documents}
    assert [token for pair in pairs for token in pair.first] == [
        token for document in documents for sentence in document for token in sentence
    ]
    for pair in pairs:
        assert len(pair.first) <= 30
        assert (np.diff(pair.first) == 1).all(), "consecutive tokens"
        assert starts.isdisjoint(pair.first[1:]), "of one document"


def test_full_sequences_are_filled_as_far_as_whole_sentences_go() -> None:
    documents = numbered_documents(40, num_sentences=50, length=7)
    pairs = make(documents, max_seq_length=32, next_sentence=False, short_seq_prob=0.0)
    lengths = [len(pair.first) for pair in pairs]
    assert lengths == ([28] * 12 + [14]) * 40


def test_swapped_pairs_are_the_two_parts_of_a_chunk_in_either_order() -> None:
    documents = numbered_documents(400, num_sentences=12, length=3)
    pairs = make(documents, max_seq_length=15, negative_pairs="swapped", short_seq_prob=0.0)
    in_order = [
        pair.second + pair.first if pair.is_random_next else [*pair.first, *pair.second]
        for pair in pairs
    ]
    assert [token for tokens in in_order for token in tokens] == list(range(400 * 36))
    assert all(pair.first and pair.second for pair in pairs)
    assert all(pair.is_random_next == (pair.first[0] > pair.second[0]) for pair in pairs)
    # 1,200 coins: five standard deviations are .07.
    share = np.mean([pair.is_random_next for pair in pairs])
    assert share == pytest.approx(0.5, abs=0.07)
    for share, label in [(0.0, False), (1.0, True)]:
        pairs = make(documents, negative_pairs="swapped", random_next_share=share)
        assert {pair.is_random_next for pair in pairs if pair.second} == {label}


def test_a_single_sentence_has_no_order() -> None:
    documents = [[list(range(50))], [[60, 61], [62]]]
    lone, pair = make(documents, max_seq_length=16, negative_pairs="swapped", random_next_share=1.0)
    assert lone.second == []
    assert not lone.is_random_next
    assert len(lone.first) == 13
    assert pair == Pair([62], [60, 61], True)


def test_swapped_parts_are_truncated_like_any() -> None:
    documents = numbered_documents(50, num_sentences=3, length=30)
    pairs = make(documents, max_seq_length=23, negative_pairs="swapped", short_seq_prob=0.0)
    assert all(len(pair.first) + len(pair.second) <= 20 for pair in pairs)
    assert any(len(pair.first) + len(pair.second) == 20 for pair in pairs)


def test_swapped_needs_pairs() -> None:
    with pytest.raises(ValueError, match=r"negative_pairs=swapped needs pairs.*next_sentence=true"):
        ExamplesConfig(negative_pairs="swapped", next_sentence=False)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_long_sentences_are_truncated_to_fit(share: float) -> None:
    documents = numbered_documents(6, num_sentences=3, length=50)
    pairs = make(documents, max_seq_length=20, random_next_share=share)
    for pair in pairs:
        assert len(pair.first) + len(pair.second) == 17
        assert pair.first
        assert pair.second
        assert (np.diff(pair.first) == 1).all(), "cut at the ends only"


def test_truncation_takes_from_the_longer_side_at_both_ends() -> None:
    documents = [[[-1, -2, -3], list(range(30))]] * 2000
    pairs = make(documents, max_seq_length=16, short_seq_prob=0.0, random_next_share=0.0)
    assert all(first == [-1, -2, -3] and len(second) == 10 for first, second, _ in pairs)
    fronts = np.array([second[0] for _, second, _ in pairs])
    # Twenty coins: mean 10, variance 5.
    assert fronts.mean() == pytest.approx(10, abs=0.25)
    assert fronts.var() == pytest.approx(5, abs=0.8)


def test_the_longer_part_gives_and_the_second_of_equal_ones() -> None:
    kept = [
        tuple(map(int, truncated_lengths(np.array(a), np.array(b), max_tokens=limit)))
        for a, b, limit in [(9, 9, 7), (9, 9, 8), (2, 9, 7), (9, 2, 7), (3, 4, 7), (4, 5, 7)]
    ]
    assert kept == [(4, 3), (4, 4), (2, 5), (5, 2), (3, 4), (4, 3)]


def test_empty_sentences_and_documents_are_left_out() -> None:
    block = TokenBlock.from_lists([[[]], [[1, 2], [], [3]], [], [[], [4]], [[]]])
    assert block.ids.tolist() == [1, 2, 3, 4]
    assert block.sentence_splits.tolist() == [0, 2, 3, 4]
    assert block.document_splits.tolist() == [0, 2, 3]
    assert TokenBlock.from_lists([[[]], []]).num_documents == 0


def test_examples_have_special_tokens_and_a_label_where_there_is_a_pair() -> None:
    documents = [[[5, 6], [7]], [[8]]]
    block = TokenBlock.from_lists(documents)
    config = ExamplesConfig(negative_pairs="swapped", random_next_share=1.0, short_seq_prob=0.0)
    pairs = make_pairs(block, config=config, rng=np.random.default_rng(0))
    examples = to_examples(block.ids, pairs, cls_id=2, sep_id=3)
    assert examples.input_ids.tolist() == [2, 7, 3, 5, 6, 3, 2, 8, 3]
    assert examples.row_splits.tolist() == [0, 6, 9]
    assert examples.first_lengths.tolist() == [3, 3]
    assert examples.labels.tolist() == [1, records.NO_LABEL]


def test_pairs_are_a_function_of_the_generator() -> None:
    documents = numbered_documents(20, num_sentences=6, length=5)
    assert make(documents, seed=3) == make(documents, seed=3)
    assert make(documents, seed=3) != make(documents, seed=4)
