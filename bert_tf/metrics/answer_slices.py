"""Answers by how long the true one is, and by what the question asks: slices, and rows of a table.

    length_slices, question_slices -> {name: (E,) bool} -> slice_rows

Letters in shapes: E examples, which are questions.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from bert_tf.metrics.answers import EXACT_MATCH, F1, has_answer
from bert_tf.metrics.metric import Metric
from bert_tf.metrics.outcomes import Outcomes

NO_ANSWER = "no answer"
SHORTEST = (1, 5, 10, 20, 40)
"""Lengths that begin a slice, in characters."""
OTHER = "other questions"
QUESTION_WORDS = {
    "how many": r"\bhow (?:many|much)\b",
    "how": r"\bhow\b",
    "what": r"\bwhat\b",
    "when": r"\bwhen\b",
    "where": r"\bwhere\b",
    "which": r"\bwhich\b",
    "who": r"\bwho(?:m|se)?\b",
    "why": r"\bwhy\b",
    "누구": r"누구|누군|\b누가\b",
    "언제": r"언제",
    "어디": r"어디",
    "무엇": r"무엇|무슨|뭐|뭘",
    "어느": r"어느",
    "어떤": r"어떤|어떻",
    "얼마": r"얼마",
    "몇": r"몇",
    "왜": r"\b왜\b",
}
"""What questions ask with, to how it is written, in lower case; the first of a question counts."""
_ASKED = re.compile("|".join(f"({pattern})" for pattern in QUESTION_WORDS.values()))


def length_slices(outcomes: Outcomes) -> dict[str, np.ndarray]:
    """By the number of characters of the first true answer, and the questions without one.

    Names to (E,) bool; slices without a question are left out.
    """
    lengths = np.array([len(texts[0]) if texts else 0 for texts in outcomes.targets], int)
    slices = {}
    for first, behind in zip(SHORTEST, (*SHORTEST[1:], None), strict=True):
        last = "and more" if behind is None else f"to {behind - 1}"
        is_long = lengths >= first
        slices[f"{first} {last} characters"] = (
            is_long if behind is None else is_long & (lengths < behind)
        )
    slices[NO_ANSWER] = ~has_answer(outcomes)
    return {name: rows for name, rows in slices.items() if rows.any()}


def question_slices(outcomes: Outcomes) -> dict[str, np.ndarray]:
    """By the first question word, English or Korean; names to (E,) bool.

    Slices without a question are left out, and all where the outcomes have no questions.
    """
    if outcomes.texts is None:
        return {}
    names = [*QUESTION_WORDS, OTHER]
    found = (_ASKED.search(text.lower()) for text in outcomes.texts)
    asked = np.array([OTHER if it is None else names[(it.lastindex or 0) - 1] for it in found])
    slices = {name: asked == name for name in names}
    return {name: rows for name, rows in slices.items() if rows.any()}


def slice_rows(
    outcomes: Outcomes,
    slices: Mapping[str, np.ndarray],
    *,
    exact_match: Metric = EXACT_MATCH,
    f1: Metric = F1,
) -> list[dict[str, Any]]:
    """A row for each slice: `name`, `support` (its questions), `exact_match`, `f1`.

    `pictures.draw_label_bars` draws the rows, with `counted="questions"`.
    """
    rows = []
    for name, own in slices.items():
        weights = own.astype(float)
        rows.append(
            {
                "name": name,
                "support": int(own.sum()),
                "exact_match": exact_match.score(outcomes, weights),
                "f1": f1.score(outcomes, weights),
            }
        )
    return rows
