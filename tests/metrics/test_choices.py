"""Metrics of multiple choice: places of the right choice, reports, answers that do not fit."""

import numpy as np
import pytest

from bert_tf.config import FinetuningConfig
from bert_tf.data.tables.table import Table
from bert_tf.metrics import choices as scores
from bert_tf.metrics.resampling import paired_bootstrap
from bert_tf.tasks.examples import Examples
from bert_tf.tasks.table import find_task

TASK = find_task("multiple_choice")(name="multiple_choice")
ANSWERS = {
    "choice": np.array([0, 3, 0], np.int32),
    "score": np.array([0.6, 0.4, 0.4]),
    "num_choices": np.array([2, 4, 3], np.int32),
    # The right ones: 1, 3, and 2, which is as likely as the first and so behind it.
    "probabilities": np.array([[0.6, 0.4, 0, 0], [0.3, 0.2, 0.1, 0.4], [0.4, 0.2, 0.4, 0]]),
}


@pytest.fixture
def examples() -> Examples:
    columns = {
        "text": ["a", "b", "c"],
        "choices": [["1", "2"], ["1", "2", "3", "4"], ["1", "2", "3"]],
        "label": ["B", "D", "C"],
    }
    return TASK.read(Table.from_columns(columns), FinetuningConfig())


def test_metrics_are_those_worked_out_by_hand(examples):
    outcomes = TASK.outcomes(examples, ANSWERS)
    assert scores.ranks(outcomes).tolist() == [2, 1, 2]
    assert scores.numbers_of_choices(outcomes).tolist() == [2, 4, 3]
    measured = TASK.measure(outcomes)
    assert measured["multiple_choice_accuracy"] == pytest.approx(1 / 3)
    assert measured["mean_reciprocal_rank"] == pytest.approx(2 / 3)
    weights = np.array([0, 3, 1])
    assert scores.ACCURACY.score(outcomes, weights) == pytest.approx(3 / 4)
    assert scores.MEAN_RECIPROCAL_RANK.score(outcomes, weights) == pytest.approx(3.5 / 4)
    assert np.isnan(scores.ACCURACY.score(outcomes.take([]), None))
    # 0.6 is never right, 0.4 once of twice.
    assert TASK.calibration_error(outcomes) == pytest.approx((0.6 + 2 * 0.1) / 3)


def test_the_report_tells_numbers_of_choices_and_places_of_the_right_one(examples, tmp_path):
    outcomes = TASK.outcomes(examples, ANSWERS)
    names = {"2 choices", "3 choices", "4 choices", "right choice 1", "right choice 3"}
    assert names < set(TASK.target_slices(outcomes))
    assert TASK.report(outcomes, tmp_path).files == ("choices.png", "choices.md")
    table = (tmp_path / "choices.md").read_text()
    assert "| 4 choices | 1 |" in table
    rows = {row["number"]: row for row in scores.place_rows(outcomes)}
    assert (rows["0"]["support"], rows["0"]["predicted"]) == (0, 2)
    assert (rows["3"]["support"], rows["3"]["predicted"], rows["3"]["accuracy"]) == (1, 1, 1.0)


def test_two_models_are_compared_on_the_same_examples(examples):
    better = {**ANSWERS, "choice": np.array([1, 3, 2], np.int32)}
    better["probabilities"] = np.array([[0.1, 0.9, 0, 0], [0, 0.1, 0, 0.9], [0, 0, 1.0, 0]])
    new, old = (TASK.outcomes(examples, answers) for answers in (better, ANSWERS))
    for metric in TASK.metrics:
        found = paired_bootstrap(metric, new, old, num_resamples=50)
        assert found.difference.value == pytest.approx(1 - metric.score(old, None)), "all are right"


def test_a_model_that_did_not_read_every_choice_is_not_measured(examples):
    answers = ANSWERS | {"num_choices": np.array([0, 4, 3], np.int32)}
    with pytest.raises(ValueError, match=r"every choice must be read\. Received: 2, of which"):
        TASK.outcomes(examples, answers)
    with pytest.raises(ValueError, match="must answer with a choice"):
        TASK.outcomes(examples, {"score": np.zeros(3)})
