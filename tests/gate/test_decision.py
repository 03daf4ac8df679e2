"""Each check of the gate: what passes, what fails, and what the decision says."""

import dataclasses
from collections import Counter

import numpy as np
import pytest

from bert_tf.config.gate import GateConfig
from bert_tf.data.inspection.text_profile import TextProfile, compare
from bert_tf.gate import decision
from bert_tf.gate.decision import slices
from bert_tf.gate.predictions import Predictions
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.tasks.classification import Classification

NUM_TEXTS = 600
GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.integers(0, 2, NUM_TEXTS)
LENGTHS = GENERATOR.integers(3, 60, NUM_TEXTS)
CLASSES = ("bad", "good")


def make_answers(*, wrong: object = (), confidence: float = 0.8, **changes: object) -> Predictions:
    """A model that is right but on the rows of `wrong`."""
    predictions = LABELS.copy()
    rows = np.array(wrong, dtype=int) if not isinstance(wrong, np.ndarray) else wrong
    predictions[rows] = 1 - predictions[rows]
    probabilities = np.full((NUM_TEXTS, 2), 1 - confidence, np.float32)
    probabilities[np.arange(NUM_TEXTS), predictions] = confidence
    outcomes = Outcomes(
        targets=LABELS, predictions=predictions, scores=probabilities, names=CLASSES
    )
    values = {
        "outcomes": outcomes,
        "lengths": LENGTHS,
        "profile": make_profile(),
        "latency_ms": 10.0,
        "size_bytes": 1_000_000,
    }
    return Predictions(**(values | changes))


def decide(*models: Predictions | None, **options: object) -> decision.Decision:
    return decision.decide(*models, task=Classification(), **options)


def make_profile(*, lengths=LENGTHS, num_unknown=100, labels=LABELS) -> TextProfile:
    counts = dict(Counter(CLASSES[label] for label in sorted(labels)))
    return TextProfile.of(lengths=lengths, num_unknown=num_unknown, label_counts=counts)


def failed(decision) -> list[str]:
    return [check.name for check in decision.checks if not check.has_passed]


def test_an_equal_model_passes_and_the_decision_shows_every_figure():
    decision = decide(
        make_answers(wrong=range(60)), make_answers(wrong=range(60)), config=GateConfig()
    )
    assert decision.has_passed
    assert decision.reason == f"all {len(decision.checks)} checks passed"
    report = decision.as_json()
    assert report["figures"]["challenger"]["accuracy"]["value"] == pytest.approx(0.9)
    assert report["figures"]["champion"]["accuracy"]["low"] < 0.9
    assert "| yes | accuracy minus the champion's |" in decision.as_markdown()


def test_a_worse_model_is_refused_unless_the_margin_allows_it():
    worse, champion = make_answers(wrong=range(0, 600, 10)), make_answers(wrong=range(0, 600, 12))
    decision = decide(worse, champion, config=GateConfig(slice_margin=0.1))
    assert failed(decision) == ["accuracy minus the champion's"]
    assert decision.reason == "accuracy minus the champion's is -0.01667, must be at least 0"
    assert decide(worse, champion, config=GateConfig(margin=0.02, slice_margin=0.1)).has_passed


def test_the_first_model_of_a_name_needs_its_minimum_only():
    answers = make_answers(wrong=range(0, 600, 10))
    assert decide(answers, None, config=GateConfig(minimum=0.85)).has_passed
    assert failed(decide(answers, None, config=GateConfig(minimum=0.95))) == ["accuracy"]


@pytest.mark.parametrize(("num_fewer_errors", "passes"), [(2, False), (40, True)])
def test_where_improvement_is_asked_for_chance_does_not_do(num_fewer_errors, passes):
    champion = make_answers(wrong=range(100))
    challenger = make_answers(wrong=[*range(num_fewer_errors, 95), *range(200, 205)])
    decision = decide(challenger, champion, config=GateConfig(needs_improvement=True))
    name = "share of paired resamples that are better"
    assert (name not in failed(decision)) == passes


def test_a_slice_that_became_worse_is_named_though_the_whole_did_not():
    longest = np.argsort(LENGTHS)[-60:]
    shortest = np.argsort(LENGTHS)[:60]
    decision = decide(
        make_answers(wrong=longest), make_answers(wrong=shortest), config=GateConfig()
    )
    assert failed(decision) == ["accuracy, longest third"]


def test_sources_are_slices_and_small_slices_are_not_judged():
    sources = ["web"] * 570 + ["mail"] * 30
    worse = make_answers(wrong=range(570, 600))
    config = GateConfig(margin=0.1, slice_margin=0.2, min_slice_size=50)
    assert decide(worse, make_answers(), config=config, sources=sources).has_passed
    config = config.model_copy(update={"min_slice_size": 30})
    decision = decide(worse, make_answers(), config=config, sources=sources)
    assert failed(decision) == ["accuracy, source mail"]
    assert set(slices(worse, Classification(), sources)) >= {
        "source web",
        "label bad",
        "shortest third",
    }


@pytest.mark.parametrize(
    ("changes", "options", "name"),
    [
        ({"latency_ms": 16.0}, {}, "latency by the champion's"),
        ({"latency_ms": 12.0}, {"max_latency_ms": 11.0}, "latency of one text, ms"),
        ({"size_bytes": 2_100_000}, {}, "size by the champion's"),
        ({"size_bytes": 1_600_000}, {"max_size_mb": 1.5}, "size, MB"),
        (
            {"confidence": 0.99, "wrong": range(0, 600, 10)},
            {"max_calibration_error": 0.05},
            "calibration error",
        ),
    ],
)
def test_ceilings(changes, options, name):
    champion = make_answers(wrong=changes.get("wrong", ()))
    decision = decide(make_answers(**changes), champion, config=GateConfig(**options))
    assert failed(decision) == [name]


@pytest.mark.parametrize(
    ("trained_on", "name"),
    [
        ({"lengths": LENGTHS + 20}, "drift of lengths"),
        ({"labels": np.zeros(NUM_TEXTS, int)}, "drift of labels"),
        ({"num_unknown": 2000}, "drift of unknown words"),
        ({}, None),
    ],
)
def test_texts_unlike_the_training_data_are_named(trained_on, name):
    decision = decide(
        make_answers(),
        make_answers(),
        config=GateConfig(),
        training_profile=make_profile(**trained_on),
    )
    assert failed(decision) == ([name] if name else [])


def test_a_difference_that_chance_explains_is_no_drift():
    few = TextProfile.of(lengths=[5, 6, 30], num_unknown=0, label_counts={"good": 2, "bad": 1})
    drifts = {drift.name: drift for drift in compare(few, make_profile())}
    assert drifts["lengths"].moved.size > 0.2
    assert drifts["lengths"].moved.p_value > 0.001
    assert decide(
        make_answers(), make_answers(), config=GateConfig(), training_profile=few
    ).has_passed


def test_classes_in_another_order_are_the_same_classes():
    champion = make_answers(wrong=range(60))
    outcomes = champion.outcomes
    turned = dataclasses.replace(
        champion,
        outcomes=Outcomes(
            targets=1 - LABELS,
            predictions=1 - outcomes.predictions,
            scores=outcomes.required_scores[:, ::-1],
            names=CLASSES[::-1],
        ),
    )
    one, other = (
        decide(make_answers(wrong=range(60)), c, config=GateConfig()) for c in (champion, turned)
    )
    assert one.as_json()["figures"]["champion"] == other.as_json()["figures"]["champion"]


def test_other_classes_are_an_error():
    outcomes = Outcomes(targets=LABELS, predictions=LABELS, names=("bad", "neutral"))
    champion = make_answers(outcomes=outcomes)
    with pytest.raises(ValueError, match=r"same classes. Received: bad, good and bad, neutral"):
        decide(make_answers(), champion, config=GateConfig())


def test_profile_survives_its_file(tmp_path):
    path = tmp_path / "profile.json"
    path.write_text(make_profile().as_json(), encoding="utf-8")
    assert TextProfile.read(path) == make_profile()
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="not a text profile"):
        TextProfile.read(path)


def test_drift_is_of_the_texts_as_the_champion_reads_them():
    other_vocabulary = make_answers(profile=make_profile(lengths=LENGTHS + 20))
    decision = decide(
        other_vocabulary, make_answers(), config=GateConfig(), training_profile=make_profile()
    )
    assert decision.has_passed
    decision = decide(
        make_answers(), other_vocabulary, config=GateConfig(), training_profile=make_profile()
    )
    assert failed(decision) == ["drift of lengths"]
