"""From which margin on no answer is better than the best one: a threshold, and the curve of all.

    margins -1, 0, 4 of questions with, with, without an answer, the best answers all right
        ->  values 1/3, 2/3, 1, 2/3 where 0, 1, 2, 3 are answered  ->  threshold 2

A margin is the score of no answer minus that of the best answer; no answer is given where it is
greater than the threshold.

Letters in shapes: E examples, which are questions, K different sets that are answered.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bert_tf.metrics.answers import F1, answer_outcomes, example_scores, has_answer
from bert_tf.metrics.metric import Metric
from bert_tf.metrics.outcomes import Outcomes

ROUNDING = 1e-9
"""Values that differ by less are equal."""
LARGEST = float(np.finfo(np.float32).max) / 2
"""What an infinite margin counts as."""


@dataclass(frozen=True, eq=False)
class ThresholdCurve:
    """A metric at each set of questions that a threshold can have answered, from none to all."""

    thresholds: np.ndarray
    """float64 (K,), rising: the least of the interval, up to the next, that has the values."""
    values: np.ndarray
    """(K,), of all questions."""
    has_answer: np.ndarray
    """(K,), of those that have an answer; NaN if none has."""
    no_answer: np.ndarray
    """(K,), of those that have none; NaN if all have one."""

    @property
    def best(self) -> float:
        """The threshold with the greatest value.

        The middle of its interval, of the lowest one where several are as good; the greatest margin
        where it is best to answer all questions, and less than any where it is best to answer none.
        It is a number of float32.
        """
        is_best = self.values >= self.values.max() - ROUNDING
        first = int(is_best.argmax())
        is_other = np.append(~is_best[first:], True)
        end = first + int(is_other.argmax())
        low = self.thresholds[max(first, 1)] if end > 1 else self.thresholds[0]
        high = self.thresholds[min(end, len(self.thresholds) - 1)]
        middle = float(np.float32(low / 2 + high / 2))
        is_inside = middle < high or end == len(self.thresholds)
        return middle if is_inside and end > 1 else float(low)


def best_threshold(
    targets: Sequence[Sequence[str]],
    *,
    texts_if_answered: Sequence[str],
    margins: np.ndarray,
    metric: Metric = F1,
) -> float | None:
    """The threshold with the greatest value of a metric of `answers`; see `ThresholdCurve.best`.

    None where every question has an answer, so that nothing can be learnt.

    Args:
        targets: of each question the texts of its answers; none if it has no answer.
        texts_if_answered: of each question the best answer.
        margins: (E,); read as float32, in which a served model compares them.

    Source: `find_best_thresh` of SQuAD's evaluate-v2.0.py, which takes the least of the interval,
    and of equal margins counts some as answered and others as not.
    """
    if all(targets):
        return None
    return threshold_curve(
        targets, texts_if_answered=texts_if_answered, margins=margins, metric=metric
    ).best


def threshold_curve(
    targets: Sequence[Sequence[str]],
    *,
    texts_if_answered: Sequence[str],
    margins: np.ndarray,
    metric: Metric = F1,
) -> ThresholdCurve:
    """The values of a metric over all thresholds; arguments as of `best_threshold`.

    Raises:
        ValueError: there is no question, or not one margin, a number, for each.
    """
    margins = np.asarray(margins, np.float32).astype(np.float64)
    if margins.shape != (len(targets),) or not len(targets) or np.isnan(margins).any():
        raise ValueError(
            f"Each question must have a margin, a number. Received: {len(targets)} questions, "
            f"margins {margins.shape}, {np.isnan(margins).sum()} of them NaN. Make both from the "
            "same questions."
        )
    answered = answer_outcomes(targets, predictions=texts_if_answered)
    unanswered = answer_outcomes(targets, predictions=[""] * len(targets))
    margins = np.clip(margins, -LARGEST, LARGEST)
    order = np.argsort(margins, kind="stable")
    distinct, firsts = np.unique(margins[order], return_index=True)
    num_answered = np.append(firsts, len(order))
    before = np.float64(np.nextafter(np.float32(distinct[0]), np.float32(-np.inf)))

    def values(rows: np.ndarray) -> np.ndarray:
        without = example_scores(unanswered, metric)[order] * rows
        gains = example_scores(answered, metric)[order] * rows - without
        sums = without.sum() + np.append(0.0, np.cumsum(gains))[num_answered]
        return sums / rows.sum() if rows.any() else np.full(len(sums), np.nan)

    is_answerable = has_answer(answered)[order]
    return ThresholdCurve(
        thresholds=np.append(before, distinct),
        values=values(np.ones(len(order), bool)),
        has_answer=values(is_answerable),
        no_answer=values(~is_answerable),
    )


def curve_of(outcomes: Outcomes, metric: Metric = F1) -> ThresholdCurve:
    """`threshold_curve` of outcomes with margins as scores, and with candidates.

    Raises:
        ValueError: they have no scores or no candidates, or there is no question.
    """
    if outcomes.candidates is None:
        raise ValueError(
            "A threshold is chosen from the best answers. Received: outcomes without candidates. "
            "Keep the best answers of the model beside its predictions."
        )
    return threshold_curve(
        list(outcomes.targets),
        texts_if_answered=list(outcomes.candidates),
        margins=outcomes.required_scores,
        metric=metric,
    )
