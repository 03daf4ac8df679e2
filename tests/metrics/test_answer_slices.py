"""Answers by length and by question."""

from pathlib import Path

import numpy as np
import pytest

from bert_tf.metrics.answer_slices import length_slices, question_slices, slice_rows
from bert_tf.metrics.answers import KORQUAD_EXACT_MATCH, KORQUAD_F1, answer_outcomes
from bert_tf.metrics.outcomes import Outcomes
from bert_tf.metrics.pictures import draw_label_bars
from bert_tf.metrics.tables import markdown_table

QUESTIONS = ["How many rivers?", "수도는 언제 정했는가?", "임진왜란의 장군은?", "왜 그랬는가?"]


def make(targets: list[list[str]], predictions: list[str]) -> Outcomes:
    return answer_outcomes(
        targets, predictions=predictions, questions=(QUESTIONS * 3)[: len(targets)]
    )


def test_slices_are_by_the_length_of_the_first_answer() -> None:
    texts = ["가" * length for length in (1, 4, 5, 9, 10, 39, 40, 200)]
    outcomes = make([*([text, "가"] for text in texts), []], ["가"] * 9)
    found = {name: np.flatnonzero(rows).tolist() for name, rows in length_slices(outcomes).items()}
    assert found == {
        "1 to 4 characters": [0, 1],
        "5 to 9 characters": [2, 3],
        "10 to 19 characters": [4],
        "20 to 39 characters": [5],
        "40 and more characters": [6, 7],
        "no answer": [8],
    }


def test_slices_without_a_question_are_left_out() -> None:
    assert [*length_slices(make([["a"]], ["a"]))] == ["1 to 4 characters"]
    assert length_slices(make([], [])) == {}


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("How many rivers?", "how many"),
        ("In what year, and how, did it end?", "what"),
        ("To whom was it sold?", "who"),
        ("Whatever is shown there", "other questions"),
        ("이 곡을 쓴 사람은 누구인가?", "누구"),
        ("누가복음의 저자는?", "other questions"),
        ("몇 년에 어디서 났는가?", "몇"),
        ("왜군을 이긴 장군은?", "other questions"),
        ("그는 왜 떠났나?", "왜"),
        ("어떻게 만드는가?", "어떤"),
    ],
)
def test_the_first_question_word_counts(question: str, name: str) -> None:
    outcomes = answer_outcomes([["a"]], predictions=["a"], questions=[question])
    assert [*question_slices(outcomes)] == [name]


def test_slices_of_questions_hold_each_once() -> None:
    outcomes = make([["a"]] * 12, ["a"] * 12)
    slices = question_slices(outcomes)
    assert [*slices] == ["how many", "언제", "왜", "other questions"]
    np.testing.assert_array_equal(sum(slices.values()), np.ones(12))
    assert question_slices(answer_outcomes([["a"]], predictions=["a"])) == {}


def test_rows_say_how_good_each_slice_is(tmp_path: Path) -> None:
    targets = [["새 이름"], ["그 이름"], [], []]
    outcomes = make(targets, ["새 이름", "이름", "", "이름"])
    rows = slice_rows(outcomes, length_slices(outcomes))
    assert rows == [
        {
            "name": "1 to 4 characters",
            "support": 2,
            "exact_match": 0.5,
            "f1": pytest.approx((1 + 2 / 3) / 2),
        },
        {"name": "no answer", "support": 2, "exact_match": 0.5, "f1": 0.5},
    ]
    by_characters = slice_rows(
        outcomes, length_slices(outcomes), exact_match=KORQUAD_EXACT_MATCH, f1=KORQUAD_F1
    )
    assert by_characters[0]["f1"] == pytest.approx((1 + 4 / 5) / 2)
    assert "| no answer | 2 | 0.5000 | 0.5000 |" in markdown_table(rows)
    draw_label_bars(rows, tmp_path / "a.png", title="answers", counted="questions")
    assert (tmp_path / "a.png").is_file()
