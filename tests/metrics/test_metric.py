"""Direction and names of a metric."""

import dataclasses

import pytest

from bert_tf.metrics import answers, classification, entities, multi_label, regression
from bert_tf.metrics.metric import Metric

MODULES = (classification, multi_label, regression, entities, answers)
ALL = [value for module in MODULES for value in vars(module).values() if isinstance(value, Metric)]


def test_better_is_positive_in_the_direction_of_the_metric():
    assert classification.ACCURACY.better(0.75, 0.5) == 0.25
    assert regression.MSE.better(0.75, 0.5) == -0.25


def test_the_key_is_the_name_unless_it_is_given():
    metric = dataclasses.replace(classification.MACRO_F1, name="f1_of_all", key="")
    assert metric.key == "f1_of_all"
    assert classification.ACCURACY.key == "classification_accuracy"


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.title)
def test_errors_alone_are_better_when_lower(metric):
    assert metric.is_higher_better == ("error" not in metric.title)


def test_metrics_of_a_kind_of_target_have_names_of_their_own():
    assert len(ALL) == 30
    for module in MODULES:
        names = [value.name for value in vars(module).values() if isinstance(value, Metric)]
        assert len(names) == len(set(names))
