"""Metrics of written texts, beside sacrebleu's own corpus scores."""

import math

import numpy as np
import pytest
import sacrebleu

from bert_tf.metrics.generated_texts import (
    CHRF,
    EXACT_MATCH,
    SPACE_F1,
    bleu,
    example_chrf,
    signatures,
    text_outcomes,
)
from bert_tf.metrics.resampling import bootstrap, paired_bootstrap

TEXT = "der Hund läuft über die Straße , und ein Mann sieht ihm zu . 빨간 자동차 가 간다 👩‍👩‍👧"
WORDS = TEXT.split()


def random_texts(seed: int, number: int) -> list[str]:
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, size=draw.integers(0, 12))) for _ in range(number)]


def changed(texts: list[str], seed: int) -> list[str]:
    draw = np.random.default_rng(seed)
    kept = [[word for word in text.split() if draw.random() < 0.8] for text in texts]
    return [" ".join([*words, *draw.choice(WORDS, size=draw.integers(0, 2))]) for words in kept]


def make_outcomes(number: int = 60):
    targets = random_texts(1, number)
    return text_outcomes(targets, predictions=changed(targets, 2), sources=random_texts(3, number))


@pytest.mark.parametrize("tokenizer", ["13a", "intl", "char", "zh", "none"])
@pytest.mark.parametrize("lower_case", [False, True])
def test_bleu_is_that_of_sacrebleu(tokenizer, lower_case):
    outcomes = make_outcomes()
    metric = bleu(tokenizer, lower_case=lower_case)
    expected = sacrebleu.corpus_bleu(
        list(outcomes.predictions),
        [list(outcomes.targets)],
        tokenize=tokenizer,
        lowercase=lower_case,
        force=True,
    )
    assert metric.score(outcomes, None) == expected.score
    assert 5.0 < expected.score < 95.0


def test_chrf_is_that_of_sacrebleu():
    outcomes = make_outcomes()
    expected = sacrebleu.corpus_chrf(list(outcomes.predictions), [list(outcomes.targets)])
    assert CHRF.score(outcomes, None) == expected.score
    sentences = [
        sacrebleu.sentence_chrf(written, [target], eps_smoothing=False).score
        for target, written in zip(outcomes.targets, outcomes.predictions, strict=True)
    ]
    assert example_chrf(outcomes).tolist() == sentences


@pytest.mark.parametrize("metric", [bleu(), CHRF, EXACT_MATCH, SPACE_F1], ids=lambda it: it.name)
def test_a_weight_is_how_often_an_example_is_there(metric):
    outcomes = make_outcomes(20)
    counts = np.random.default_rng(4).integers(0, 4, 20)
    repeated = outcomes.take(np.repeat(np.arange(20), counts))
    assert metric.score(outcomes, counts) == pytest.approx(metric.score(repeated, None))


def test_intervals_and_pairs_are_resampled_by_example():
    outcomes = make_outcomes()
    better = text_outcomes(
        list(outcomes.targets), predictions=list(outcomes.targets), sources=list(outcomes.texts)
    )
    interval = bootstrap(bleu(), outcomes)
    assert interval.low < interval.value < interval.high
    compared = paired_bootstrap(bleu(), better, outcomes)
    assert compared.share_better == 1.0
    assert compared.difference.value == pytest.approx(100.0 - interval.value)


def test_signatures_are_what_sacrebleu_prints():
    expected = sacrebleu.BLEU(tokenize="intl", lowercase=True)
    expected.corpus_score(["a"], [["a"]])
    told = signatures("intl", lower_case=True)
    assert told["bleu"] == expected.get_signature().format()
    assert f"version:{sacrebleu.__version__}" in told["chrf"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("나는 학교에 간다", 1.0),
        ("나는학교에간다", 0.0),
        ("나는  학교에간다", 2 / 3),  # 1 of 2 found, nothing else
        ("나 는 학교에 간다", 4 / 5),
        ("나는 학교를 간다", 1 / 2),  # the second space stands behind another character
        (" 나는 학교에 간다 ", 1.0),
        ("", 0.0),
    ],
)
def test_spaces_are_compared_by_what_stands_before_them(written, expected):
    outcomes = text_outcomes(
        ["나는 학교에 간다"], predictions=[written], sources=["나는학교에간다"]
    )
    assert SPACE_F1.score(outcomes, None) == pytest.approx(expected)


def test_no_examples_have_no_scores():
    outcomes = text_outcomes([], predictions=[], sources=[])
    for metric in (bleu(), CHRF, EXACT_MATCH, SPACE_F1):
        assert math.isnan(metric.score(outcomes, None))


def test_empty_texts_are_texts():
    outcomes = text_outcomes(["", "a b"], predictions=["", ""], sources=["x", "y"])
    assert EXACT_MATCH.score(outcomes, None) == 0.5
    assert bleu().score(outcomes, None) == 0.0
    assert CHRF.score(outcomes, None) == 0.0


def test_one_text_of_each_kind_belongs_to_an_example():
    with pytest.raises(ValueError, match="Received: 1, 2 and 1"):
        text_outcomes(["a", "b"], predictions=["a"], sources=["x"])
