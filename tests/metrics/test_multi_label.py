"""Metrics of labels, beside scikit-learn, and thresholds."""

import math
import time
import warnings

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score

from bert_tf.metrics import multi_label
from bert_tf.metrics.multi_label import (
    EXACT_MATCH,
    MACRO_AVERAGE_PRECISION,
    MACRO_F1,
    MACRO_ROC_AUC,
    MICRO_F1,
    SAMPLES_F1,
    calibration_error,
    label_rows,
    tune_thresholds,
)
from bert_tf.metrics.outcomes import Outcomes

COUNTED = [MICRO_F1, MACRO_F1, SAMPLES_F1, EXACT_MATCH]
RANKED = [MACRO_AVERAGE_PRECISION, MACRO_ROC_AUC]
NEVER, ALWAYS = 4, 5


def make(targets, scores, *, threshold: float = 0.5) -> Outcomes:
    targets, scores = np.array(targets, dtype=bool), np.array(scores)
    names = tuple(f"label {index}" for index in range(targets.shape[1]))
    return Outcomes(targets=targets, predictions=scores >= threshold, scores=scores, names=names)


@pytest.fixture(params=range(3))
def outcomes(request) -> Outcomes:
    """Of six labels, one that never and one that always holds; with equal scores."""
    generator = np.random.default_rng(request.param)
    scores = generator.random((120, 6)).round(2)
    targets = generator.random((120, 6)) < scores**2
    targets[:, NEVER], targets[:, ALWAYS] = False, True
    return make(targets, scores)


def test_f1_and_exact_match_equal_scikit_learn(outcomes):
    true, predicted = outcomes.targets, outcomes.predictions
    for metric, average in ((MICRO_F1, "micro"), (MACRO_F1, "macro"), (SAMPLES_F1, "samples")):
        expected = f1_score(true, predicted, average=average, zero_division=0)
        assert metric.score(outcomes, None) == pytest.approx(expected), average
    assert EXACT_MATCH.score(outcomes, None) == accuracy_score(true, predicted)


def test_ranking_equals_scikit_learn_where_it_is_defined(outcomes):
    true, scores = outcomes.targets, outcomes.scores
    has_positive = [label for label in range(6) if label != NEVER]
    has_both = has_positive[:-1]
    assert MACRO_AVERAGE_PRECISION.score(outcomes, None) == pytest.approx(
        average_precision_score(true[:, has_positive], scores[:, has_positive])
    )
    assert MACRO_ROC_AUC.score(outcomes, None) == pytest.approx(
        roc_auc_score(true[:, has_both], scores[:, has_both])
    )


def test_rows_of_labels_equal_scikit_learn(outcomes):
    rows = label_rows(outcomes)
    f1 = f1_score(outcomes.targets, outcomes.predictions, average=None, zero_division=0)
    assert [row["name"] for row in rows] == list(outcomes.names)
    assert [row["support"] for row in rows] == outcomes.targets.sum(axis=0).tolist()
    assert [row["f1"] for row in rows] == pytest.approx(list(f1))
    undefined = {
        column: [i for i, row in enumerate(rows) if math.isnan(row[column])]
        for column in ("precision", "recall", "f1", "average_precision", "roc_auc")
    }
    assert undefined == {
        "precision": [],
        "recall": [],
        "f1": [],
        "average_precision": [NEVER],
        "roc_auc": [NEVER, ALWAYS],
    }


def test_rows_without_scores_have_no_ranking(outcomes):
    plain = Outcomes(
        targets=outcomes.targets, predictions=outcomes.predictions, names=outcomes.names
    )
    assert list(label_rows(plain)[0]) == ["name", "support", "precision", "recall", "f1"]


@pytest.mark.parametrize("metric", [*COUNTED, *RANKED], ids=lambda metric: metric.name)
def test_weights_count_as_repeated_rows(outcomes, metric):
    weights = np.random.default_rng(9).integers(0, 4, len(outcomes))
    repeated = outcomes.take(np.repeat(np.arange(len(outcomes)), weights))
    assert metric.score(outcomes, weights) == pytest.approx(metric.score(repeated, None))


@pytest.mark.parametrize("metric", RANKED, ids=lambda metric: metric.name)
def test_a_label_without_drawn_positives_is_left_out(metric):
    outcomes = make([[1, 1], [0, 0], [1, 0]], [[0.2, 0.9], [0.6, 0.8], [0.7, 0.1]])
    without_first = np.array([0, 1, 1])  # of the second label no positive, the first ranked right
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metric.score(outcomes, without_first) == 1.0
        assert math.isnan(metric.score(outcomes.take([]), None))


def test_nothing_true_and_nothing_predicted_is_zero():
    outcomes = make(np.zeros((3, 2)), np.zeros((3, 2)))
    values = [metric.score(outcomes, None) for metric in (MICRO_F1, MACRO_F1, SAMPLES_F1)]
    assert values == [0.0, 0.0, 0.0]
    assert EXACT_MATCH.score(outcomes, None) == 1.0


def test_threshold_is_in_the_middle_between_the_scores_it_separates():
    outcomes = make([[1], [1], [0], [0]], [[0.9], [0.7], [0.4], [0.1]])
    assert tune_thresholds(outcomes) == pytest.approx([0.55])


def test_of_thresholds_as_good_the_nearest_to_one_half_is_taken():
    # F1 is 2/3 with 1, with 2 and with 4 of the 4 predicted.
    f1_of = [2 * hits / (n + 2) for n, hits in ((1, 1), (2, 1), (3, 1), (4, 2))]
    assert f1_of == pytest.approx([2 / 3, 1 / 2, 2 / 5, 2 / 3])
    high = make([[1], [0], [0], [1]], [[0.9], [0.7], [0.6], [0.02]])
    low = make([[1], [0], [0], [1]], [[0.99], [0.98], [0.9], [0.8]])
    assert tune_thresholds(high) == pytest.approx([0.8])
    assert tune_thresholds(low) == pytest.approx([0.4])


def test_a_label_that_never_holds_keeps_one_half():
    assert tune_thresholds(make([[0], [0]], [[0.9], [0.1]])).tolist() == [0.5]


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_has_a_better_f1_than_the_tuned_one(seed):
    generator = np.random.default_rng(seed)
    scores = generator.random((60, 3)).round(1).astype(np.float32)  # with ties, zeros and ones
    targets = generator.random((60, 3)) < scores
    tuned = tune_thresholds(make(targets, scores))
    for label in range(3):
        true, of_label = targets[:, label], scores[:, label]
        tried = [f1_score(true, of_label >= t) for t in np.linspace(0, 1, 201)]
        assert f1_score(true, of_label >= tuned[label]) == pytest.approx(max(tried))


def test_neighbouring_single_precision_scores_are_separated():
    upper = np.float32(0.7)
    lower = np.nextafter(upper, np.float32(0))
    outcomes = make([[1], [0]], np.array([[upper], [lower]]))
    np.testing.assert_array_equal(outcomes.scores >= tune_thresholds(outcomes), outcomes.targets)


def test_thresholds_of_a_hundred_thousand_examples_take_seconds():
    generator = np.random.default_rng(0)
    scores = generator.random((100_000, 10))
    outcomes = make(generator.random(scores.shape) < scores, scores)
    started_at = time.perf_counter()
    tune_thresholds(outcomes)
    assert time.perf_counter() - started_at < 5


def test_calibration_error_is_over_all_decisions():
    outcomes = make([[1, 0], [0, 0]], [[0.9, 0.1], [0.9, 0.1]])
    # Of two labels with 0.9 one holds, of two with 0.1 none.
    assert calibration_error(outcomes) == pytest.approx(0.5 * 0.4 + 0.5 * 0.1)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.zeros((2, 2)), r"of several labels must be bool.*Received: float64 \(2, 2\)"),
        (np.zeros((2, 3), bool), r"each name, \(2, 2\). Received: bool \(2, 3\)"),
    ],
)
def test_targets_that_are_not_labels_are_refused(targets, message):
    outcomes = Outcomes(targets=targets, predictions=targets, names=("a", "b"))
    with pytest.raises(ValueError, match=message):
        multi_label.MICRO_F1.score(outcomes, None)
