"""Metrics of one choice of several, of which every example has its own.

Letters in shapes: E examples, C most choices of one. Targets and predictions are (E,) int, scores
(E, C): probabilities, NaN where an example has no such choice.
"""

from typing import Any

import numpy as np

from bert_tf.metrics.calibration import expected_calibration_error
from bert_tf.metrics.metric import Metric, weighted_mean
from bert_tf.metrics.outcomes import Outcomes


def numbers_of_choices(outcomes: Outcomes) -> np.ndarray:
    """(E,) int."""
    return (~np.isnan(outcomes.required_scores)).sum(axis=1)


def ranks(outcomes: Outcomes) -> np.ndarray:
    """Place of the right choice among those of its example, (E,) int, 1 the best.

    Of equal scores the first choice is the better one, as it is for the answer.
    """
    scores = outcomes.required_scores
    right = np.take_along_axis(scores, outcomes.targets[:, np.newaxis], axis=1)
    is_before = np.arange(scores.shape[1]) < outcomes.targets[:, np.newaxis]
    return 1 + (scores > right).sum(axis=1) + ((scores == right) & is_before).sum(axis=1)


def number_rows(outcomes: Outcomes) -> list[dict[str, Any]]:
    """A row for each number of choices: `name`, `support`, `accuracy`, `chance`, and so on."""
    numbers = outcomes.derive(numbers_of_choices)
    return [
        {
            "name": f"{number} choices",
            "support": int((numbers == number).sum()),
            "accuracy": ACCURACY.score(of_number, None),
            "chance": 1.0 / number,
            "mean_reciprocal_rank": MEAN_RECIPROCAL_RANK.score(of_number, None),
        }
        for number in np.unique(numbers).tolist()
        for of_number in [outcomes.take(numbers == number)]
    ]


def place_rows(outcomes: Outcomes) -> list[dict[str, Any]]:
    """A row for each place of the right choice: how often it is there, answered, and both."""
    predicted = np.bincount(outcomes.predictions)
    rows = []
    for place in np.unique(np.concatenate([outcomes.targets, outcomes.predictions])).tolist():
        is_here = outcomes.targets == place
        of_place = outcomes.take(is_here)
        rows.append(
            {
                "number": str(place),
                "support": int(is_here.sum()),
                "predicted": int(predicted[place]) if place < len(predicted) else 0,
                "accuracy": ACCURACY.score(of_place, None),
            }
        )
    return rows


def calibration_error(outcomes: Outcomes) -> float:
    """Expected calibration error of the most probable choice."""
    highest = np.nanmax(outcomes.required_scores, axis=1)
    return expected_calibration_error(highest, outcomes.predictions == outcomes.targets)


def _accuracy(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    return weighted_mean(outcomes.targets == outcomes.predictions, weights)


def _mean_reciprocal_rank(outcomes: Outcomes, weights: np.ndarray | None) -> float:
    return weighted_mean(1.0 / outcomes.derive(ranks), weights)


ACCURACY = Metric(
    name="accuracy",
    title="accuracy",
    is_higher_better=True,
    score=_accuracy,
    key="multiple_choice_accuracy",
)
"""Share of examples whose right choice is the most probable. NaN of no examples."""

MEAN_RECIPROCAL_RANK = Metric(
    name="mean_reciprocal_rank",
    title="mean reciprocal rank",
    is_higher_better=True,
    score=_mean_reciprocal_rank,
    uses_scores=True,
)
"""Mean of 1 / place of the right choice, 1 where it is the most probable."""
