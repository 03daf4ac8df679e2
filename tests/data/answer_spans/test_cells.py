"""Answers in every form that data sets have."""

import json
from typing import Any

import numpy as np
import pytest

from bert_tf.data.answer_spans.answers import Written
from bert_tf.data.answer_spans.cells import answers_of, flag_of
from bert_tf.data.tables.faults import ExampleError

SQUAD = [{"text": "서울", "answer_start": 4}, {"text": "수도", "answer_start": 0}]
HUGGING_FACE = {"text": ["서울", "수도"], "answer_start": [4, 0]}
EXPECTED = [Written("서울", 4), Written("수도", 0)]


@pytest.mark.parametrize(
    "value",
    [
        SQUAD,
        tuple(SQUAD),
        np.array(SQUAD, object),
        HUGGING_FACE,
        {name: np.array(values) for name, values in HUGGING_FACE.items()},
        json.dumps(SQUAD),
        json.dumps(HUGGING_FACE, ensure_ascii=False),
    ],
    ids=("list", "tuple", "array", "columns", "arrays", "JSON list", "JSON columns"),
)
def test_every_form_is_the_same_answers(value: Any) -> None:
    found = answers_of(value, field="answers")
    assert found == EXPECTED
    assert all(type(answer.start) is int and type(answer.text) is str for answer in found)


@pytest.mark.parametrize(
    "value",
    [None, float("nan"), "", " ", "null", "[]", [], (), {"text": [], "answer_start": []}],
    ids=repr,
)
def test_nothing_is_no_answer(value: Any) -> None:
    assert answers_of(value, field="answers") == []


def test_one_object_is_one_answer() -> None:
    assert answers_of(SQUAD[0], field="answers") == EXPECTED[:1]
    assert answers_of(json.dumps(SQUAD[0]), field="answers") == EXPECTED[:1]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, r"answers in 'a' must be a list of objects .*\[\] for none.*Received: 3\."),
        ("서울", r"must be a list of objects .*Received: '서울'"),
        (str(SQUAD), r"must be a list of objects .*Write JSON as json\.dumps does"),
        (["서울"], r"every answer in 'a' must be an object .*Received: '서울', number 1\."),
        ([SQUAD[0], {"text": "a"}], r"Received: one with 'text', number 2\."),
        ({"text": ["a"]}, r"must be a list of objects with 'text' and 'answer_start'"),
        ({"text": ["a"], "answer_start": []}, r"must be of the same length\. Received: 1 and 0"),
        ([{"text": 7, "answer_start": 0}], r"the text of an answer in 'a' must be text.*7"),
    ],
)
def test_other_cells_are_refused(value: Any, message: str) -> None:
    with pytest.raises(ExampleError, match=message):
        answers_of(value, field="a")


def test_a_flag_is_read_of_every_kind_of_table() -> None:
    for value in (True, 1, 1.0, "true", "True", "1", np.bool_(True)):
        assert flag_of(value, field="is_impossible") is True
    for value in (False, 0, 0.0, "false", "FALSE ", "0"):
        assert flag_of(value, field="is_impossible") is False
    for value in (None, float("nan"), "", " "):
        assert flag_of(value, field="is_impossible") is None
    for value in (2, "maybe", [True]):
        with pytest.raises(ExampleError, match=r"'is_impossible' must be true or false"):
            flag_of(value, field="is_impossible")
