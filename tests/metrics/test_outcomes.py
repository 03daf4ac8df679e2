"""Rows, codes and derived values of outcomes."""

import numpy as np
import pytest

from bert_tf.metrics.outcomes import Outcomes


def draw_classes(*, seed: int, num_classes: int = 4, size: int = 200) -> Outcomes:
    generator = np.random.default_rng(seed)
    return Outcomes(
        targets=generator.integers(0, num_classes, size),
        predictions=generator.integers(0, num_classes, size),
        names=tuple(map(str, range(num_classes))),
    )


def test_taken_rows_keep_targets_predictions_scores_and_names_together():
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    outcomes = Outcomes(
        targets=np.array([0, 1, 1]), predictions=scores.argmax(1), scores=scores, names=("a", "b")
    )
    by_index = outcomes.take([2, 0, 2])
    by_flag = outcomes.take(np.array([True, False, True]))
    assert by_index.targets.tolist() == [1, 0, 1]
    assert by_index.predictions.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(by_flag.scores, scores[[0, 2]])
    assert by_flag.names == ("a", "b")
    assert len(by_flag) == 2


def test_codes_of_classes_are_in_the_order_of_target_and_prediction():
    outcomes, other = draw_classes(seed=0), draw_classes(seed=1)
    rows, codes = outcomes.codes(other)
    cells = (outcomes.targets * 4 + outcomes.predictions) * 4 + other.predictions
    different, expected = np.unique(cells, return_inverse=True)
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(cells[rows], different)


def test_codes_of_one_model_tell_no_more_than_targets_and_predictions():
    outcomes = draw_classes(seed=0)
    rows, codes = outcomes.codes()
    assert len(rows) == 16
    np.testing.assert_array_equal(outcomes.targets[rows][codes], outcomes.targets)
    np.testing.assert_array_equal(outcomes.predictions[rows][codes], outcomes.predictions)


@pytest.mark.parametrize("num_labels", [1, 3, 11])
def test_rows_with_the_same_labels_share_a_code(num_labels):
    generator = np.random.default_rng(0)
    flags = generator.random((2, 300, num_labels)) < 0.2
    outcomes = Outcomes(targets=flags[0], predictions=flags[1])
    rows, codes = outcomes.codes()
    assert len(rows) == len({row.tobytes() for row in np.concatenate(flags, axis=1)})
    np.testing.assert_array_equal(flags[0][rows][codes], flags[0])
    np.testing.assert_array_equal(flags[1][rows][codes], flags[1])


def test_spans_share_a_code_where_both_ends_are_the_same():
    spans = np.array([[3, 5], [3, 6], [3, 5], [300, 5]])
    rows, codes = Outcomes(targets=spans, predictions=spans).codes()
    assert len(rows) == 3
    np.testing.assert_array_equal(spans[rows][codes], spans)


def test_each_row_of_real_numbers_is_its_own():
    outcomes = Outcomes(targets=np.array([1, 1, 2]), predictions=np.array([0.5, 0.5, 0.5]))
    rows, codes = outcomes.codes()
    assert rows.tolist() == codes.tolist() == [0, 1, 2]


def test_no_examples_have_no_codes():
    rows, codes = draw_classes(seed=0, size=0).codes()
    assert len(rows) == len(codes) == 0


def test_what_is_derived_is_computed_once_for_each_outcomes():
    calls = []
    outcomes = draw_classes(seed=0)

    def count(of: Outcomes) -> int:
        calls.append(of)
        return len(of)

    assert [outcomes.derive(count), outcomes.derive(count)] == [200, 200]
    assert outcomes.take(np.arange(3)).derive(count) == 3
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"predictions": np.zeros(4)}, r"Received: targets \(3,\), predictions \(4,\)"),
        ({"scores": np.zeros((4, 2))}, r"Received: scores \(4, 2\), 3 examples, 2 names"),
        ({"scores": np.zeros((3, 5))}, r"Received: scores \(3, 5\), 3 examples, 2 names"),
    ],
)
def test_arrays_of_other_examples_or_names_are_refused(arrays, message):
    fitting = {"targets": np.zeros(3), "predictions": np.zeros(3), "names": ("a", "b")}
    with pytest.raises(ValueError, match=message):
        Outcomes(**(fitting | arrays))


def test_scores_that_are_needed_and_not_there_are_asked_for():
    with pytest.raises(ValueError, match=r"Received: outcomes without scores. Keep the prob"):
        _ = draw_classes(seed=0).required_scores
