import random
from typing import Any

import numpy as np
import pytest

from bert_tf.config import ExamplesConfig
from bert_tf.data.sentence_pairs import Pair, make_pairs, truncate_pair


def make(documents: list[list[list[int]]], *, seed: int = 0, **settings: Any) -> list[Pair]:
    config = ExamplesConfig.model_validate(settings)
    return list(make_pairs(documents, config=config, rng=np.random.default_rng(seed)))


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


def google_pairs(
    documents: list[list[list[int]]], *, max_seq_length: int, short_seq_prob: float, seed: int
) -> list[Pair]:
    """Google's create_instances_from_document and truncate_seq_pair, without the masks."""
    rng = random.Random(seed)
    max_tokens = max_seq_length - 3
    pairs = []
    for index, document in enumerate(documents):
        target = max_tokens
        if rng.random() < short_seq_prob:
            target = rng.randint(2, max_tokens)
        chunk: list[list[int]] = []
        length = i = 0
        while i < len(document):
            chunk.append(document[i])
            length += len(document[i])
            if i == len(document) - 1 or length >= target:
                a_end = rng.randint(1, len(chunk) - 1) if len(chunk) >= 2 else 1
                first = [token for sentence in chunk[:a_end] for token in sentence]
                second: list[int] = []
                is_random = len(chunk) == 1 or rng.random() < 0.5
                if is_random:
                    for _ in range(10):
                        other = rng.randint(0, len(documents) - 1)
                        if other != index:
                            break
                    start = rng.randint(0, len(documents[other]) - 1)
                    for sentence in documents[other][start:]:
                        second += sentence
                        if len(second) >= target - len(first):
                            break
                    i -= len(chunk) - a_end
                else:
                    second = [token for sentence in chunk[a_end:] for token in sentence]
                while len(first) + len(second) > max_tokens:
                    longer = first if len(first) > len(second) else second
                    if rng.random() < 0.5:
                        del longer[0]
                    else:
                        longer.pop()
                pairs.append(Pair(first, second, is_random))
                chunk, length = [], 0
            i += 1
    return pairs


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


def test_full_sequences_hold_whole_consecutive_sentences() -> None:
    document = [[1] * 4, [2] * 4, [3] * 4, [4] * 30, [5]]
    pairs = make([document], max_seq_length=12, next_sentence=False, short_seq_prob=0.0)
    assert [pair.first for pair in pairs] == [[1] * 4 + [2] * 4, [3] * 4, [4] * 10, [5]]
    assert all(pair.second == [] for pair in pairs)


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
    rng = np.random.default_rng(0)
    kept = [truncate_pair(list(range(30)), [1, 2, 3], max_tokens=13, rng=rng) for _ in range(2000)]
    assert all(len(first) == 10 and second == [1, 2, 3] for first, second in kept)
    fronts = np.array([first[0] for first, _ in kept])
    # Twenty coins: mean 10, variance 5.
    assert fronts.mean() == pytest.approx(10, abs=0.25)
    assert fronts.var() == pytest.approx(5, abs=0.8)
    lengths = [
        tuple(map(len, truncate_pair(list(range(a)), list(range(b)), max_tokens=limit, rng=rng)))
        for a, b, limit in [(9, 9, 7), (9, 9, 8), (2, 9, 7), (9, 2, 7), (3, 4, 7), (4, 5, 7)]
    ]
    assert lengths == [(4, 3), (4, 4), (2, 5), (5, 2), (3, 4), (4, 3)]


def test_distribution_equals_googles_algorithm() -> None:
    draw = random.Random(5)
    documents = [
        [[d] * draw.randint(1, 30) for _ in range(draw.randint(1, 12))] for d in range(1500)
    ]
    ours = make(documents, seed=1, max_seq_length=64, short_seq_prob=0.2)
    googles = google_pairs(documents, max_seq_length=64, short_seq_prob=0.2, seed=2)
    assert len(ours) == pytest.approx(len(googles), rel=0.04)

    def summary(pairs: list[Pair]) -> np.ndarray:
        rows = [
            (
                pair.is_random_next,
                len(pair.first),
                len(pair.second),
                len(pair.first) + len(pair.second) == 61,
                len(pair.first) ** 2,
                len(pair.second) ** 2,
                len(pair.second) * pair.is_random_next,
            )
            for pair in pairs
        ]
        return np.array(rows, float)

    left, right = summary(ours), summary(googles)
    error = np.sqrt(left.var(axis=0) / len(left) + right.var(axis=0) / len(right))
    assert (np.abs(left.mean(axis=0) - right.mean(axis=0)) < 4 * error).all()


def test_pairs_are_a_function_of_the_generator() -> None:
    documents = numbered_documents(20, num_sentences=6, length=5)
    assert make(documents, seed=3) == make(documents, seed=3)
    assert make(documents, seed=3) != make(documents, seed=4)
