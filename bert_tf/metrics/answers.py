"""Metrics of answers to questions: exact match and F1 as SQuAD, KorQuAD and KLUE define them.

    answer_outcomes -> outcomes -> metrics; answer_slices, answer_thresholds

All are means of a score that each question has by itself, the best one over its true answers. A
question without an answer has the score 1 if it is given none, which is the empty text, else 0.

Letters in shapes: E examples, which are questions.
"""

from collections.abc import Callable, Sequence

import numpy as np

from bert_tf.metrics.answer_texts import (
    klue_text,
    korquad_characters,
    korquad_text,
    overlap_f1,
    run_f1,
    squad_text,
)
from bert_tf.metrics.metric import Metric, weighted_mean
from bert_tf.metrics.outcomes import Outcomes, object_array


def answer_outcomes(
    targets: Sequence[Sequence[str]],
    *,
    predictions: Sequence[str],
    scores: np.ndarray | None = None,
    candidates: Sequence[str] | None = None,
    questions: Sequence[str] | None = None,
) -> Outcomes:
    """True and predicted answers to E questions as outcomes.

    Args:
        targets: of each question the texts of its answers; none if it has no answer.
        predictions: an empty text is no answer.
        scores: (E,), the score of no answer minus that of the best answer.
        candidates: the best answers, also where none is predicted: what a threshold is chosen from.
        questions: the questions themselves, for slices by what they ask.

    Raises:
        ValueError: there is not a list of texts and a text for each question.
    """
    if len(targets) != len(predictions):
        raise ValueError(
            "Each question must have its true answers, if only an empty list, and its predicted "
            f"one. Received: {len(targets)} and {len(predictions)}. Make both from the same "
            "questions."
        )
    for row, (texts, prediction) in enumerate(zip(targets, predictions, strict=True)):
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise ValueError(
                f"True answers must be a list of texts for each question. Received: {texts!r:.60} "
                f"for question {row}. Give a list, also of one."
            )
        if not isinstance(prediction, str):
            raise ValueError(
                f"A predicted answer must be a text. Received: {prediction!r:.60} for question "
                f"{row}. Decode bytes, and give an empty text for no answer."
            )
    return Outcomes(
        targets=object_array([tuple(texts) for texts in targets]),
        predictions=object_array(predictions),
        scores=scores,
        texts=None if questions is None else object_array(questions),
        candidates=None if candidates is None else object_array(candidates),
    )


def has_answer(outcomes: Outcomes) -> np.ndarray:
    """Which questions have an answer, (E,) bool."""
    return np.array([bool(texts) for texts in outcomes.targets], bool)


def example_scores(outcomes: Outcomes, metric: Metric) -> np.ndarray:
    """The scores of the questions that `metric` is the mean of, (E,), from 0 to 1.

    Raises:
        ValueError: the metric is none over all questions.
    """
    function = _SCORES.get(metric.name)
    if function is None:
        raise ValueError(
            f"The metric must be one of {', '.join(_SCORES)}. Received: {metric.name!r}. Take one "
            "of these."
        )
    return outcomes.derive(function)


def _squad_texts(outcomes: Outcomes) -> list[tuple[list[str], str]]:
    """Of each question its true answers and its predicted one; an empty text is no answer."""
    pairs = []
    for texts, prediction in zip(outcomes.targets, outcomes.predictions, strict=True):
        true = [text for text in map(squad_text, texts) if text]
        pairs.append((true or [""], squad_text(prediction)))
    return pairs


def _exact_matches(outcomes: Outcomes) -> np.ndarray:
    pairs = outcomes.derive(_squad_texts)
    return np.array([predicted in true for true, predicted in pairs], float)


def _f1_scores(outcomes: Outcomes) -> np.ndarray:
    pairs = outcomes.derive(_squad_texts)
    return np.array([_best_overlap(true, predicted) for true, predicted in pairs], float)


def _best_overlap(true: Sequence[str], predicted: str) -> float:
    if predicted in true:
        return 1.0
    words = predicted.split()
    return max(overlap_f1(text.split(), words) for text in true)


def _korquad_exact_matches(outcomes: Outcomes) -> np.ndarray:
    return np.array(
        [
            korquad_text(predicted) in map(korquad_text, true or ("",))
            for true, predicted in zip(outcomes.targets, outcomes.predictions, strict=True)
        ],
        float,
    )


def _korquad_f1_scores(outcomes: Outcomes) -> np.ndarray:
    scores = []
    for true, prediction in zip(outcomes.targets, outcomes.predictions, strict=True):
        predicted = korquad_characters(prediction)
        if true:
            scores.append(max(overlap_f1(korquad_characters(text), predicted) for text in true))
        else:
            scores.append(float(not predicted))
    return np.array(scores, float)


def _klue_exact_matches(outcomes: Outcomes) -> np.ndarray:
    return np.array(
        [
            klue_text(predicted) in map(klue_text, true or ("",))
            for true, predicted in zip(outcomes.targets, outcomes.predictions, strict=True)
        ],
        float,
    )


def _klue_rouge_w_scores(outcomes: Outcomes) -> np.ndarray:
    return np.array(
        [
            max(run_f1(klue_text(text), klue_text(predicted)) for text in true or ("",))
            for true, predicted in zip(outcomes.targets, outcomes.predictions, strict=True)
        ],
        float,
    )


def _mean_of(scores: Callable[[Outcomes], np.ndarray]) -> Callable:
    return lambda outcomes, weights: weighted_mean(outcomes.derive(scores), weights)


def _has_answer_f1(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    return _mean_of_some(outcomes.derive(_f1_scores), outcomes.derive(has_answer), weights)


def _no_answer_accuracy(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    return _mean_of_some(outcomes.derive(_exact_matches), ~outcomes.derive(has_answer), weights)


def _mean_of_some(scores: np.ndarray, rows: np.ndarray, weights: np.ndarray | None) -> float:
    return weighted_mean(scores[rows], None if weights is None else weights[rows])


EXACT_MATCH = Metric(
    name="exact_match",
    title="exact match",
    is_higher_better=True,
    score=_mean_of(_exact_matches),
)
"""Share of questions with the text of a true answer, by SQuAD's rules. NaN of no questions."""

F1 = Metric(name="f1", title="F1 of words", is_higher_better=True, score=_mean_of(_f1_scores))
"""Mean of the F1 of the words that the predicted answer shares with the nearest true one.

By the rules of SQuAD 2.0. Those of 1.1 differ for answers of nothing but articles and punctuation
alone: they are no answer in 2.0 and have an F1 of 0 in 1.1. NaN of no questions.
"""

KORQUAD_EXACT_MATCH = Metric(
    name="korquad_exact_match",
    title="exact match (KorQuAD)",
    is_higher_better=True,
    score=_mean_of(_korquad_exact_matches),
)
"""As `exact_match`, by the rules of KorQuAD 1.0, which knows no articles. NaN of no questions."""

KORQUAD_F1 = Metric(
    name="korquad_f1",
    title="F1 of characters (KorQuAD)",
    is_higher_better=True,
    score=_mean_of(_korquad_f1_scores),
)
"""As `f1`, of characters, by the rules of KorQuAD 1.0.

A true answer of nothing but punctuation has a score of 0, as there; questions without an answer,
which are not there, have the scores of SQuAD 2.0. NaN of no questions.
"""

KLUE_EXACT_MATCH = Metric(
    name="klue_exact_match",
    title="exact match (KLUE)",
    is_higher_better=True,
    score=_mean_of(_klue_exact_matches),
)
"""As `exact_match`, by the rules of KLUE-baseline. NaN of no questions."""

KLUE_ROUGE_W = Metric(
    name="klue_rouge_w",
    title="ROUGE-W (KLUE)",
    is_higher_better=True,
    score=_mean_of(_klue_rouge_w_scores),
)
"""Mean of the F1 of the longest run of characters that an answer shares with the nearest true one.

So does KLUE-baseline compute what KLUE-MRC calls ROUGE-W. NaN of no questions.
"""

HAS_ANSWER_F1 = Metric(
    name="has_answer_f1",
    title="F1 of words where there is an answer",
    is_higher_better=True,
    score=_has_answer_f1,
)
"""`f1` of the questions that have an answer (`HasAns_f1`). NaN of none."""

NO_ANSWER_ACCURACY = Metric(
    name="no_answer_accuracy",
    title="accuracy where there is no answer",
    is_higher_better=True,
    score=_no_answer_accuracy,
)
"""Share of the questions without an answer that are given none (`NoAns_exact`). NaN of none.

An answer of nothing but articles and punctuation is none, as in SQuAD 2.0.
"""

_SCORES = {
    EXACT_MATCH.name: _exact_matches,
    F1.name: _f1_scores,
    KORQUAD_EXACT_MATCH.name: _korquad_exact_matches,
    KORQUAD_F1.name: _korquad_f1_scores,
    KLUE_EXACT_MATCH.name: _klue_exact_matches,
    KLUE_ROUGE_W.name: _klue_rouge_w_scores,
}
