"""A number for each text: reading, range, loss, slices, drift."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import FinetuningConfig, ModelConfig
from bert_tf.data.tables.table import Table
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.regression import Regression, RegressionObjective
from bert_tf.training.engine.objective import summarize
from tests.labelled import make_examples


def task(**settings) -> Regression:
    return Regression.with_options(settings, name="regression")


def describe(of: Regression) -> ModelDescription:
    return ModelDescription(
        kind="regression",
        architecture=ModelConfig(size="tiny", vocab_size=10),
        max_seq_length=8,
        **of.learn(make_examples(["a", "b"], [0.0, 1.0])),
    )


def test_scores_outside_of_the_range_are_named_with_their_row():
    table = Table.from_columns({"text": ["x", "y"], "label": ["4.5", "5.5"]})
    of = task(range=[0, 5])
    with pytest.raises(ValueError, match=r"row 2: a score must be from 0 to 5 .*Received: 5\.5"):
        of.read(table, FinetuningConfig())
    assert task().read(table, FinetuningConfig()).targets == [4.5, 5.5]


def test_a_range_is_least_then_greatest():
    with pytest.raises(ValueError, match=r"least and then the greatest score. Received: 5 and 0"):
        task(range=[5, 0])


def test_answers_stay_within_the_range():
    of = task(range=[0, 5])
    scores = of.decode(tf.constant([[-1.0], [2.5], [7.0]]), describe(of))["score"]
    np.testing.assert_array_equal(scores, [0.0, 2.5, 5.0])
    free = task()
    np.testing.assert_array_equal(free.decode(tf.constant([[7.0]]), describe(free))["score"], [7.0])


def test_the_loss_is_the_mean_of_squared_errors_of_real_texts():
    batch = {"labels": tf.constant([1.0, 4.0, 9.0]), "weights": tf.constant([1.0, 1.0, 0.0])}
    objective = RegressionObjective()
    sums = objective.sums(tf.constant([[2.0], [2.0], [0.0]]), batch)
    metrics = summarize(sums, objective.weights(batch))
    assert metrics["loss"] == pytest.approx((1 + 4) / 2, rel=1e-4)
    assert not any(name.endswith("accuracy") for name in metrics)


def test_one_score_for_every_text_is_refused():
    with pytest.raises(ValueError, match=r"needs different scores. Received: 2 for every text"):
        task().learn(make_examples(["a", "b"], [2.0, 2.0]))


def test_slices_are_thirds_of_the_targets():
    outcomes = Outcomes(targets=np.arange(9.0), predictions=np.arange(9.0))
    named = task().target_slices(outcomes)
    assert [rows.sum() for rows in named.values()] == [3, 3, 3]
    assert named["highest third of targets"][-1]


def test_drift_of_scores_is_told_from_their_bins():
    of = task(range=[0, 5])
    draw = np.random.default_rng(0)
    low, high = (draw.uniform(a, b, 2000) for a, b in ((0, 5), (2, 5)))
    before, now = (of.target_counts(make_examples(["x"] * 2000, list(v))) for v in (low, high))
    assert len(before) == 20
    moved = of.compare_targets(before, now)
    assert 0.3 < moved.size < 0.5
    assert moved.p_value < 1e-6
    assert of.compare_targets(before, before).size == 0.0


def test_two_answers_agree_within_a_share_of_the_range():
    of = task(range=[0, 5])
    assert of.disagreement({"score": 2.0}, {"score": 2.09}, tolerance=0.02) is None
    found = of.disagreement({"score": 2.0}, {"score": 2.2}, tolerance=0.02)
    assert found == "2.0000 is answered with 2.2000"
