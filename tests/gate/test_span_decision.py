"""The gate on labelled spans: sliced, compared and refused as other outcomes are."""

import dataclasses

import numpy as np
import pytest

from bert_tf.config.gate import GateConfig
from bert_tf.data.inspection.text_profile import TextProfile
from bert_tf.gate import decision
from bert_tf.gate.predictions import Predictions
from bert_tf.metrics.entities import EXACT_MATCH, MACRO_F1, MICRO_F1
from bert_tf.metrics.spans import span_outcomes
from bert_tf.tasks.classification import Classification

NAMES = ("PS", "LC")
TEXTS = ["이순신 서울"] * 200 + ["부산"] * 100
SPANS = [[(0, 3, "PS"), (4, 6, "LC")]] * 200 + [[(0, 2, "LC")]] * 100
LENGTHS = np.repeat([3, 2], [200, 100])


class SpanTask(Classification):
    """What the gate asks of a task, for spans."""

    metrics = (MICRO_F1, MACRO_F1)
    slice_metric = EXACT_MATCH

    def aligned(self, outcomes, other):
        return dataclasses.replace(outcomes, names=other.names)

    def calibration_error(self, outcomes):
        return None

    def target_slices(self, outcomes):
        return {
            f"label {name}": np.array(
                [any(label == name for *_, label in spans) for spans in outcomes.targets]
            )
            for name in outcomes.names
        }


def make_answers(*, missing: range, names=NAMES, spans=SPANS) -> Predictions:
    """A model that finds all spans but those of some texts."""
    found = [[] if row in missing else row_spans for row, row_spans in enumerate(spans)]
    return Predictions(
        outcomes=span_outcomes(spans, predictions=found, texts=TEXTS, names=names),
        lengths=LENGTHS,
        profile=TextProfile.of(lengths=LENGTHS, num_unknown=0, label_counts={"PS": 200}),
        latency_ms=10.0,
        size_bytes=1_000_000,
    )


def decide(challenger: Predictions, champion: Predictions) -> decision.Decision:
    config = GateConfig(num_resamples=100)
    return decision.decide(challenger, champion, task=SpanTask(), config=config)


def test_an_equal_model_with_its_labels_in_another_order_passes():
    ours = make_answers(missing=range(20))
    decided = decide(ours, make_answers(missing=range(20), names=NAMES[::-1]))
    assert decided.has_passed
    slices = decided.as_json()["figures"]["challenger"]["slices"]
    assert slices["label PS"] == pytest.approx(0.9)
    assert slices["label LC"] == pytest.approx(280 / 300)


def test_a_model_that_lost_one_label_fails_by_its_slice():
    decided = decide(make_answers(missing=range(200, 220)), make_answers(missing=range(20)))
    failed = {check.name for check in decided.checks if not check.has_passed}
    assert failed == {"exact_match, shortest third"}


def test_a_worse_model_fails():
    decided = decide(make_answers(missing=range(40)), make_answers(missing=range(20)))
    assert "micro_f1 minus the champion's" in decided.reason


def test_models_with_other_true_spans_are_refused():
    other = make_answers(missing=range(20), spans=[SPANS[0][:1], *SPANS[1:]])
    with pytest.raises(ValueError, match=r"must have answered the same texts"):
        decide(make_answers(missing=range(20)), other)
