"""Several labels at once: reading, thresholds, answers, the loss beside PyTorch's by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import FinetuningConfig, ModelConfig
from bert_tf.data.tables.table import Table
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.multi_label import MultiLabel, MultiLabelObjective
from bert_tf.training.engine.objective import summarize
from tests.labelled import make_examples

SECTION = FinetuningConfig()


def task(**settings) -> MultiLabel:
    return MultiLabel.with_options(settings, name="multi_label")


def describe(of: MultiLabel, targets) -> ModelDescription:
    return ModelDescription(
        kind="multi_label",
        architecture=ModelConfig(size="tiny", vocab_size=10),
        max_seq_length=8,
        **of.learn(make_examples(["a"] * len(targets), targets)),
    )


def test_labels_are_read_from_columns_of_0_and_1_or_from_names():
    columns = {"text": ["x", "y", "z"], "spam": [1, 0, 0], "rude": ["1", "1", "0"]}
    table = Table.from_columns(columns)
    examples = task(label_fields=["spam", "rude"]).read(table, SECTION)
    assert examples.targets == [("spam", "rude"), ("rude",), ()]
    table = Table.from_columns({"text": ["x", "y", "z"], "label": ["rude; spam", "rude", ""]})
    assert task(separator=";").read(table, SECTION).targets == [("rude", "spam"), ("rude",), ()]


def test_a_flag_that_is_none_is_named_with_its_row():
    table = Table.from_columns({"text": ["x", "y"], "spam": [1, 2]})
    with pytest.raises(ValueError, match=r"row 2.*Received: 2"):
        task(label_fields=["spam"]).read(table, SECTION)


def test_the_order_of_label_fields_is_that_of_the_outputs():
    of = task(label_fields=["spam", "rude"])
    assert describe(of, [("rude",), ()]).class_names == ("spam", "rude")
    assert describe(task(), [("b",), ("a", "b")]).class_names == ("a", "b")


def test_the_loss_is_the_mean_over_texts_and_labels():
    objective = MultiLabelObjective()
    batch = {
        "labels": tf.constant([[1.0, 0.0], [1.0, 1.0]]),
        "weights": tf.constant([1.0, 0.0]),  # the second fills the batch up
    }
    logits = tf.constant([[math.log(3.0), 0.0], [5.0, 5.0]])
    weights = objective.weights(batch)
    metrics = summarize(objective.sums(logits, batch), weights)
    # Probabilities 3/4 and 1/2: -ln(3/4) and -ln(1/2), over two labels.
    assert metrics["loss"] == pytest.approx((math.log(4 / 3) + math.log(2)) / 2, rel=1e-4)
    # A score of 0 is not above the threshold: both decisions are right.
    assert metrics["multi_label_accuracy"] == 1.0


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [(0.5, [0.5, 0.5]), (0.7, [0.7, 0.7]), ({"b": 0.2}, [0.5, 0.2]), ("tuned", [0.5, 0.5])],
)
def test_thresholds_are_given_for_all_or_for_some(thresholds, expected):
    of = task(thresholds=thresholds)
    answers = of.decode(tf.constant([[0.0, -1.0]]), describe(of, [("a",), ("b",)]))
    np.testing.assert_allclose(answers["thresholds"], [expected])
    probabilities = [0.5, 1 / (1 + math.e)]
    np.testing.assert_allclose(answers["probabilities"], [probabilities], rtol=1e-6)
    held = [p >= t for p, t in zip(probabilities, expected, strict=True)]
    assert answers["predicted"].numpy().tolist() == [held]


def test_tuned_thresholds_are_kept_in_the_description_and_change_the_answers():
    of = task(thresholds="tuned")
    description = describe(of, [("a",), ("b",)])
    outcomes = Outcomes(
        targets=np.array([[True, False], [True, True], [False, False]]),
        predictions=np.zeros((3, 2), bool),
        scores=np.array([[0.3, 0.1], [0.4, 0.9], [0.1, 0.2]]),
        names=("a", "b"),
    )
    tuned = of.tune(outcomes, description)
    assert tuned.task_state["thresholds"] == pytest.approx([0.2, 0.55])
    again = ModelDescription.model_validate_json(tuned.as_json())
    logits = tf.constant([[-1.0, 0.0]])  # probabilities 0.27 and 0.5
    assert of.decode(logits, again)["predicted"].numpy().tolist() == [[True, False]]
    assert of.tune(outcomes, description).task_state != description.task_state
    assert task().tune(outcomes, description) == description


def test_a_threshold_of_an_unknown_label_is_refused():
    with pytest.raises(ValueError, match=r"must name labels of .*: a, b. Received: c"):
        describe(task(thresholds={"c": 0.3}), [("a",), ("b",)])


def test_a_setting_that_is_none_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"treshold is not a setting. Did you mean thresholds"):
        task(treshold=0.3)


def test_labels_that_the_model_does_not_have_are_named():
    of = task()
    description = describe(of, [("a",), ("b",)])
    with pytest.raises(ValueError, match=r"row 2: every label must be .*a, b. Received: 'c'"):
        of.check(make_examples(["x", "y"], [("a",), ("c",)]), description)


def test_two_answers_agree_when_no_probability_is_far():
    of, one = task(), {"probabilities": [0.2, 0.9], "labels": ["a", "b"]}
    assert of.disagreement(one, one, tolerance=0.02) is None
    other = one | {"probabilities": [0.2, 0.8]}
    assert of.disagreement(one, other, tolerance=0.02) == "b (0.9000) is answered with 0.8000"
