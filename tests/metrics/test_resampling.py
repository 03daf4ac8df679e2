"""Intervals of one model and of two, beside SciPy and beside recorded numbers."""

import tracemalloc

import numpy as np
import pytest
from scipy import stats

from bert_tf.metrics import classification, multi_label, regression
from bert_tf.metrics.classification import ACCURACY, MACRO_F1
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.metrics.resampling import Interval, bootstrap, paired_bootstrap

OPTIONS = {"num_resamples": 2000, "confidence": 0.9, "seed": 0}

# Classes, examples, share of right answers, seed; metric; value, low and high of one model;
# difference, low, high and share of better resamples of two. Recorded from the first
# implementation, which drew all resamples of class ids at once: gates must not change their minds.
RECORDED = [
    (
        (3, 400, 0.7, 0),
        "accuracy",
        (0.6875, 0.6525, 0.7301249999999999),
        (0.09750000000000003, 0.04199999999999996, 0.15012499999999998, 1.0),
    ),
    (
        (3, 400, 0.7, 0),
        "macro_f1",
        (0.6856544784580499, 0.6505822024192697, 0.7259253565437512),
        (0.09577407024147877, 0.03952928478139434, 0.14830270260241238, 1.0),
    ),
    (
        (5, 60, 0.6, 1),
        "accuracy",
        (0.5, 0.4, 0.6166666666666667),
        (0.0, -0.16666666666666663, 0.13333333333333336, 0.49),
    ),
    (
        (5, 60, 0.6, 1),
        "macro_f1",
        (0.3263157894736842, 0.2567242747748806, 0.38826422702373703),
        (0.029691973321496645, -0.06246493110683071, 0.10827076627621958, 0.71),
    ),
    (
        (2, 1000, 0.9, 2),
        "accuracy",
        (0.877, 0.861, 0.893),
        (0.07099999999999995, 0.04595000000000004, 0.09604999999999995, 1.0),
    ),
    (
        (2, 1000, 0.9, 2),
        "macro_f1",
        (0.8769851151989391, 0.8609922911487315, 0.8928983173885052),
        (0.07106274625136011, 0.04593768290460326, 0.09661643068396225, 1.0),
    ),
    (
        (4, 6, 0.5, 3),
        "accuracy",
        (0.6666666666666666, 0.3333333333333333, 0.8416666666666639),
        (0.5, 0.16666666666666666, 0.8333333333333334, 0.99),
    ),
    (
        (4, 6, 0.5, 3),
        "macro_f1",
        (0.2222222222222222, 0.16666666666666666, 0.25),
        (0.1388888888888889, 0.032708333333333325, 0.25, 0.975),
    ),
    (
        (40, 300, 0.5, 4),
        "accuracy",
        (0.44666666666666666, 0.4033333333333333, 0.4901666666666666),
        (0.03666666666666668, -0.023333333333333373, 0.09666666666666662, 0.8075),
    ),
    (
        (40, 300, 0.5, 4),
        "macro_f1",
        (0.42133763488833154, 0.3621420132718187, 0.44665751159853917),
        (0.03443690518885706, -0.017903567561979857, 0.0903582679849017, 0.825),
    ),
]


def draw(labels: np.ndarray, *, share_right: float, seed: int, num_classes: int = 3) -> Outcomes:
    return answer(labels, np.random.default_rng(seed), share_right, num_classes)


def answer(
    labels: np.ndarray, generator: np.random.Generator, share_right: float, num_classes: int
) -> Outcomes:
    is_right = generator.random(len(labels)) < share_right
    wrong = (labels + generator.integers(1, num_classes, len(labels))) % num_classes
    return with_predictions(labels, np.where(is_right, labels, wrong), num_classes)


def with_predictions(labels: np.ndarray, predictions: np.ndarray, num_classes: int = 3) -> Outcomes:
    names = tuple(map(str, range(num_classes)))
    return Outcomes(targets=labels, predictions=predictions, names=names)


def draw_numbers(*, noise: float, seed: int, size: int = 300) -> Outcomes:
    targets = np.random.default_rng(0).normal(size=size)
    noises = np.random.default_rng(seed).normal(size=size)
    return Outcomes(targets=targets, predictions=targets + noise * noises)


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 3, 400)


@pytest.mark.parametrize(
    ("case", "metric", "alone", "paired"), RECORDED, ids=lambda value: str(value)[:24]
)
def test_intervals_of_classes_are_the_recorded_ones(case, metric, alone, paired):
    num_classes, size, share_right, seed = case
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, num_classes, size)
    if num_classes == 5:
        labels = np.minimum(labels, 2)  # classes that are never there
    new = answer(labels, generator, share_right, num_classes)
    old = answer(labels, generator, share_right - 0.1, num_classes)
    options = {"num_resamples": 200, "confidence": 0.9, "seed": seed}
    metric = {"accuracy": ACCURACY, "macro_f1": MACRO_F1}[metric]
    interval = bootstrap(metric, new, **options)
    compared = paired_bootstrap(metric, new, old, **options)
    difference = compared.difference
    assert (interval.value, interval.low, interval.high) == alone
    assert (difference.value, difference.low, difference.high, compared.share_better) == paired


def test_interval_of_accuracy_equals_scipy_bootstrap(labels):
    outcomes = draw(labels, share_right=0.7, seed=1)
    is_right = outcomes.targets == outcomes.predictions
    ours = bootstrap(ACCURACY, outcomes, **OPTIONS)
    theirs = scipy_interval(is_right.astype(float))
    assert ours.value == pytest.approx(is_right.mean())
    assert (ours.low, ours.high) == pytest.approx(theirs, abs=0.006)


def test_interval_of_an_error_equals_scipy_bootstrap():
    outcomes = draw_numbers(noise=1.0, seed=1)
    ours = bootstrap(regression.MAE, outcomes, **OPTIONS)
    theirs = scipy_interval(np.abs(outcomes.predictions - outcomes.targets))
    assert (ours.low, ours.high) == pytest.approx(theirs, abs=0.006)


def scipy_interval(values: np.ndarray) -> tuple[float, float]:
    interval = stats.bootstrap(
        (values,), np.mean, confidence_level=0.9, n_resamples=2000, method="percentile", rng=1
    ).confidence_interval
    return interval.low, interval.high


def test_paired_interval_is_narrower_than_that_of_two_models_on_their_own(labels):
    old = draw(labels, share_right=0.7, seed=1)
    is_tenth = np.arange(len(labels)) % 10 == 0
    new = with_predictions(labels, np.where(is_tenth, labels, old.predictions))
    compared = paired_bootstrap(ACCURACY, new, old, **OPTIONS)
    alone = bootstrap(ACCURACY, new, **OPTIONS)
    difference = compared.difference
    assert difference.value > 0
    assert difference.low > 0
    assert compared.share_better > 0.99
    assert difference.high - difference.low < (alone.high - alone.low) / 2


def test_two_equal_models_are_better_in_half_of_the_resamples(labels):
    outcomes = draw(labels, share_right=0.7, seed=1)
    compared = paired_bootstrap(MACRO_F1, outcomes, outcomes, **OPTIONS)
    assert compared.share_better == 0.5
    assert compared.difference == Interval(0.0, 0.0, 0.0)


def test_a_lower_error_is_better_and_its_difference_negative():
    new, old = draw_numbers(noise=0.5, seed=1), draw_numbers(noise=1.0, seed=2)
    compared = paired_bootstrap(regression.MSE, new, old, **OPTIONS)
    assert compared.share_better > 0.99
    assert compared.difference.low < compared.difference.value < compared.difference.high < 0


def test_models_that_differ_in_labels_of_the_same_examples_are_compared():
    generator = np.random.default_rng(0)
    targets = generator.random((500, 4)) < 0.3
    names = ("a", "b", "c", "d")
    new, old = (
        Outcomes(
            targets=targets, predictions=targets ^ (generator.random((500, 4)) < p), names=names
        )
        for p in (0.05, 0.2)
    )
    compared = paired_bootstrap(multi_label.MICRO_F1, new, old, **OPTIONS)
    assert compared.difference.low > 0
    assert compared.share_better == 1.0


def test_metrics_of_scores_draw_examples_that_differ_in_scores_alone():
    scores = np.linspace(0.01, 0.99, 60)[:, None]
    targets = np.random.default_rng(0).random((60, 1)) < scores
    outcomes = Outcomes(
        targets=targets, predictions=np.ones_like(targets), scores=scores, names=("a",)
    )
    interval = bootstrap(multi_label.MACRO_ROC_AUC, outcomes, num_resamples=100)
    assert interval.low < interval.value < interval.high


def test_multinomial_draws_are_the_same_one_by_one_as_all_at_once():
    shares = np.array([0.0, 0.25, 0.75])
    at_once = np.random.default_rng(7).multinomial(90, shares, size=50)
    generator = np.random.default_rng(7)
    np.testing.assert_array_equal(at_once, [generator.multinomial(90, shares) for _ in range(50)])


def test_memory_does_not_grow_with_resamples():
    outcomes = draw_numbers(noise=1.0, seed=1, size=20_000)
    tracemalloc.start()
    bootstrap(regression.MSE, outcomes, num_resamples=200)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 20 * outcomes.targets.nbytes


def test_resamples_without_a_value_are_left_out():
    outcomes = Outcomes(targets=np.array([0.0, 1.0, 3.0]), predictions=np.array([0.0, 2.0, 1.0]))
    interval = bootstrap(regression.PEARSON, outcomes, num_resamples=200)
    assert -1.0 <= interval.low < interval.high <= 1.0


def test_a_metric_without_a_value_has_no_interval_and_is_not_better():
    outcomes = Outcomes(targets=np.ones(5), predictions=np.arange(5.0))
    interval = bootstrap(regression.PEARSON, outcomes, num_resamples=20)
    compared = paired_bootstrap(regression.PEARSON, outcomes, outcomes, num_resamples=20)
    assert np.isnan([interval.value, interval.low, interval.high]).all()
    assert np.isnan([compared.difference.value, compared.share_better]).all()


def test_no_examples_have_no_interval():
    with pytest.raises(ValueError, match=r"interval of accuracy needs examples. Received: none"):
        bootstrap(classification.ACCURACY, with_predictions(np.array([], int), np.array([], int)))


def test_models_on_other_examples_are_not_compared(labels):
    outcomes = draw(labels, share_right=0.7, seed=1)
    other = draw(labels[::-1], share_right=0.7, seed=1)
    with pytest.raises(ValueError, match=r"Received: other targets, 400 and 400 of them. Ask both"):
        paired_bootstrap(ACCURACY, outcomes, other, **OPTIONS)
