"""Metrics of answers, beside a slow reading of the published rules."""

import math
import re
import string
import time

import numpy as np
import pytest

from bert_tf.metrics.answers import (
    EXACT_MATCH,
    F1,
    HAS_ANSWER_F1,
    KLUE_EXACT_MATCH,
    KLUE_ROUGE_W,
    KORQUAD_EXACT_MATCH,
    KORQUAD_F1,
    NO_ANSWER_ACCURACY,
    answer_outcomes,
    example_scores,
    has_answer,
)
from bert_tf.metrics.metric import Metric
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.metrics.resampling import bootstrap, paired_bootstrap
from tests.metrics.random_answers import draw_answers, draw_outcomes

ALL = (
    *(EXACT_MATCH, F1, KORQUAD_EXACT_MATCH, KORQUAD_F1, KLUE_ROUGE_W),
    *(HAS_ANSWER_F1, NO_ANSWER_ACCURACY),
)
EQUAL = {"rel": 0, "abs": 1e-12, "nan_ok": True}


def name_of(metric: Metric) -> str:
    return metric.name


def make(targets: list[list[str]], predictions: list[str]) -> Outcomes:
    return answer_outcomes(targets, predictions=predictions)


# --- the published rules, one question at a time


def normalized(text: str, *, is_korean: bool) -> list[str]:
    if is_korean:
        for sign in "'\"《》<>〈〉()‘’":
            text = text.replace(sign, " ")
    kept = "".join(sign for sign in text.lower() if sign not in string.punctuation)
    words = kept.split()
    if is_korean:
        return words
    return " ".join(re.split(r"\b(?:a|an|the)\b", kept)).split()


def shared_f1(true: list[str], predicted: list[str]) -> float:
    rest = list(true)
    num_shared = 0
    for unit in predicted:
        if unit in rest:
            rest.remove(unit)
            num_shared += 1
    if not num_shared:
        return 0.0
    precision, recall = num_shared / len(predicted), num_shared / len(true)
    return 2 * precision * recall / (precision + recall)


def squad_scores(texts: tuple[str, ...], predicted: str) -> tuple[float, float]:
    """Exact match and F1 of SQuAD 2.0."""
    answer = normalized(predicted, is_korean=False)
    true = [normalized(text, is_korean=False) for text in texts]
    true = [words for words in true if words] or [[]]
    f1 = [shared_f1(words, answer) if words and answer else words == answer for words in true]
    return float(answer in true), float(max(f1))


def korquad_scores(texts: tuple[str, ...], predicted: str) -> tuple[float, float]:
    answer = normalized(predicted, is_korean=True)
    true = [normalized(text, is_korean=True) for text in texts]
    if not true:
        return float(not answer), float(not answer)
    characters = ["".join(words) for words in (*true, answer)]
    f1 = [shared_f1([*text], [*characters[-1]]) for text in characters[:-1]]
    return float(answer in true), float(max(f1))


def reference(metric: Metric, outcomes: Outcomes) -> float:
    rows = list(zip(outcomes.targets, outcomes.predictions, strict=True))
    if metric is HAS_ANSWER_F1:
        rows = [row for row in rows if row[0]]
    if metric is NO_ANSWER_ACCURACY:
        rows = [row for row in rows if not row[0]]
    score = korquad_scores if "korquad" in metric.name else squad_scores
    place = int("f1" in metric.name)
    return math.fsum(score(*row)[place] for row in rows) / len(rows) if rows else math.nan


WITH_REFERENCE = [metric for metric in ALL if metric is not KLUE_ROUGE_W]


@pytest.mark.parametrize("metric", WITH_REFERENCE, ids=name_of)
def test_random_answers_score_by_the_published_rules(metric: Metric) -> None:
    for seed in range(100):
        outcomes = draw_outcomes(
            seed=seed, num_questions=1 + seed % 40, share_without=seed % 3 * 0.4
        )
        assert metric.score(outcomes, None) == pytest.approx(reference(metric, outcomes), **EQUAL)


@pytest.mark.parametrize(
    ("texts", "prediction", "expected"),
    [
        # exact match and F1 of SQuAD, then of KorQuAD, then ROUGE-W of KLUE
        (["the Seine"], "Seine.", (1, 1, 0, 2 * 5 / 13, 2 * 5 / 14)),
        (["New York City"], "new york", (0, 4 / 5, 0, 14 / 18, 16 / 21)),
        (["Paris", "in Paris, France"], "Paris, France", (0, 4 / 5, 0, 22 / 24, 24 / 27)),
        (["서울특별시"], "서울시", (0, 0, 0, 6 / 8, 4 / 8)),
        (["《서울》"], "서울", (0, 0, 1, 1, 4 / 6)),
        (["12일"], "", (0, 0, 0, 0, 0)),
        ([], "", (1, 1, 1, 1, 1)),
        ([], "서울", (0, 0, 0, 0, 0)),
        ([], "the", (1, 1, 0, 0, 0)),
        (["the"], "the", (1, 1, 1, 1, 1)),
        (["?"], "?", (1, 1, 1, 0, 1)),
        (["?"], "", (1, 1, 1, 0, 1)),
        (["?", "b"], "", (0, 0, 1, 0, 1)),
    ],
)
def test_worked_examples(texts: list[str], prediction: str, expected: tuple[float, ...]) -> None:
    outcomes = make([texts], [prediction])
    scores = [metric.score(outcomes, None) for metric in ALL[:5]]
    assert scores == pytest.approx(expected, abs=1e-12)
    of_kind = (scores[1], math.nan) if texts else (math.nan, scores[0])
    assert (
        HAS_ANSWER_F1.score(outcomes, None),
        NO_ANSWER_ACCURACY.score(outcomes, None),
    ) == pytest.approx(of_kind, nan_ok=True)


def test_metrics_of_no_questions_are_not_defined() -> None:
    outcomes = make([], [])
    assert all(math.isnan(metric.score(outcomes, None)) for metric in ALL)


@pytest.mark.parametrize("metric", ALL, ids=name_of)
def test_weights_count_as_repeated_questions(metric: Metric) -> None:
    outcomes = draw_outcomes(seed=3, num_questions=80)
    weights = np.random.default_rng(9).integers(0, 4, len(outcomes))
    repeated = outcomes.take(np.repeat(np.arange(len(outcomes)), weights))
    assert metric.score(outcomes, weights) == pytest.approx(metric.score(repeated, None), **EQUAL)


def test_a_resample_without_such_questions_is_not_defined() -> None:
    outcomes = make([["a b"], []], ["b", ""])
    assert math.isnan(HAS_ANSWER_F1.score(outcomes, np.array([0, 2])))
    assert math.isnan(NO_ANSWER_ACCURACY.score(outcomes, np.array([2, 0])))


@pytest.mark.parametrize("metric", WITH_REFERENCE, ids=name_of)
def test_interval_equals_that_of_a_loop_over_resampled_questions(metric: Metric) -> None:
    outcomes = draw_outcomes(seed=5, num_questions=30)
    interval = bootstrap(metric, outcomes, num_resamples=100, confidence=0.9, seed=7)
    generator = np.random.default_rng(7)
    resamples = (outcomes.take(generator.integers(0, 30, 30)) for _ in range(100))
    values = [reference(metric, resample) for resample in resamples]
    low, high = np.percentile(values, [5, 95])
    assert (interval.low, interval.high) == pytest.approx((low, high), **EQUAL)
    assert interval.low < interval.value < interval.high


def test_a_better_model_is_better_and_other_questions_are_not_compared() -> None:
    worse = draw_outcomes(seed=1, num_questions=300)
    targets = [list(texts) for texts in worse.targets]
    answers = [texts[0] if texts else "" for texts in targets]
    better = make(targets, answers)
    for metric in ALL:
        compared = paired_bootstrap(metric, better, worse, num_resamples=100)
        assert compared.difference.low > 0, metric.name
    with pytest.raises(ValueError, match="Received: other targets, 300 and 300 of them"):
        paired_bootstrap(F1, make([*targets[1:], ["x"]], answers), worse)


def test_scores_of_questions_are_those_that_a_metric_is_the_mean_of() -> None:
    outcomes = draw_outcomes(seed=2, num_questions=50)
    for metric in ALL[:5]:
        scores = example_scores(outcomes, metric)
        assert scores.shape == (50,)
        assert scores.mean() == pytest.approx(metric.score(outcomes, None), **EQUAL)
    with pytest.raises(ValueError, match=r"must be one of exact_match, f1, .*'has_answer_f1'"):
        example_scores(outcomes, HAS_ANSWER_F1)


def test_outcomes_keep_texts_margins_and_questions() -> None:
    targets, predictions, margins = draw_answers(seed=0, num_questions=9)
    outcomes = answer_outcomes(
        targets,
        predictions=[""] * 9,
        scores=margins,
        candidates=predictions,
        questions=["왜?"] * 9,
    )
    part = outcomes.take([3, 1])
    assert part.targets.tolist() == [tuple(targets[3]), tuple(targets[1])]
    assert part.predictions.tolist() == ["", ""]
    assert part.candidates is not None
    assert part.candidates.tolist() == [predictions[3], predictions[1]]
    assert part.required_scores.tolist() == [margins[3], margins[1]]
    assert part.texts is not None
    assert part.texts.tolist() == ["왜?"] * 2
    assert has_answer(outcomes).tolist() == [bool(texts) for texts in targets]
    assert not outcomes.is_discrete()
    with pytest.raises(ValueError, match=r"a best answer for each example.*\(1,\), 9 examples"):
        answer_outcomes(targets, predictions=predictions, candidates=["a"])


@pytest.mark.parametrize(
    ("targets", "predictions", "message"),
    [
        ([["a"]], [], r"Received: 1 and 0\. Make both from the same questions"),
        (["서울"], ["서울"], r"must be a list of texts for each question\. Received: '서울' for"),
        ([[3]], ["서울"], r"must be a list of texts.*\[3\] for question 0"),
        ([["a"], []], ["a", b"a"], r"must be a text\. Received: b'a' for question 1.*Decode"),
        ([["a"]], [None], r"must be a text\. Received: None"),
    ],
)
def test_what_is_no_answer_is_refused(targets: list, predictions: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(targets, predictions)


@pytest.mark.parametrize("metric", ALL, ids=name_of)
def test_a_thousand_resamples_of_five_thousand_questions_take_seconds(
    metric: Metric, large: Outcomes
) -> None:
    started_at = time.perf_counter()
    bootstrap(metric, large, num_resamples=1000)
    assert time.perf_counter() - started_at < 10


@pytest.fixture(scope="module")
def large() -> Outcomes:
    return draw_outcomes(seed=0, num_questions=5000)


def test_exact_match_of_klue_drops_punctuation_and_keeps_articles():
    made = answer_outcomes([["The  Han."], ["Han"], []], predictions=["the han", "The Han", ""])
    assert KLUE_EXACT_MATCH.score(made, None) == pytest.approx(2 / 3)
