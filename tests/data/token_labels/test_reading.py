"""Labelled texts of tokens with tags, and of texts with entities."""

import json
import logging
import unicodedata
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bert_tf.data.tables.reading import read_table
from bert_tf.data.tables.table import Table
from bert_tf.data.token_labels.reading import LabelledTexts, read_labelled_texts
from bert_tf.data.token_labels.spans import Span

KEY = "finetuning.train_path"
TAGGED = [
    {"id": "a", "tokens": ["서울", "에", "김", "씨"], "tags": ["B-LC", "O", "B-PS", "I-PS"]},
    {"id": "b", "tokens": ["없다"], "tags": ["O"]},
]
SPANNED = [
    {
        "id": "a",
        "text": "서울에 김 씨",
        "entities": [{"start": 4, "end": 7, "label": "PS"}, [0, 2, "LC"]],
    },
    {"id": "b", "text": "없다", "entities": []},
]


def table_of(tmp_path: Path, rows: list[dict[str, Any]]) -> Table:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return read_table(path, key=KEY)


def read(tmp_path: Path, rows: list[dict[str, Any]], **options: Any) -> LabelledTexts:
    return read_labelled_texts(table_of(tmp_path, rows), **options)


def test_tokens_with_tags_make_a_text_with_spans(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    read_texts = read(tmp_path, TAGGED)
    assert read_texts.texts == ["서울 에 김 씨", "없다"]
    assert read_texts.spans == [(Span(0, 2, "LC"), Span(5, 8, "PS")), ()]
    assert read_texts.words == [((0, 2), (3, 4), (5, 6), (7, 8)), ((0, 2),)]
    assert (read_texts.scheme, read_texts.has_label_per_word) == ("BIO", False)
    assert (read_texts.repaired.num, read_texts.skipped.num, len(read_texts)) == (0, 0, 2)
    assert "2 with 2 spans of 2 labels, tags read as BIO (B-LABEL)" in caplog.text


def test_texts_with_entities_are_read(tmp_path: Path) -> None:
    read_texts = read(tmp_path, SPANNED)
    assert read_texts.texts == ["서울에 김 씨", "없다"]
    assert read_texts.spans == [(Span(0, 2, "LC"), Span(4, 7, "PS")), ()]
    assert (read_texts.words, read_texts.scheme) == ([None, None], None)
    typed = [{"text": "서울에", "entities": [{"start": 0, "end": 2, "type": "LC", "text": "서울"}]}]
    assert read(tmp_path, typed).spans == [(Span(0, 2, "LC"),)]


def test_every_kind_of_table_has_either_form(tmp_path: Path) -> None:
    for rows in (TAGGED, SPANNED[1:]):
        expected = read(tmp_path, rows).spans
        frame = pd.DataFrame(rows)
        frame.to_parquet(tmp_path / "a.parquet")
        frame.to_json(tmp_path / "a.json", orient="records")
        texts = frame.map(lambda cell: cell if isinstance(cell, str) else json.dumps(cell))
        texts.to_csv(tmp_path / "a.csv", index=False)
        for source in (
            tmp_path / "a.parquet",
            tmp_path / "a.json",
            tmp_path / "a.csv",
            frame,
            rows,
        ):
            assert read_labelled_texts(read_table(source, key=KEY)).spans == expected


def test_tokens_are_looked_up_in_a_text(tmp_path: Path) -> None:
    rows = [TAGGED[0] | {"text": "  서울에\n김씨 "}]
    read_texts = read(tmp_path, rows)
    assert read_texts.texts == ["  서울에\n김씨 "]
    assert read_texts.words == [((2, 4), (4, 5), (6, 7), (7, 8))]
    assert read_texts.spans == [(Span(2, 4, "LC"), Span(6, 8, "PS"))]
    assert read(tmp_path, rows, text_field=None).texts == ["서울 에 김 씨"]
    for text, message in (
        (
            "서울의 김씨",
            r"token 2, '에', where the text goes on with '의 김씨'.*take out the column",
        ),
        ("서울에 김씨!", r"must be all of their text\. Received: '!' behind the last one"),
    ):
        with pytest.raises(ValueError, match=rf"a\.jsonl:1 \(id a\): .*{message}"):
            read(tmp_path, [TAGGED[0] | {"text": text}])


def test_characters_are_joined_with_nothing(tmp_path: Path) -> None:
    row = {"tokens": ["김", " ", "씨"], "tags": ["B-PS", "I-PS", "I-PS"]}
    assert read(tmp_path, [row]).spans == [(Span(0, 3, "PS"),)]
    assert read(tmp_path, [row], joined="space").texts == ["김   씨"]


def test_a_label_a_word_is_one_of_plain_tags(tmp_path: Path) -> None:
    rows = [{"tokens": ["나는", "간다"], "tags": ["NP+JX", "VV+EF"]}]
    read_texts = read(tmp_path, rows)
    assert read_texts.has_label_per_word
    assert read_texts.spans == [(Span(0, 2, "NP+JX"), Span(3, 5, "VV+EF"))]


def test_labels_that_look_alike_are_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = unicodedata.normalize("NFD", "인명")
    tagged = [{"tokens": ["김", "씨가"], "tags": ["B-인명", f"I-{other}"]}]
    assert read(tmp_path, tagged).spans == [(Span(0, 4, "인명"),)]
    assert "Labels that look equal are one label, 'I-인명'" not in caplog.text
    spanned = [{"text": "김씨", "entities": [[0, 1, "인명"], [1, 2, f" {other}"]]}]
    assert read(tmp_path, spanned).spans == [(Span(0, 1, "인명"), Span(1, 2, "인명"))]


def test_the_columns_of_neither_form_or_of_both_are_refused(tmp_path: Path) -> None:
    both_forms = (
        r"tokens \('tokens'\) and of their tags \('tags'\), or texts \('text'\) and lists of "
    )
    for row in (
        {"text": "a"},
        {"tokens": ["a"]},
        {"tokens": ["a"], "ner_tags": ["O"], "text": "a"},
    ):
        with pytest.raises(
            ValueError, match=rf"a\.jsonl:1: .*{both_forms}.*Name the columns with "
        ):
            read(tmp_path, [row])
    rows = [TAGGED[0] | SPANNED[0]]
    with pytest.raises(ValueError, match=r"those of both .*Set finetuning\.task\.tags_field or "):
        read(tmp_path, rows)
    assert read(tmp_path, rows, tags_field=None).scheme is None
    renamed = [{"ner": {"words": ["a"], "tags": ["B-X"]}}]
    options = {"tokens_field": "ner.words", "tags_field": "ner.tags"}
    assert read(tmp_path, renamed, **options).spans == [(Span(0, 1, "X"),)]


BAD_TAGGED = [
    ({"tags": ["O"]}, r"every token must have one tag\. Received: 2 tokens in 'tokens', 1 tags"),
    ({"tags": None}, r"tags in 'tags' must be a list\. Received: None"),
    ({"tags": "O O"}, r"tags in 'tags' must be a list\. Received: 'O O'"),
    ({"tags": ["O", 3]}, r"tags in 'tags' must be text\. Received: 3, number 2\. .*ClassLabel"),
    ({"tags": ["O", "B-"]}, r"every tag must have a label\. Received: 'B-', number 2\."),
    ({"tags": ["O", " "]}, r"tags in 'tags' must not be empty"),
    ({"tokens": ["ab", ""]}, r"tokens in 'tokens' must not be empty\. Received: '', number 2\."),
    ({"tokens": [], "tags": []}, r"an example needs a text\. Received: no token in 'tokens'"),
    ({"tokens": [" ", " "]}, r"an example needs a text\. Received: ' ', ' ' in 'tokens'"),
]
GOOD_TAGGED = {"id": 6, "tokens": ["ab", "cd"], "tags": ["B-X", "O"]}


@pytest.mark.parametrize(("change", "message"), BAD_TAGGED)
def test_rows_of_tags_at_fault_are_named_or_left_out(
    tmp_path: Path, change: dict[str, Any], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [GOOD_TAGGED, GOOD_TAGGED | {"id": 7} | change, GOOD_TAGGED | {"id": 8}]
    place = r"a\.jsonl:2 \(id 7\): "
    with pytest.raises(ValueError, match=f"{place}{message}.*faults=skip"):
        read(tmp_path, rows)
    read_texts = read(tmp_path, rows, faults="skip")
    assert read_texts.table.columns["id"] == [6, 8]
    assert read_texts.spans == [(Span(0, 2, "X"),)] * 2
    assert read_texts.skipped.num == 1
    assert "a.jsonl:2 (id 7): " in read_texts.skipped.first[0]
    assert "Rows at fault that are left out: 1 of 3." in caplog.text


BAD_SPANNED = [
    ({"text": ""}, r"an example needs a text in 'text'\. Received: ''"),
    ({"text": " \u200b"}, r"an example needs a text in 'text'.*nothing to read"),
    ({"text": None}, r"an example needs a text in 'text'\. Received: None"),
    (
        {"entities": None},
        r"entities in 'entities' must be a list \(\[\] for none\)\. Received: None",
    ),
    ({"entities": [[0, 2]]}, r"an entity must be an object with start, end and label.*\[0, 2\]"),
    ({"entities": [["0", 2, "X"]]}, r"an entity must be .*start and end whole numbers"),
    (
        {"entities": [{"start": 0, "end": 2}]},
        r"an entity must be .*label text\. Received: \{'start'",
    ),
    ({"entities": [[0, 2, " "]]}, r"an entity must have a label"),
    ({"entities": [[0, 9, "X"]]}, r"a span must lie inside .*end <= 4\. Received: start 0, end 9"),
    ({"entities": [[0, 2, "X"], [1, 3, "Y"]]}, r"spans must not overlap"),
    ({"text": "e\u0301a", "entities": [[0, 1, "X"]]}, r"a span must not part a character"),
    (
        {"entities": [{"start": 0, "end": 2, "label": "X", "text": "bc"}]},
        r"an entity's text must be what stands at its offsets\. Received: 'bc', but 'ab' at 0 to 2",
    ),
]


@pytest.mark.parametrize(("change", "message"), BAD_SPANNED)
def test_rows_of_entities_at_fault_are_named_or_left_out(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    good = {"id": 6, "text": "abcd", "entities": [[0, 2, "X"]]}
    rows = [good, good | {"id": 7} | change]
    with pytest.raises(ValueError, match=rf"a\.jsonl:2 \(id 7\): {message}"):
        read(tmp_path, rows)
    read_texts = read(tmp_path, rows, faults="skip")
    assert (len(read_texts), len(read_texts.table), read_texts.skipped.num) == (1, 1, 1)


def test_tags_whose_tokens_part_a_character_are_refused(tmp_path: Path) -> None:
    rows = [{"tokens": ["e", "\u0301", "a"], "tags": ["B-X", "O", "O"]}]
    with pytest.raises(ValueError, match=r"a\.jsonl:1: a span must not part a character"):
        read(tmp_path, rows)


def test_broken_tags_are_repaired_and_told_or_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [*TAGGED, {"id": "c", "tokens": ["그", "김", "씨"], "tags": ["O", "I-PS", "I-LC"]}]
    read_texts = read(tmp_path, rows)
    assert read_texts.spans[2] == (Span(2, 3, "PS"), Span(4, 5, "LC"))
    assert read_texts.repaired.num == 2
    assert read_texts.repaired.first[0].endswith("a.jsonl:3 (id c): I-PS behind O, from token 2 on")
    assert (
        "begins an entity (finetuning.task.broken_tags=refuse refuses them): 2, in" in caplog.text
    )
    message = (
        r"a\.jsonl:3 \(id c\): tags must be as BIO \(B-LABEL\) has them\. Received: I-PS behind O"
    )
    with pytest.raises(ValueError, match=message):
        read(tmp_path, rows, broken_tags="refuse")
    left = read(tmp_path, rows, broken_tags="refuse", faults="skip")
    assert (len(left), left.skipped.num, left.repaired.num) == (2, 1, 0)


def test_two_schemes_are_refused_whatever_is_done_with_faults(tmp_path: Path) -> None:
    rows = [*TAGGED, {"tokens": ["김", "씨"], "tags": ["PS", "O"]}]
    for faults in ("error", "skip"):
        with pytest.raises(ValueError, match=r"a\.jsonl:3, token 1: all tags must have a letter"):
            read(tmp_path, rows, faults=faults)
    with pytest.raises(ValueError, match=r"a\.jsonl:3: every tag must be one of the scheme BIO"):
        read(tmp_path, rows, scheme="BIO")
    assert read(tmp_path, rows, scheme="BIO", faults="skip").skipped.num == 1


def test_nothing_is_read_of_rows_that_are_all_at_fault(tmp_path: Path) -> None:
    rows = [{"tokens": ["a"], "tags": []}] * 7
    with pytest.raises(ValueError, match=r"a\.jsonl:1: .*at least one row.*7 with one") as error:
        read(tmp_path, rows, faults="skip")
    assert "and 2 more" in str(error.value)


def test_labels_that_are_the_same_number_are_refused(tmp_path: Path) -> None:
    rows = [{"text": "ab", "entities": [[0, 1, "1"], [1, 2, "1.0"]]}]
    with pytest.raises(ValueError, match=r"a\.jsonl:1: labels that are the same number"):
        read(tmp_path, rows)
