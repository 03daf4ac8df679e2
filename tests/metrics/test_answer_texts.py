"""Texts of answers as the published scripts compare them."""

import pytest

from bert_tf.metrics.answer_texts import (
    klue_text,
    korquad_characters,
    korquad_text,
    overlap_f1,
    run_f1,
    squad_text,
    squad_words,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Seine", "seine"),
        ("a river, an ocean and the sea", "river ocean and sea"),
        ("(The) U.S.", "us"),  # punctuation goes first, so an article in brackets is one
        ("don't", "dont"),
        ("theory of anthems", "theory of anthems"),
        ("a-b", "ab"),
        ("A", ""),
        (" 3.5 \n%", "35"),
        ("“quoted” – x", "“quoted” – x"),
        ("the서울", "the서울"),
        ("서울 a b", "서울 b"),
        ("x\u00a0y", "x y"),
        ("", ""),
    ],
)
def test_texts_are_compared_as_in_squad(text: str, expected: str) -> None:
    assert squad_text(text) == expected
    assert squad_words(text) == expected.split()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("《서울》 특별시", "서울 특별시"),
        ("서울(특별시)", "서울 특별시"),
        ("'부산'", "부산"),
        ('‘강’의 "이름"', "강 의 이름"),
        ("〈책〉<책>", "책 책"),
        ("1,000명.", "1000명"),
        ("The Seine", "the seine"),
        ("「책」", "「책」"),
    ],
)
def test_texts_are_compared_as_in_korquad(text: str, expected: str) -> None:
    assert korquad_text(text) == expected
    assert korquad_characters(text) == [*expected.replace(" ", "")]


def test_brackets_are_left_out_as_in_klue() -> None:
    assert klue_text("서울(특별시) 'A'") == "서울특별시 a"
    assert klue_text("《서울》") == "《서울》"


def test_what_is_shared_is_counted_as_often_as_both_have_it() -> None:
    assert overlap_f1(["a", "b", "b"], ["b", "b", "b", "c"]) == pytest.approx(4 / 7)
    assert overlap_f1(["a"], ["a"]) == 1.0
    assert overlap_f1(["a"], ["b"]) == overlap_f1([], []) == overlap_f1([], ["a"]) == 0.0


def test_the_longest_run_is_shared() -> None:
    assert run_f1("서울특별시", "서울시") == pytest.approx(2 * 2 / 8)
    assert run_f1("서울", "서울") == run_f1("", "") == 1.0
    assert run_f1("", "서울") == run_f1("서울", "") == run_f1("서울", "부산") == 0.0
    assert run_f1("가" * 300, "가" * 100) == pytest.approx(2 * 100 / 400)
