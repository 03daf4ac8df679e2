"""Long texts as overlapping windows: which tokens, how many, and which window each is read in."""

import itertools
import random

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.data.batches.labelled import encode_texts
from bert_tf.data.batches.labelled_tokens import encode_tokens
from bert_tf.data.text.packing import pack
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.windows import TextLimits, covered_lengths, pack_windows
from bert_tf.data.text.wordpiece import WordPieceTokenizer

CLS, SEP = 101, 102
SPECIAL = {"cls_id": CLS, "sep_id": SEP}


def ragged(*rows: list[int]) -> tf.RaggedTensor:
    return tf.ragged.constant(rows, dtype=tf.int32)


def test_windows_are_those_worked_out_by_hand() -> None:
    tokens = ragged([11, 12, 13, 14, 15, 16, 17], [], [21])
    inputs, owners = pack_windows(tokens, limits=TextLimits(6, 5, 2), **SPECIAL)
    assert inputs["input_ids"].numpy().tolist() == [
        [CLS, 11, 12, 13, 14, SEP],
        [CLS, 13, 14, 15, 16, SEP],
        [CLS, 15, 16, 17, SEP, 0],
        [CLS, SEP, 0, 0, 0, 0],
        [CLS, 21, SEP, 0, 0, 0],
    ]
    assert inputs["document_columns"].numpy().tolist() == [
        [0, 1, 2, 3, 0, 0],
        [0, 0, 4, 5, 0, 0],
        [0, 0, 6, 7, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0],
    ]
    assert owners.numpy().tolist() == [0, 0, 0, 1, 2]


def test_what_leads_stands_before_every_window_in_the_first_segment() -> None:
    limits = TextLimits(8, 2, 2)
    packed = pack_windows(
        ragged([1, 2, 3, 4, 5, 6]), ragged([7, 8, 9, 10]), limits=limits, **SPECIAL
    )
    assert packed.inputs["input_ids"].numpy().tolist() == [
        [CLS, 7, 8, 9, SEP, 1, 2, SEP],
        [CLS, 7, 8, 9, SEP, 3, 4, SEP],
    ]
    assert packed.inputs["segment_ids"].numpy().tolist() == [[0, 0, 0, 0, 0, 1, 1, 1]] * 2
    assert covered_lengths(tf.constant([6], tf.int64), tf.constant([4], tf.int64), limits) == 4


@pytest.mark.parametrize("max_seq_length", [5, 8, 9, 16])
def test_with_one_window_rows_are_those_of_a_pair(max_seq_length: int) -> None:
    lengths = list(itertools.product((0, 1, 4, 9), repeat=2))
    first = ragged(*(list(range(1, 1 + a)) for a, _ in lengths))
    second = ragged(*(list(range(21, 21 + b)) for _, b in lengths))
    expected = pack(first, second, max_seq_length=max_seq_length, **SPECIAL)
    received = pack_windows(second, first, limits=TextLimits(max_seq_length), **SPECIAL).inputs
    for name, values in expected.items():
        np.testing.assert_array_equal(received[name], values)


def best_window(position: int, windows: list[range]) -> int:
    """By the rule of run_squad.py: the less of what is left and right, plus 0.01 a token."""
    scores = [
        min(position - window.start, window.stop - 1 - position) + 0.01 * len(window)
        if position in window
        else -1.0
        for window in windows
    ]
    return scores.index(max(scores))


@pytest.mark.parametrize(
    ("max_seq_length", "stride"), [(6, 1), (6, 2), (6, 3), (6, 4), (12, 4), (12, 7), (9, None)]
)
def test_every_token_is_read_in_the_window_with_most_around_it(
    max_seq_length: int, stride: int | None
) -> None:
    limits = TextLimits(max_seq_length, 40, stride)
    lengths = list(range(40))
    texts = ragged(*(list(range(1, 1 + length)) for length in lengths))
    inputs, owners = (
        tf.nest.map_structure(lambda it: it.numpy(), it)
        for it in pack_windows(texts, limits=limits, **SPECIAL)
    )
    room = max_seq_length - 2
    for owner, length in enumerate(lengths):
        num_windows = 1 + max(0, -(-(length - room) // limits.stride))
        starts = [number * limits.stride for number in range(num_windows)]
        windows = [range(start, min(start + room, length)) for start in starts]
        own = np.flatnonzero(owners == owner)
        assert len(own) == num_windows
        found = {}
        for number, row in enumerate(own):
            for column in np.flatnonzero(inputs["document_columns"][row]):
                position = inputs["document_columns"][row, column] - 1
                assert inputs["input_ids"][row, column] == 1 + position
                assert position not in found
                found[position] = number
        assert found == {it: best_window(it, windows) for it in range(length)}


def test_a_text_of_more_windows_is_cut() -> None:
    limits = TextLimits(6, 3, 2)
    assert limits.document_length == 10
    lengths = tf.constant([3, 8, 9, 100], tf.int64)
    assert covered_lengths(lengths, None, limits).numpy().tolist() == [3, 8, 8, 8]
    assert len(pack_windows(ragged(list(range(100))), limits=limits, **SPECIAL).owners) == 3


def test_strides_leave_no_token_out() -> None:
    assert TextLimits(12).stride == 6
    assert TextLimits(12, 2, 50).stride == 10


WORDS = ["one", "two", "three", "four"]


@pytest.fixture
def tokenizer() -> Tokenizer:
    return WordPieceTokenizer([*CONTROL_TOKENS, *WORDS])


def make_texts(*lengths: int) -> list[str]:
    draw = random.Random(3)
    return [" ".join(draw.choices(WORDS, k=length)) for length in lengths]


def test_batches_have_the_windows_that_their_longest_text_needs(tokenizer: Tokenizer) -> None:
    encoded = encode_texts(
        make_texts(3, 30, 7, 100), targets={}, tokenizer=tokenizer, limits=TextLimits(16, 4)
    )
    # 30 words: windows of 14 from 0, 8 and 16; rows of 16, 16 and 16 tokens.
    assert encoded.lengths.tolist() == [8, 48, 16, 64]
    shapes = {
        rows: encoded.features(tf.constant(rows))["input_ids"].shape
        for rows in [(0,), (0, 2), (1, 0)]
    }
    assert shapes == {(0,): [1, 1, 8], (0, 2): [2, 1, 16], (1, 0): [2, 3, 16]}
    mask = encoded.features(tf.constant([1, 0]))["input_mask"].numpy()
    assert mask.sum(axis=2).tolist() == [[16, 16, 16], [5, 0, 0]]


def test_labels_and_places_of_tokens_are_those_of_a_row_that_holds_the_whole_text(
    tokenizer: Tokenizer,
) -> None:
    texts = make_texts(3, 30, 0, 200)

    def encoded(limits: TextLimits) -> dict[str, np.ndarray]:
        tokens = encode_tokens(
            texts,
            lambda units: units.starts.astype(np.int32) % 5,
            kind="words",
            tokenizer=tokenizer,
            limits=limits,
        )
        features = tokens.features(tf.range(len(texts)))
        return {name: values.numpy() for name, values in features.items()}

    windows = TextLimits(16, 9, 5)
    in_windows, whole = encoded(windows), encoded(TextLimits(windows.document_length))
    for name in ("token_starts", "token_ends", "begins_word", "labels", "label_weights"):
        np.testing.assert_array_equal(in_windows[name], whole[name], name)
    assert in_windows["input_ids"].shape == (4, 9, 16)
