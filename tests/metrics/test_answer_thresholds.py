"""The threshold of no answer, beside a search of all thresholds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bert_tf.metrics.answer_thresholds import best_threshold, curve_of, threshold_curve
from bert_tf.metrics.answers import EXACT_MATCH, F1, KORQUAD_F1, answer_outcomes
from bert_tf.metrics.metric import Metric
from bert_tf.metrics.pictures import draw_threshold_curve
from tests.metrics.random_answers import draw_answers, threshold_answers

NONE: list[str] = []


def value_at(
    threshold: float,
    metric: Metric,
    targets: list[list[str]],
    predictions: Sequence[str],
    margins: np.ndarray,
) -> float:
    answers = threshold_answers(predictions, margins=margins, threshold=threshold)
    return metric.score(answer_outcomes(targets, predictions=answers), None)


@pytest.mark.parametrize("metric", [F1, EXACT_MATCH, KORQUAD_F1], ids=lambda it: it.name)
def test_no_threshold_is_better_than_the_best(metric: Metric) -> None:
    for seed in range(60):
        data = draw_answers(seed=seed, num_questions=2 + seed % 30, share_without=0.5)
        targets, predictions, margins = data
        found = best_threshold(
            targets, texts_if_answered=predictions, margins=margins, metric=metric
        )
        if found is None:
            assert all(targets)
            continue
        tried = [*margins.tolist(), margins.min() - 1.0, margins.max() + 1.0]
        best = max(value_at(threshold, metric, *data) for threshold in tried)
        assert value_at(found, metric, *data) == pytest.approx(best, abs=1e-12)
        assert found == np.float32(found)


def test_the_curve_has_the_value_at_every_threshold() -> None:
    data = draw_answers(seed=1, num_questions=40)
    targets, predictions, margins = data
    curve = threshold_curve(targets, texts_if_answered=predictions, margins=margins)
    assert len(curve.thresholds) == len(set(margins.tolist())) + 1
    expected = [value_at(threshold, F1, *data) for threshold in curve.thresholds]
    np.testing.assert_allclose(curve.values, expected, atol=1e-12)
    with_answer = np.array([bool(texts) for texts in targets])
    share = with_answer.mean()
    sums = share * curve.has_answer + (1 - share) * curve.no_answer
    np.testing.assert_allclose(sums, curve.values, atol=1e-12)
    assert (curve.no_answer[0], curve.has_answer[0]) == (1.0, 0.0)
    outcomes = answer_outcomes(
        targets, predictions=[""] * 40, scores=margins, candidates=predictions
    )
    np.testing.assert_array_equal(curve_of(outcomes).values, curve.values)
    with pytest.raises(ValueError, match="Received: outcomes without candidates"):
        curve_of(answer_outcomes(targets, predictions=predictions, scores=margins))


@pytest.mark.parametrize(
    ("targets", "predictions", "margins", "expected"),
    [
        # of these answers "x" is right, where there is one
        ([["x"], ["x"], NONE], "xxx", [-1, 0, 4], 2.0),
        ([["x"], NONE], "xx", [-1, -1], -1.0),  # as good as none
        ([["x"], ["x"], NONE], "xxx", [4, 0, -1], 4.0),  # all
        ([NONE, NONE], "xx", [-1, 3], np.nextafter(np.float32(-1), np.float32(-9))),  # none
        ([["x"], ["y"], NONE], "xxx", [0, 1, 3], 1.5),  # a wrong answer costs nothing
        ([["y"], ["x"], ["y"], NONE], "xxxx", [0, 1, 2, 5], 3.0),
        ([["x"], NONE], "xy", [0, np.inf], None),
        ([NONE, NONE], "xy", [-np.inf, np.inf], "finite"),
        ([["x"], ["y"]], "xx", [0, 1], "nothing is learnt"),
    ],
)
def test_the_middle_of_the_interval_is_taken(
    targets: list[list[str]], predictions: str, margins: list[float], expected: object
) -> None:
    found = best_threshold(
        targets, texts_if_answered=list(predictions), margins=np.array(margins, np.float32)
    )
    if expected is None:
        assert found is not None
        assert 0.0 <= found < np.inf
    elif expected == "finite":
        assert found is not None
        assert np.isfinite(found)
    elif expected == "nothing is learnt":
        assert found is None
    else:
        assert found == expected


def test_neighbours_in_float32_are_told_apart() -> None:
    low = np.float32(1.0)
    margins = np.array([low, np.nextafter(low, np.float32(2))])
    found = best_threshold([["x"], NONE], texts_if_answered=["x", "x"], margins=margins)
    assert found == 1.0


def test_margins_must_be_numbers_for_each_question() -> None:
    for margins, received in (
        ([0.0], r"2 questions, margins \(1,\)"),
        ([0.0, np.nan], "1 of them"),
    ):
        with pytest.raises(ValueError, match=rf"must have a margin, a number.*{received}"):
            best_threshold([["x"], NONE], texts_if_answered=["x", "x"], margins=np.array(margins))


def test_the_curve_is_drawn(tmp_path: Path) -> None:
    for seed, share in ((0, 0.3), (1, 0.0)):
        targets, predictions, margins = draw_answers(
            seed=seed, num_questions=5000, share_without=share
        )
        margins[:2] = -np.inf, np.inf
        curve = threshold_curve(targets, texts_if_answered=predictions, margins=margins)
        path = tmp_path / f"{seed}.png"
        draw_threshold_curve(curve, path, threshold=curve.best, title="F1", label="F1")
        assert path.read_bytes().startswith(b"\x89PNG")
