"""Metrics of classes, beside scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from bert_tf.metrics import classification
from bert_tf.metrics.classification import (
    ACCURACY,
    MACRO_AVERAGE_PRECISION,
    MACRO_F1,
    MATTHEWS,
    calibration_error,
    class_rows,
    confusion_matrix,
    confusions,
    f1_of_class,
    f1_scores,
    micro_f1_without,
)
from bert_tf.metrics.outcomes import Outcomes


def make(targets, predictions, *, num_classes: int, scores=None) -> Outcomes:
    return Outcomes(
        targets=np.array(targets),
        predictions=np.array(predictions),
        scores=scores,
        names=tuple(f"class {index}" for index in range(num_classes)),
    )


@pytest.fixture(params=range(3))
def outcomes(request) -> Outcomes:
    """Of seven classes, the last of which is never there and never predicted."""
    generator = np.random.default_rng(request.param)
    return make(generator.integers(0, 5, 80), generator.integers(0, 6, 80), num_classes=7)


def test_rows_are_true_classes_and_columns_predicted_ones():
    matrix = confusion_matrix(make([0, 0, 1, 2], [0, 1, 1, 1], num_classes=3))
    np.testing.assert_array_equal(matrix, [[1, 1, 0], [0, 1, 0], [0, 1, 0]])


def test_f1_worked_out_by_hand():
    matrix = np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    # Class 0: precision 1, recall 1/2. Class 1: precision 1/3, recall 1. 2: never. 3: absent.
    np.testing.assert_allclose(f1_scores(matrix), [2 / 3, 1 / 2, 0, 0])


def test_metrics_equal_scikit_learn(outcomes):
    true, predicted = outcomes.targets, outcomes.predictions
    options = {"labels": range(7), "zero_division": 0}
    macro = sklearn_metrics.f1_score(true, predicted, average="macro", **options)
    assert MACRO_F1.score(outcomes, None) == pytest.approx(macro)
    assert ACCURACY.score(outcomes, None) == sklearn_metrics.accuracy_score(true, predicted)
    np.testing.assert_array_equal(
        confusion_matrix(outcomes),
        sklearn_metrics.confusion_matrix(true, predicted, labels=range(7)),
    )
    np.testing.assert_array_equal(confusions(outcomes).toarray(), confusion_matrix(outcomes))
    rows = class_rows(outcomes)
    theirs = sklearn_metrics.precision_recall_fscore_support(true, predicted, **options)
    for column, expected in zip(("precision", "recall", "f1", "support"), theirs, strict=True):
        assert [row[column] for row in rows] == pytest.approx(list(expected)), column
    assert [row["name"] for row in rows] == list(outcomes.names)


@pytest.mark.parametrize("metric", [ACCURACY, MACRO_F1])
def test_weights_count_as_repeated_rows(outcomes, metric):
    weights = np.random.default_rng(9).integers(0, 4, len(outcomes))
    repeated = outcomes.take(np.repeat(np.arange(len(outcomes)), weights))
    assert metric.score(outcomes, weights) == metric.score(repeated, None)
    np.testing.assert_array_equal(confusion_matrix(outcomes, weights), confusion_matrix(repeated))


def test_accuracy_of_no_examples_is_not_a_number():
    nothing = make(np.array([], int), np.array([], int), num_classes=2)
    assert np.isnan(ACCURACY.score(nothing, None))


def test_calibration_error_by_hand():
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    outcomes = make([0, 1, 1, 1], [0, 0, 1, 1], num_classes=2, scores=scores)
    # Of two answers with 0.9 one is right, of two with 0.6 both are.
    expected = 0.5 * abs(0.9 - 0.5) + 0.5 * abs(0.6 - 1.0)
    assert calibration_error(outcomes) == pytest.approx(expected)


def test_certain_and_right_is_calibrated():
    assert calibration_error(make([0, 1], [0, 1], num_classes=2, scores=np.eye(2))) == 0.0


def test_calibration_without_scores_is_refused(outcomes):
    with pytest.raises(ValueError, match="Received: outcomes without scores"):
        classification.calibration_error(outcomes)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([0, -1, 1], "from 0 to 1, one for each name. Received: -1 in row 1 of the targets"),
        ([0, 1, 2], "Received: 2 in row 2 of the targets"),
        ([0.0, 1.0, 1.0], "must be one class id for each example. Received: float64"),
    ],
)
def test_targets_that_are_not_classes_are_refused(targets, message):
    with pytest.raises(ValueError, match=message):
        ACCURACY.score(make(targets, [0, 1, 1], num_classes=2), None)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_matthews_f1_of_a_class_and_micro_f1_without_one_equal_scikit_learn(outcomes, is_weighted):
    generator = np.random.default_rng(1)
    weights = generator.integers(0, 4, len(outcomes)) if is_weighted else None
    true, predicted = outcomes.targets, outcomes.predictions
    counted = {"sample_weight": weights}
    assert MATTHEWS.score(outcomes, weights) == pytest.approx(
        sklearn_metrics.matthews_corrcoef(true, predicted, **counted)
    )
    of_one = sklearn_metrics.f1_score(true, predicted, average=None, **counted)[2]
    assert f1_of_class("class 2").score(outcomes, weights) == pytest.approx(of_one)
    others = [0, 1, 3, 4, 5, 6]
    micro = sklearn_metrics.f1_score(true, predicted, average="micro", labels=others, **counted)
    assert micro_f1_without("class 2").score(outcomes, weights) == pytest.approx(micro)


def test_matthews_of_one_predicted_class_is_0_as_in_scikit_learn():
    assert MATTHEWS.score(make([0, 1, 1], [1, 1, 1], num_classes=2), None) == 0.0


def test_the_area_under_precision_and_recall_is_klue_baseline_s():
    generator = np.random.default_rng(0)
    targets = np.concatenate([np.arange(4), generator.integers(0, 4, 60)])
    scores = generator.dirichlet(np.ones(4), len(targets))
    areas = []
    for index in range(4):
        curve = sklearn_metrics.precision_recall_curve(targets == index, scores[:, index])
        areas.append(sklearn_metrics.auc(curve[1], curve[0]))
    made = make(targets, scores.argmax(axis=1), num_classes=4, scores=scores)
    assert MACRO_AVERAGE_PRECISION.score(made, None) == pytest.approx(np.mean(areas))
    twice = MACRO_AVERAGE_PRECISION.score(made, np.full(len(targets), 2))
    assert twice == pytest.approx(np.mean(areas))


def test_a_class_that_is_none_is_refused():
    with pytest.raises(
        ValueError, match=r"must be one of class 0, class 1. Received: 'no_relation'"
    ):
        micro_f1_without("no_relation").score(make([0, 1], [0, 1], num_classes=2), None)
