"""Metrics of numbers, beside SciPy and scikit-learn."""

import math
import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score, mean_absolute_error, mean_squared_error

from bert_tf.metrics.outcomes import Outcomes
from bert_tf.metrics.regression import MAE, MSE, PEARSON, SPEARMAN, f1_of_threshold

ALL = [PEARSON, SPEARMAN, MSE, MAE]
CORRELATIONS = [PEARSON, SPEARMAN]


def make(targets, predictions) -> Outcomes:
    return Outcomes(targets=np.array(targets), predictions=np.array(predictions))


@pytest.fixture(params=range(4))
def outcomes(request) -> Outcomes:
    """Ratings with many ties."""
    generator = np.random.default_rng(request.param)
    targets = generator.integers(0, 11, 150) / 2
    return make(targets, (targets + generator.normal(size=150)).round(1))


def test_metrics_equal_scipy_and_scikit_learn(outcomes):
    true, predicted = outcomes.targets, outcomes.predictions
    assert PEARSON.score(outcomes, None) == pytest.approx(stats.pearsonr(true, predicted)[0])
    assert SPEARMAN.score(outcomes, None) == pytest.approx(stats.spearmanr(true, predicted)[0])
    assert MSE.score(outcomes, None) == pytest.approx(mean_squared_error(true, predicted))
    assert MAE.score(outcomes, None) == pytest.approx(mean_absolute_error(true, predicted))


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_weights_count_as_repeated_rows(outcomes, metric):
    weights = np.random.default_rng(9).integers(0, 4, len(outcomes))
    repeated = outcomes.take(np.repeat(np.arange(len(outcomes)), weights))
    assert metric.score(outcomes, weights) == pytest.approx(metric.score(repeated, None), rel=1e-12)


@pytest.mark.parametrize("metric", CORRELATIONS, ids=lambda metric: metric.name)
@pytest.mark.parametrize(
    ("targets", "predictions"),
    [
        ([0.1] * 7, np.arange(7.0)),
        (np.arange(7.0), [0.1] * 7),
        ([1.0], [2.0]),
        ([], []),
        ([1.0, 2.0, math.nan], [1.0, 2.0, 3.0]),
        ([1.0, 2.0, 3.0], [1.0, math.nan, 3.0]),
    ],
)
def test_correlation_that_is_not_defined_is_not_a_number_without_a_warning(
    metric, targets, predictions
):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(metric.score(make(targets, predictions), None))


@pytest.mark.parametrize("metric", CORRELATIONS, ids=lambda metric: metric.name)
def test_correlation_of_rows_that_are_alike_where_drawn_is_not_a_number(metric):
    outcomes = make([1.0, 1.0, 5.0], [1.0, 2.0, 3.0])
    assert math.isnan(metric.score(outcomes, np.array([2, 1, 0])))


@pytest.mark.parametrize("metric", [MSE, MAE], ids=lambda metric: metric.name)
def test_error_of_no_examples_is_not_a_number(metric):
    assert math.isnan(metric.score(make([], []), None))


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_correlation_does_not_depend_on_the_scale(scale):
    numbers = np.array([1.0, 2.0, 4.0, 3.0])
    assert PEARSON.score(make(numbers * scale, numbers), None) == pytest.approx(1.0)


def test_single_precision_predictions_are_measured_in_double_precision():
    targets = 1000 + np.arange(50) / 100
    predictions = (targets + np.random.default_rng(0).normal(size=50) / 100).astype(np.float32)
    expected = stats.pearsonr(targets, predictions.astype(np.float64))[0]
    assert PEARSON.score(make(targets, predictions), None) == pytest.approx(expected, rel=1e-12)


def test_columns_of_numbers_are_refused():
    with pytest.raises(ValueError, match=r"must be one number.*Received: shape \(3, 1\)"):
        MSE.score(make(np.zeros((3, 1)), np.zeros((3, 1))), None)


@pytest.mark.parametrize("weights", [None, np.array([0, 2, 1, 3, 1])])
def test_f1_of_a_threshold_is_scikit_learn_s(weights):
    outcomes = Outcomes(
        targets=np.array([1.0, 3.0, 4.5, 2.9, 5.0]), predictions=np.array([3.1, 3.0, 2.0, 1.0, 4.0])
    )
    expected = f1_score(outcomes.targets >= 3, outcomes.predictions >= 3, sample_weight=weights)
    assert f1_of_threshold(3).score(outcomes, weights) == pytest.approx(expected)
