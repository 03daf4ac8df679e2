"""Questions, their contexts and answers of tables, and what is done with faults."""

import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bert_tf.data.answer_spans.answers import Answer
from bert_tf.data.answer_spans.reading import ReadQuestions, read_questions
from bert_tf.data.tables.faults import NOTHING
from bert_tf.data.tables.reading import read_table
from bert_tf.data.tables.table import Table
from bert_tf.data.tables.writing import TableWriter

KEY = "finetuning.train_path"
CONTEXT = "한국의 수도는 서울이다. 서울은 크다."
SEOUL = {"text": "서울", "answer_start": 8}
GOOD = {"id": "a", "question": "수도는?", "context": CONTEXT, "answers": [SEOUL]}


def table_of(tmp_path: Path, rows: list[dict[str, Any]]) -> Table:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return read_table(path, key=KEY)


def read(tmp_path: Path, rows: list[dict[str, Any]], **options: Any) -> ReadQuestions:
    return read_questions(table_of(tmp_path, rows), **options)


def test_questions_have_contexts_and_places_of_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rows = [
        GOOD,
        GOOD | {"id": "b", "answers": []},
        GOOD | {"id": "c", "answers": [SEOUL, {"text": "서울은", "answer_start": 14}, SEOUL]},
        GOOD | {"id": "d", "answers": [SEOUL, SEOUL | {"answer_start": 14}]},
    ]
    found = read(tmp_path, rows)
    assert found.questions == ["수도는?"] * 4
    assert found.contexts == [CONTEXT] * 4
    seoul = Answer(8, 10)
    assert found.answers == [(seoul,), (), (seoul, Answer(14, 17)), (seoul, Answer(14, 16))]
    assert CONTEXT[slice(*found.answers[2][1])] == "서울은"
    assert (len(found), len(found.table)) == (4, 4)
    assert found.repaired == found.skipped == found.parting == NOTHING
    assert "Questions: 4 on 1 contexts; 1 have no answer, 2 several." in caplog.text


def test_every_kind_of_table_has_the_same_answers(tmp_path: Path) -> None:
    rows = [GOOD, GOOD | {"id": "b", "answers": []}]
    columns = [
        row | {"answers": {name: [answer[name] for answer in row["answers"]] for name in SEOUL}}
        for row in rows
    ]
    article = {"title": "한국", "paragraphs": [{"context": CONTEXT, "qas": []}]}
    article["paragraphs"][0]["qas"] = [
        {name: row[name] for name in ("id", "question", "answers")} for row in rows
    ]
    (tmp_path / "squad.json").write_text(json.dumps({"data": [article]}), encoding="utf-8")
    pd.DataFrame(columns).to_parquet(tmp_path / "a.parquet")
    frame = pd.DataFrame(rows)
    frame["answers"] = frame["answers"].map(json.dumps)
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    sources = [
        *(tmp_path / name for name in ("squad.json", "a.parquet", "a.csv", "a.tsv")),
        pd.read_parquet(tmp_path / "a.parquet"),
        rows,
        columns,
    ]
    for source in sources:
        found = read_questions(read_table(source, key=KEY))
        assert found.answers == [(Answer(8, 10),), ()]
        assert found.contexts == [CONTEXT] * 2


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet"])
def test_a_table_that_was_written_has_the_same_answers(tmp_path: Path, kind: str) -> None:
    rows = [GOOD | {"answers": []}, GOOD, GOOD | {"answers": []}]
    batches = [read_table(rows[:1], key=KEY), read_table(rows[1:], key=KEY)]
    with TableWriter(tmp_path / f"a{kind}", settings={}) as writer:
        for batch in batches:
            writer.append(batch.columns)
        writer.finish()
    table = read_table(tmp_path / f"a{kind}", key=KEY)
    assert read_questions(table).answers == [(), (Answer(8, 10),), ()]


def test_a_fault_of_squads_form_is_named_by_its_question(tmp_path: Path) -> None:
    question = {"id": "5733be28", "question": "수도는?"} | answer("서울", 3)
    articles = [{"paragraphs": [{"context": CONTEXT, "qas": [question]}]}]
    (tmp_path / "dev.json").write_text(json.dumps({"data": articles}), encoding="utf-8")
    table = read_table(tmp_path / "dev.json", key=KEY)
    with pytest.raises(ValueError, match=r"dev\.json:question 5733be28: an answer's text must"):
        read_questions(table)


def test_plausible_answers_are_none(tmp_path: Path) -> None:
    impossible = {"answers": [], "is_impossible": True, "plausible_answers": [SEOUL]}
    rows = [GOOD | {"is_impossible": False}, GOOD | impossible]
    assert read(tmp_path, rows).answers == [(Answer(8, 10),), ()]


def test_columns_have_the_names_that_are_given(tmp_path: Path) -> None:
    row = {"q": "수도는?", "passage": {"text": CONTEXT}, "gold": [SEOUL]}
    fields = {"question_field": "q", "context_field": "passage.text", "answers_field": "gold"}
    assert read(tmp_path, [row], **fields).answers == [(Answer(8, 10),)]
    for field, setting in (
        ("question_field", r"finetuning\.text_field"),
        ("context_field", r"finetuning\.text_pair_field"),
        ("answers_field", r"finetuning\.task\.answers_field"),
    ):
        message = rf"must be a column 'no'\..*Set {setting} .*Questions are read from the columns"
        with pytest.raises(ValueError, match=message):
            read(tmp_path, [row], **fields | {field: "no"})


def answer(text: str, start: Any) -> dict[str, Any]:
    return {"answers": [{"text": text, "answer_start": start}]}


UNREPAIRABLE = [
    ({"question": ""}, r"an example needs a text in 'question'\. Received: ''"),
    ({"question": None}, r"an example needs a text in 'question'\. Received: None"),
    ({"context": " \u200b"}, r"an example needs a text in 'context'.*nothing to read"),
    ({"answers": 3}, r"answers in 'answers' must be a list"),
    (answer("부산", 8), r"Received: '부산' at 8, where the context has '서울', and nowhere else\."),
    (answer("서울", -1), r"whole number from 0 to 20 that counts .*Received: '서울' at -1\."),
    (answer("서울", 99), r"Received: '서울' at 99\."),
    (answer("서울", "8"), r"Received: '서울' at '8'\."),
    ({"is_impossible": "no"}, r"'is_impossible' must be true or false"),
    ({"is_impossible": False, "answers": []}, r"must have an answer if 'is_impossible' is false"),
]


@pytest.mark.parametrize(("change", "message"), UNREPAIRABLE)
def test_questions_at_fault_are_named_or_left_out(
    tmp_path: Path, change: dict[str, Any], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [GOOD, GOOD | {"id": "bad"} | change, GOOD | {"id": "c"}]
    with pytest.raises(
        ValueError, match=rf"a\.jsonl:2 \(id bad\): .*{message}.*faults=skip leaves out such quest"
    ):
        read(tmp_path, rows)
    for policy in ("skip", "repair"):
        found = read(tmp_path, rows, faults=policy)
        assert found.table.columns["id"] == ["a", "c"]
        assert found.answers == [(Answer(8, 10),)] * 2
        assert found.skipped.num == 1
        assert "a.jsonl:2 (id bad): " in found.skipped.first[0]
        assert not found.repaired
    assert "Questions at fault that are left out: 1 of 3." in caplog.text


REPAIRABLE = [
    (answer("서울", 9), r"Received: '서울' at 9, .*has '울이'\. .*=repair reads it at 8", (8, 10)),
    (answer("서울", 13), r"=repair reads it at 14", (14, 16)),
    (answer(" 서울이다\n", 8), r"=repair reads it at 8", (8, 12)),
    (answer("한국의", -1), r"=repair reads it at 0", (0, 3)),
    (answer("한국의", None), r"=repair reads it at 0", (0, 3)),
    (answer(" ", 3), r"an answer must have a text\. Received: ' ' at 3.*write \[\]", None),
    (
        {"is_impossible": True},
        r"must have no answer if 'is_impossible' is true.*=repair takes such answers out",
        None,
    ),
]


@pytest.mark.parametrize(("change", "message", "expected"), REPAIRABLE)
def test_faults_are_repaired_and_told(
    tmp_path: Path,
    change: dict[str, Any],
    message: str,
    expected: tuple[int, int] | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [GOOD, GOOD | {"id": "bad"} | change]
    with pytest.raises(ValueError, match=rf"a\.jsonl:2 \(id bad\): .*{message}"):
        read(tmp_path, rows)
    assert read(tmp_path, rows, faults="skip").skipped.num == 1
    found = read(tmp_path, rows, faults="repair")
    assert found.answers[1] == (() if expected is None else (Answer(*expected),))
    assert (found.repaired.num, found.skipped.num) == (1, 0)
    assert "a.jsonl:2 (id bad): " in found.repaired.first[0]
    assert "Answers are repaired: 1." in caplog.text


EMOJI = "\U0001f600 서울은 \U0001f600 서울이다"


@pytest.mark.parametrize(("unit", "starts"), [("UTF-16 units", (3, 10)), ("UTF-8 bytes", (5, 20))])
def test_other_units_are_noticed(tmp_path: Path, unit: str, starts: tuple[int, int]) -> None:
    row = GOOD | {"context": EMOJI}
    rows = [GOOD | answer("한국의", 0), *(row | answer("서울", start) for start in starts)]
    message = rf"All 2 answers that do not stand at their start do so if it counts {unit}\."
    with pytest.raises(ValueError, match=rf"a\.jsonl:2 .*{message}.*=repair reads it at 2"):
        read(tmp_path, rows)
    found = read(tmp_path, rows, faults="repair")
    assert found.answers == [(Answer(0, 3),), (Answer(2, 4),), (Answer(8, 10),)]
    assert found.repaired.num == 2
    rows.append(row | answer("서울", 3 if unit == "UTF-8 bytes" else 1))
    with pytest.raises(ValueError, match=r"a\.jsonl:2 .*=repair reads it at 2") as error:
        read(tmp_path, rows)
    assert unit not in str(error.value)


def test_an_answer_that_fits_by_chance_is_read_in_the_unit_of_all(tmp_path: Path) -> None:
    context = "서울 서울 1 \U0001f600 1"
    rows = [GOOD | {"context": context} | answer(*it) for it in (("서울", 7), ("1", 14), ("울", 3))]
    assert context.encode()[14:15] == b"1"
    found = read(tmp_path, rows, faults="repair")
    assert found.answers == [(Answer(3, 5),), (Answer(6, 7),), (Answer(1, 2),)]


def test_answers_that_part_a_character_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [GOOD | {"context": "cafe\u0301"} | answer("cafe", 0)]
    found = read(tmp_path, rows)
    assert found.answers == [(Answer(0, 4),)]
    assert (found.parting.num, len(found.parting.first)) == (1, 1)
    assert "inside of one character, as people see it: 1" in caplog.text


def test_nothing_is_read_of_questions_that_are_all_at_fault(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.jsonl:1: .*at least one row.*1 with one"):
        read(tmp_path, [GOOD | {"question": ""}], faults="skip")


@pytest.mark.parametrize(("name", "num_questions"), [("train", 4_487), ("dev", 1_287)])
def test_every_answer_of_korquad_stands_where_it_says(
    shared_data: Path, name: str, num_questions: int
) -> None:
    table = read_table(shared_data / f"ko/korquad/{name}.json", key=KEY)
    found = read_questions(table)
    assert len(found) == num_questions
    assert found.repaired == found.skipped == NOTHING
    assert all(found.answers)
    for row, (context, answers) in enumerate(zip(found.contexts, found.answers, strict=True)):
        expected = [written["text"] for written in table.columns["answers"][row]]
        assert [context[slice(*place)] for place in answers] == expected
