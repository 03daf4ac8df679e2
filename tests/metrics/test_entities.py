"""Metrics of labelled spans, beside seqeval on their IOB2 tags and scikit-learn on characters."""

import dataclasses
import math
import time
import warnings

import numpy as np
import pytest
from seqeval.metrics import classification_report, f1_score, precision_score, recall_score
from seqeval.scheme import IOB2
from sklearn.metrics import f1_score as sklearn_f1_score

from bert_tf.metrics import entities
from bert_tf.metrics.entities import (
    CHARACTER_MACRO_F1,
    EXACT_MATCH,
    KLUE_CHARACTER_MACRO_F1,
    MACRO_F1,
    MICRO_F1,
    PRECISION,
    RECALL,
    TOKEN_ACCURACY,
    confusion_rows,
    confusions,
    label_rows,
)
from bert_tf.metrics.metric import Metric
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.metrics.pictures import draw_confusion_matrix, draw_label_bars
from bert_tf.metrics.resampling import bootstrap, paired_bootstrap
from bert_tf.metrics.tables import markdown_table
from tests.metrics.random_spans import NAMES, draw, iob2, make, shown_tags

ALL = [metric for metric in vars(entities).values() if isinstance(metric, Metric)]
MODES = ({}, {"mode": "strict", "scheme": IOB2})
EQUAL = {"rel": 1e-12, "abs": 1e-12, "nan_ok": True}


def call_seqeval(score, outcomes: Outcomes, *, average: str, **mode) -> float:
    """With its own default for what is not defined, of which it warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(score(*iob2(outcomes), average=average, **mode))


def call_sklearn(outcomes: Outcomes, *, labels=None, zero_division=0.0) -> float:
    """Over the tags that are there, but O."""
    true, predicted = shown_tags(outcomes)
    labels = sorted({*true, *predicted} - {"O"}) if labels is None else labels
    if not labels:
        return math.nan
    return float(
        sklearn_f1_score(
            true, predicted, labels=labels, average="macro", zero_division=zero_division
        )
    )


def klue_f1(outcomes: Outcomes) -> float:
    """`klue_ner_char_macro_f1` of KLUE-baseline: all tags of the model, O among them."""
    tags = [f"{prefix}-{name}" for name in outcomes.names for prefix in "BI"]
    return call_sklearn(outcomes, labels=[*tags, "O"], zero_division=1.0)


REFERENCES = {
    MICRO_F1: lambda outcomes: call_seqeval(f1_score, outcomes, average="micro"),
    MACRO_F1: lambda outcomes: call_seqeval(f1_score, outcomes, average="macro"),
    PRECISION: lambda outcomes: call_seqeval(precision_score, outcomes, average="micro"),
    RECALL: lambda outcomes: call_seqeval(recall_score, outcomes, average="micro"),
    CHARACTER_MACRO_F1: call_sklearn,
    KLUE_CHARACTER_MACRO_F1: klue_f1,
}


def name_of(metric: Metric) -> str:
    return metric.name


@pytest.mark.parametrize("mode", MODES, ids=("default", "strict"))
def test_a_thousand_sets_of_spans_score_as_in_seqeval(mode):
    num_undefined = 0
    for seed in range(1000):
        outcomes = draw(seed=seed, num_texts=1 + seed % 6)
        for metric, score, average in (
            (MICRO_F1, f1_score, "micro"),
            (MACRO_F1, f1_score, "macro"),
            (PRECISION, precision_score, "micro"),
            (RECALL, recall_score, "micro"),
        ):
            expected = call_seqeval(score, outcomes, average=average, **mode)
            assert metric.score(outcomes, None) == pytest.approx(expected, **EQUAL), (seed, metric)
            num_undefined += math.isnan(expected)
    assert 0 < num_undefined < 500


@pytest.mark.parametrize("mode", MODES, ids=("default", "strict"))
def test_rows_of_labels_are_those_of_seqevals_report(mode):
    for seed in range(20):
        outcomes = draw(seed=seed, num_texts=50)
        report = classification_report(*iob2(outcomes), output_dict=True, zero_division=0, **mode)
        for row in label_rows(outcomes):
            theirs = report[row["name"]]
            assert row["support"] == theirs["support"]
            for ours, name in (("precision",) * 2, ("recall",) * 2, ("f1", "f1-score")):
                assert row[ours] == pytest.approx(theirs[name], **EQUAL)
        assert MICRO_F1.score(outcomes, None) == pytest.approx(report["micro avg"]["f1-score"])
        assert MACRO_F1.score(outcomes, None) == pytest.approx(report["macro avg"]["f1-score"])


def test_characters_score_as_in_scikit_learn():
    for seed in range(300):
        outcomes = draw(seed=seed, num_texts=1 + seed % 40)
        for metric in (CHARACTER_MACRO_F1, KLUE_CHARACTER_MACRO_F1):
            if shown_tags(outcomes)[0]:
                expected = REFERENCES[metric](outcomes)
                assert metric.score(outcomes, None) == pytest.approx(expected, **EQUAL), seed


def test_exact_match_is_the_share_of_texts_with_equal_spans():
    outcomes = draw(seed=0, num_texts=200)
    pairs = zip(outcomes.targets, outcomes.predictions, strict=True)
    is_equal = [true == predicted for true, predicted in pairs]
    assert 0.1 < EXACT_MATCH.score(outcomes, None) < 0.9
    assert EXACT_MATCH.score(outcomes, None) == np.mean(is_equal)


def test_accuracy_of_words_counts_those_with_the_right_label():
    words = [[(0, 2, "PS"), (3, 4, "LC"), (4, 6, "LC")], [(1, 2, "OG")]]
    answers = [[(0, 2, "PS"), (3, 4, "OG"), (4, 6, "LC")], [(1, 2, "OG")]]
    joined = [[(0, 2, "PS"), (3, 6, "LC")], [(1, 2, "OG")]]
    assert TOKEN_ACCURACY.score(make(words, answers), None) == 3 / 4
    assert TOKEN_ACCURACY.score(make(words, joined), None) == 2 / 4


@pytest.mark.parametrize("metric", ALL, ids=name_of)
def test_weights_count_as_repeated_rows(metric):
    outcomes = draw(seed=3, num_texts=80)
    weights = np.random.default_rng(9).integers(0, 4, len(outcomes))
    repeated = outcomes.take(np.repeat(np.arange(len(outcomes)), weights))
    assert metric.score(outcomes, weights) == pytest.approx(metric.score(repeated, None), **EQUAL)


@pytest.mark.parametrize("metric", REFERENCES, ids=name_of)
def test_interval_equals_that_of_a_loop_over_resampled_texts(metric):
    outcomes = draw(seed=5, num_texts=12)
    interval = bootstrap(metric, outcomes, num_resamples=100, confidence=0.9, seed=7)
    generator = np.random.default_rng(7)
    resamples = (outcomes.take(generator.integers(0, 12, 12)) for _ in range(100))
    values = [REFERENCES[metric](resample) for resample in resamples]
    low, high = np.percentile(values, [5, 95])
    assert interval.value == pytest.approx(REFERENCES[metric](outcomes), **EQUAL)
    assert (interval.low, interval.high) == pytest.approx((low, high), **EQUAL)
    assert interval.low < interval.value < interval.high


def test_a_better_model_is_better_in_nearly_all_resamples():
    worse = draw(seed=1, num_texts=300)
    predictions = worse.predictions.copy()
    predictions[::2] = worse.targets[::2]
    better = dataclasses.replace(worse, predictions=predictions, names=NAMES[::-1])
    for metric in ALL:
        compared = paired_bootstrap(metric, better, worse, num_resamples=200)
        assert compared.difference.low > 0, metric.name
        assert compared.share_better > 0.99, metric.name


def test_models_with_other_true_spans_are_not_compared():
    ours = make([[(0, 2, "PS")], []], [[], []])
    for other in ([[(0, 3, "PS")], []], [[(0, 2, "LC")], []], [[], [(0, 2, "PS")]]):
        with pytest.raises(ValueError, match=r"Received: other targets, 2 and 2 of them"):
            paired_bootstrap(MICRO_F1, ours, make(other, [[], []]))


def test_a_label_that_is_not_drawn_is_left_out_of_the_mean():
    outcomes = make([[(0, 2, "PS")], [(0, 2, "LC")]], [[(0, 2, "PS")], []])
    assert MACRO_F1.score(outcomes, None) == 0.5
    assert MACRO_F1.score(outcomes, np.array([2, 0])) == 1.0
    assert CHARACTER_MACRO_F1.score(outcomes, np.array([2, 0])) == 1.0
    assert KLUE_CHARACTER_MACRO_F1.score(outcomes, np.array([2, 0])) == 1.0


NOTHING: list[list] = [[], []]
SOME = [[(0, 2, "PS")], [(3, 5, "PS"), (6, 7, "PS")]]


@pytest.mark.parametrize(
    ("targets", "predictions", "expected"),
    [
        # micro F1, macro F1, precision, recall, exact match, accuracy of words, of characters
        (NOTHING, NOTHING, (0.0, math.nan, 0.0, 0.0, 1.0, math.nan, math.nan)),
        (NOTHING, SOME, (0.0, 0.0, 0.0, 0.0, 0.0, math.nan, 0.0)),
        (SOME, NOTHING, (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)),
        (SOME, SOME, (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)),
        ([], [], (0.0, math.nan, 0.0, 0.0, math.nan, math.nan, math.nan)),
    ],
    ids=("neither", "no true", "no predicted", "one label", "no texts"),
)
def test_what_is_not_defined_is_as_in_seqeval(targets, predictions, expected):
    outcomes = make(targets, predictions)
    metrics = (MICRO_F1, MACRO_F1, PRECISION, RECALL, EXACT_MATCH)
    metrics = (*metrics, TOKEN_ACCURACY, CHARACTER_MACRO_F1)
    scores = [metric.score(outcomes, None) for metric in metrics]
    assert scores == pytest.approx(expected, nan_ok=True)
    if targets:
        theirs = [REFERENCES[metric](outcomes) for metric in metrics[:4]]
        assert scores[:4] == pytest.approx(theirs, nan_ok=True)


def test_a_tag_that_is_nowhere_is_right_in_klues_code():
    assert KLUE_CHARACTER_MACRO_F1.score(make(NOTHING, NOTHING), None) == 1.0
    assert math.isnan(KLUE_CHARACTER_MACRO_F1.score(make([], []), None))
    # Of nine tags B-PS and I-PS are wrong; O is right for 15 of 20 characters.
    lost = KLUE_CHARACTER_MACRO_F1.score(make(SOME, NOTHING), None)
    assert lost == pytest.approx((0 + 0 + 2 * 15 / 35 + 6) / 9)


def test_labels_that_are_nowhere_have_rows_of_zeros():
    rows = label_rows(make(SOME, NOTHING))
    assert [row["name"] for row in rows] == list(NAMES)
    assert [(row["support"], row["predicted"]) for row in rows] == [(3, 0), *[(0, 0)] * 3]
    assert {row[column] for row in rows for column in ("precision", "recall", "f1")} == {0.0}


def test_labels_taken_for_others_are_counted_where_the_place_is_right():
    targets = [[(0, 1, "PS"), (2, 3, "PS"), (4, 5, "PS"), (6, 8, "LC")], [(0, 2, "OG")]]
    answers = [[(0, 1, "OG"), (2, 3, "OG"), (4, 5, "PS"), (6, 7, "PS")], [(0, 2, "LC")]]
    outcomes = make(targets, answers)
    assert confusion_rows(outcomes) == [
        {"true": "PS", "predicted": "OG", "spans": 2, "share": 2 / 3},
        {"true": "OG", "predicted": "LC", "spans": 1, "share": 1.0},
    ]
    expected = np.zeros((4, 4), int)
    expected[0, 0], expected[0, 2], expected[2, 1] = 1, 2, 1
    np.testing.assert_array_equal(confusions(outcomes).toarray(), expected)
    assert "| PS | OG | 2 | 0.6667 |" in markdown_table(confusion_rows(outcomes))


def test_a_model_without_confusions_has_no_rows():
    assert confusion_rows(make(SOME, SOME)) == confusion_rows(make([], [])) == []
    assert confusions(make([], [])).shape == (4, 4)


def test_bars_and_confusions_are_drawn(tmp_path):
    outcomes = draw(seed=0, num_texts=100)
    draw_label_bars(label_rows(outcomes), tmp_path / "a.png", title="spans", counted="spans")
    draw_label_bars(label_rows(outcomes), tmp_path / "b.png", title="spans")
    draw_confusion_matrix(confusions(outcomes), NAMES, tmp_path / "c.png", title="confusions")
    pictures = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    assert len(set(pictures)) == 3


@pytest.mark.parametrize("metric", ALL, ids=name_of)
def test_a_thousand_resamples_of_five_thousand_texts_take_seconds(metric, large):
    started_at = time.perf_counter()
    bootstrap(metric, large, num_resamples=1000)
    assert time.perf_counter() - started_at < 10


@pytest.fixture(scope="module")
def large() -> Outcomes:
    """Texts of 50 characters with 5 spans of 15 labels."""
    generator = np.random.default_rng(0)
    names = tuple(f"label {index}" for index in range(15))
    labels = generator.choice(names, (2, 5000, 5))
    is_right = generator.random((5000, 5)) < 0.8
    labels[1][is_right] = labels[0][is_right]
    targets, predictions = (
        [[(10 * i, 10 * i + 4, str(label)) for i, label in enumerate(row)] for row in side]
        for side in labels
    )
    return make(targets, predictions, texts=["가나다라마 바사아자" * 5] * 5000, names=names)
