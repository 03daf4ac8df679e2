"""Files of questions in the form of SQuAD, read as tables of a row a question."""

import gzip
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from bert_tf.data.tables.reading import iter_tables, read_table
from bert_tf.data.tables.table import Table

KEY = "finetuning.train_path"
ANSWER = {"text": "서울", "answer_start": 0}
FIRST = {"id": "q1", "question": "수도는?", "answers": [ANSWER]}
SECOND = {"id": "q2", "question": "where?", "answers": []}
CONTEXT = "서울은 한국의 수도이다."


def article(*questions: Any, **fields: Any) -> dict[str, Any]:
    return {"title": "서울", "paragraphs": [{"context": CONTEXT, "qas": [*questions]}]} | fields


def write(path: Path, *articles: Any) -> Path:
    content = {"version": "1.1", "data": [*articles]}
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def read(tmp_path: Path, *articles: Any) -> Table:
    return read_table(write(tmp_path / "dev.json", *articles), key=KEY)


def test_a_file_of_squads_form_has_a_row_a_question(tmp_path: Path) -> None:
    other = {"context": "Oslo.", "qas": [{"question": "q", "id": 3, "answers": []}]}
    table = read(tmp_path, article(FIRST, SECOND), {"paragraphs": [other], "title": "Oslo"})
    assert dict(table.columns) == {
        "id": ["q1", "q2", 3],
        "title": ["서울", "서울", "Oslo"],
        "context": [CONTEXT, CONTEXT, "Oslo."],
        "question": ["수도는?", "where?", "q"],
        "answers": [[ANSWER], [], []],
    }
    assert table.names == ("id", "title", "context", "question", "answers")
    assert table.columns["context"][0] is table.columns["context"][1]


def test_rows_are_named_by_the_ids_of_their_questions(tmp_path: Path) -> None:
    table = read(tmp_path, article(FIRST, SECOND | {"id": None}, SECOND | {"id": 3}))
    path = tmp_path / "dev.json"
    expected = [f"{path}:question q1", f"{path}:row 2", f"{path}:question 3"]
    assert [table.where(row) for row in range(3)] == expected
    assert table.take([2]).where(0) == expected[2]
    other = write(tmp_path / "b.json", article(SECOND))
    assert read_table([path, other], key=KEY).where(3) == f"{other}:question q2"
    parts = list(iter_tables([path, other], key=KEY, batch_rows=3))
    assert [part.where(0) for part in parts] == [expected[0], f"{other}:question q2"]


def test_fields_of_squad_2_and_of_klue_are_columns(tmp_path: Path) -> None:
    plain = {"guid": "g1", "question": "a", "answers": [ANSWER], "is_impossible": False}
    impossible = {
        "guid": "g2",
        "question": "b",
        "answers": [],
        "is_impossible": True,
        "plausible_answers": [ANSWER],
    }
    table = read(tmp_path, article(plain, impossible, news_category="정치", guid="of the article"))
    assert table.names == (
        *("id", "title", "context", "question", "answers", "is_impossible"),
        *("news_category", "plausible_answers"),
    )
    assert table.columns["id"] == ["g1", "g2"]
    assert table.columns["is_impossible"] == [False, True]
    assert table.columns["plausible_answers"] == [None, [ANSWER]]
    assert table.columns["news_category"] == ["정치", "정치"]


def test_a_list_of_articles_and_a_packed_file_are_read_alike(tmp_path: Path) -> None:
    expected = dict(read(tmp_path, article(FIRST)).columns)
    (tmp_path / "list.json").write_text(json.dumps([article(FIRST)], indent=1), encoding="utf-8")
    packed = tmp_path / "dev.json.gz"
    packed.write_bytes(gzip.compress((tmp_path / "dev.json").read_bytes()))
    for path in (tmp_path / "list.json", packed):
        assert dict(read_table(path, key=KEY).columns) == expected


def test_paragraphs_without_questions_stay_a_column(tmp_path: Path) -> None:
    rows = [{"paragraphs": ["a", "b"]}, {"paragraphs": [{"text": "c"}]}, {"paragraphs": None}]
    table = read(tmp_path, *rows)
    assert dict(table.columns) == {"paragraphs": [row["paragraphs"] for row in rows]}
    assert table.where(1).endswith("dev.json:row 2")


def paragraph(**fields: Any) -> dict[str, Any]:
    return {"paragraphs": [fields]}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"title": "a"}, r"article 2: an article must be an object with 'paragraphs'\. .*'title'"),
        ({"paragraphs": 3}, r"article 2: 'paragraphs' of an article must be a list\. .*int, 3"),
        ({"paragraphs": ["a"]}, r"article 2, paragraph 1: a paragraph must be .*Received: 'a'"),
        (paragraph(qas=[]), r"paragraph 1: a paragraph must be an object with 'context', 'qas'"),
        (paragraph(context="a"), r"a paragraph must be .*Received: one with 'context'\."),
        (paragraph(context="a", qas={}), r"'qas' of a paragraph must be a list\. Received: dict"),
        (article([]), r"article 2, paragraph 1, question 1: a question must be an object"),
        (article({"id": "a"}), r"question 1: a question must be an object with 'question'"),
        (
            article(FIRST | {"id": [1]}),
            r"question 1: the 'id' of a question must be text or a whole number\. Received: \[1\]",
        ),
        (
            article({"id": "q9", "question": "a"}),
            r"question q9: every question must have 'answers' .*1 of 2 without",
        ),
    ],
)
def test_malformed_parts_are_named_with_their_place(
    tmp_path: Path, bad: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=rf"dev\.json:.*{message}"):
        read(tmp_path, article(FIRST), bad)


def test_questions_without_answers_are_a_table_to_predict_from(tmp_path: Path) -> None:
    assert read(tmp_path, article({"id": "a", "question": "b"})).names == (
        *("id", "title", "context", "question"),
    )


def test_a_file_without_a_question_has_no_record(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a table needs at least one record"):
        read(tmp_path, article())


def test_ids_that_stand_twice_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert len(read(tmp_path, article(FIRST, SECOND, FIRST))) == 3
    assert "Of 3, 1 have the id of one before: q1 (questions 1 and 3)." in caplog.text


@pytest.mark.parametrize(
    ("name", "num_questions", "num_contexts"), [("train", 4_487, 754), ("dev", 1_287, 209)]
)
def test_korquad_is_read_whole(
    shared_data: Path, name: str, num_questions: int, num_contexts: int
) -> None:
    path = shared_data / f"ko/korquad/{name}.json"
    table = read_table(path, key=KEY)
    assert table.names == ("id", "title", "context", "question", "answers")
    assert len(table) == len(set(table.columns["id"])) == num_questions
    assert len({id(context) for context in table.columns["context"]}) == num_contexts
    assert table.where(0) == f"{path}:question {table.columns['id'][0]}"
