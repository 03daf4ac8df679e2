"""Metrics, calibration and the bootstrap, beside scikit-learn and SciPy."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from bert_tf.metrics import statistics

OPTIONS = {"num_classes": 3, "num_resamples": 2000, "confidence": 0.9, "seed": 0}


def draw(*, share_right: float, seed: int, labels: np.ndarray) -> np.ndarray:
    generator = np.random.default_rng(seed)
    is_right = generator.random(len(labels)) < share_right
    return np.where(is_right, labels, (labels + generator.integers(1, 3, len(labels))) % 3)


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 3, 400)


def test_macro_f1_equals_scikit_learn(labels):
    predictions = draw(share_right=0.7, seed=1, labels=labels)
    expected = f1_score(labels, predictions, average="macro")
    assert statistics.metric("macro_f1", labels, predictions, num_classes=3) == pytest.approx(
        expected
    )


def test_interval_of_accuracy_equals_scipy_bootstrap(labels):
    predictions = draw(share_right=0.7, seed=1, labels=labels)
    ours = statistics.bootstrap("accuracy", labels, predictions, **OPTIONS)
    theirs = stats.bootstrap(
        ((labels == predictions).astype(float),),
        np.mean,
        confidence_level=0.9,
        n_resamples=2000,
        method="percentile",
        rng=1,
    ).confidence_interval
    assert ours.value == pytest.approx((labels == predictions).mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.006)


def test_paired_interval_is_narrower_than_that_of_two_models_on_their_own(labels):
    old = draw(share_right=0.7, seed=1, labels=labels)
    new = np.where(np.arange(len(labels)) % 10 == 0, labels, old)  # right on some more
    compared = statistics.paired_bootstrap("accuracy", labels, new, old, **OPTIONS)
    alone = statistics.bootstrap("accuracy", labels, new, **OPTIONS)
    difference = compared.difference
    assert difference.value > 0
    assert difference.low > 0
    assert compared.share_better > 0.99
    assert difference.high - difference.low < (alone.high - alone.low) / 2


def test_two_equal_models_are_better_in_half_of_the_resamples(labels):
    predictions = draw(share_right=0.7, seed=1, labels=labels)
    compared = statistics.paired_bootstrap("macro_f1", labels, predictions, predictions, **OPTIONS)
    assert compared.share_better == 0.5
    assert compared.difference == statistics.Interval(0.0, 0.0, 0.0)


def test_calibration_error_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    labels = np.array([0, 1, 1, 1])
    # Of two answers with 0.9 one is right, of two with 0.6 both are.
    expected = 0.5 * abs(0.9 - 0.5) + 0.5 * abs(0.6 - 1.0)
    assert statistics.calibration_error(labels, probabilities) == pytest.approx(expected)


def test_certain_and_right_is_calibrated():
    assert statistics.calibration_error(np.array([0, 1]), np.eye(2)) == 0.0
