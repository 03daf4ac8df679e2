"""Labelled spans as outcomes and arrays, and the tags of their characters."""

import numpy as np
import pytest

from bert_tf.metrics.outcomes import Outcomes
from bert_tf.metrics.spans import character_tags, predicted_spans, same_places, span_outcomes

TEXTS = ["이순신 장군", "서울", ""]
NAMES = ("PS", "LC")


def make(targets, predictions=None, *, texts=TEXTS, names=NAMES) -> Outcomes:
    predictions = targets if predictions is None else predictions
    return span_outcomes(targets, predictions=predictions, texts=texts, names=names)


def test_spans_are_tuples_of_python_numbers_one_for_each_text():
    outcomes = make([[(np.int64(0), np.int32(3), "PS")], [(0, 2, "LC")], []], [[], [], []])
    assert outcomes.targets.shape == outcomes.predictions.shape == outcomes.texts.shape == (3,)
    assert outcomes.targets.tolist() == [((0, 3, "PS"),), ((0, 2, "LC"),), ()]
    assert {type(value) for value in outcomes.targets[0][0]} == {int, str}
    assert outcomes.predictions.tolist() == [(), (), ()]


def test_as_many_spans_in_each_text_are_no_second_dimension():
    two = [[(0, 1, "PS"), (1, 2, "LC")]] * 2
    outcomes = make(two, texts=["ab", "cd"])
    assert outcomes.targets.shape == (2,)
    assert outcomes.targets[1] == ((0, 1, "PS"), (1, 2, "LC"))


def test_taken_rows_keep_their_texts():
    outcomes = make([[(0, 3, "PS")], [], []], [[], [(0, 2, "LC")], []])
    taken = outcomes.take([1, 0])
    assert taken.texts.tolist() == ["서울", "이순신 장군"]
    assert taken.targets.tolist() == [(), ((0, 3, "PS"),)]
    assert outcomes.take(np.array([False, True, False])).predictions.tolist() == [((0, 2, "LC"),)]
    assert len(outcomes.take([])) == 0


def test_each_row_of_spans_is_an_outcome_of_its_own():
    outcomes = make([[], [], []])
    rows, codes = outcomes.codes(outcomes)
    assert rows.tolist() == codes.tolist() == [0, 1, 2]


def test_targets_are_equal_where_the_spans_are_in_whatever_order_the_labels():
    spans = [[(0, 3, "PS")], [(0, 2, "LC")], []]
    ours, theirs = make(spans), make(spans, names=NAMES[::-1])
    moved = make([[(0, 2, "PS")], [(0, 2, "LC")], []])
    renamed = make([[(0, 3, "LC")], [(0, 2, "LC")], []])
    assert np.array_equal(ours.targets, theirs.targets)
    assert not np.array_equal(ours.targets, moved.targets)
    assert not np.array_equal(ours.targets, renamed.targets)
    assert predicted_spans(theirs).labels.tolist() == [1, 0]


def test_spans_in_the_same_place_are_found_whatever_their_labels():
    outcomes = make(
        [[(0, 3, "PS"), (4, 6, "PS")], [(0, 1, "PS"), (1, 2, "LC")], []],
        [[(0, 3, "LC"), (3, 6, "PS")], [(0, 2, "PS")], []],
    )
    true, predicted = same_places(outcomes)
    assert (true.examples.tolist(), true.starts.tolist(), true.ends.tolist()) == ([0], [0], [3])
    assert (true.labels.tolist(), predicted.labels.tolist()) == ([0], [1])


def test_tags_are_those_of_characters_without_spaces():
    text = "a 이순신 장군 b"
    outcomes = make(
        [[(2, 8, "PS"), (9, 10, "LC")]],
        [[(1, 5, "LC"), (5, 6, "PS"), (6, 8, "PS")]],  # one starts with a space, one is a space
        texts=[text],
    )
    examples, true, predicted = character_tags(outcomes)
    words = ["B-PS", "I-PS", "B-LC", "I-LC", "O"]
    assert examples.tolist() == [0] * 7
    assert [words[tag] for tag in true] == ["O", "B-PS", *["I-PS"] * 4, "B-LC"]
    assert [words[tag] for tag in predicted] == [
        *["O", "B-LC", "I-LC", "I-LC"],
        *["B-PS", "I-PS", "O"],
    ]


def test_neighbouring_spans_of_one_label_begin_on_their_own():
    outcomes = make([[(0, 2, "PS"), (2, 4, "PS")], [(0, 1, "PS")]], texts=["abcd", "a"])
    examples, true, _ = character_tags(outcomes)
    assert examples.tolist() == [0, 0, 0, 0, 1]
    assert true.tolist() == [0, 1, 0, 1, 0]


def test_characters_beyond_the_basic_plane_and_lone_surrogates_count_once():
    outcomes = make([[(1, 2, "PS")], [(0, 1, "LC")]], texts=["😀a", "\ud83d"])
    assert character_tags(outcomes)[1].tolist() == [4, 0, 2]


def test_outcomes_without_texts_have_no_characters():
    spans = make([[], [], []]).targets
    outcomes = Outcomes(targets=spans, predictions=spans, names=NAMES)
    with pytest.raises(ValueError, match=r"Received: outcomes without texts. Make them with"):
        character_tags(outcomes)


def test_texts_of_other_examples_are_refused():
    spans = make([[], [], []]).targets
    with pytest.raises(ValueError, match=r"Received: texts \(2,\), 3 examples. Take the texts"):
        Outcomes(targets=spans, predictions=spans, texts=np.array(["a", "b"], object))


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([(0, 7, "PS")], r"The true spans .* Received: \(0, 7\) after 0, in text 0 of 6 char"),
        ([(-1, 2, "PS")], r"Received: \(-1, 2\) after 0"),
        ([(2, 2, "PS")], r"Received: \(2, 2\) after 0"),
        ([(0, 3, "PS"), (2, 4, "PS")], r"Received: \(2, 4\) after 3.* Sort them, and drop"),
        ([(4, 6, "PS"), (0, 3, "PS")], r"Received: \(0, 3\) after 6"),
        ([(0, 3, "O")], r"must be one of PS, LC. Received: 'O', of a true span in text 0"),
    ],
)
def test_spans_that_a_text_cannot_have_are_refused(spans, message):
    with pytest.raises(ValueError, match=message):
        make([spans, [], []])


def test_a_wrong_prediction_is_called_one():
    with pytest.raises(ValueError, match=r"The predicted spans of a text .* in text 1 of 2 char"):
        make([[], [], []], [[], [(1, 3, "PS")], []])


def test_each_text_needs_its_spans():
    with pytest.raises(ValueError, match=r"Received: 3 texts, 2 and 3 lists of spans"):
        make([[], []], [[], [], []])
