"""Random answers to random questions."""

import random
from collections.abc import Sequence

import numpy as np

from bert_tf.metrics.answers import answer_outcomes
from bert_tf.metrics.outcomes import Outcomes

WORDS = (
    *("the", "The", "a", "an", "Seine", "river", "(river)", "1,000", "U.S.", "don't", "?", "—"),
    *(
        "서울",
        "서울특별시",
        "《서울》",
        "'부산'",
        "‘강’",
        "한국의",
        "New  York",
        "é",
        "\u00a0x",
        "and/or",
    ),
)


def draw_text(draw: random.Random, *, fewest: int = 1, most: int = 4) -> str:
    return " ".join(draw.choices(WORDS, k=draw.randint(fewest, most)))


def draw_answers(
    *, seed: int, num_questions: int, share_without: float = 0.3
) -> tuple[list[list[str]], list[str], np.ndarray]:
    """True answers, the best predicted ones, and margins, some of which are equal."""
    draw = random.Random(seed)
    targets: list[list[str]] = []
    predictions = []
    margins = []
    for _ in range(num_questions):
        texts = [draw_text(draw) for _ in range(draw.randint(1, 3))]
        predictions.append(draw.choice([draw.choice(texts), draw.choice(texts)[1:], "x y"]))
        targets.append([] if draw.random() < share_without else texts)
        margins.append(draw.choice([draw.gauss(0, 1), draw.randint(-2, 2)]) + (not targets[-1]))
    return targets, predictions, np.array(margins, np.float32)


def draw_outcomes(*, seed: int, num_questions: int, share_without: float = 0.3) -> Outcomes:
    """Those that have a margin above 0 are answered with none."""
    targets, predictions, margins = draw_answers(
        seed=seed, num_questions=num_questions, share_without=share_without
    )
    answers = threshold_answers(predictions, margins=margins, threshold=0.0)
    return answer_outcomes(targets, predictions=answers, scores=margins)


def threshold_answers(
    predictions: Sequence[str], *, margins: np.ndarray, threshold: float
) -> list[str]:
    return [
        "" if margin > threshold else text
        for text, margin in zip(predictions, margins, strict=True)
    ]
