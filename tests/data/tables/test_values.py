import logging
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bert_tf.data.tables import splitting, values
from bert_tf.data.tables.labels import unify_labels
from bert_tf.data.tables.origins import Origins, Source
from bert_tf.data.tables.reading import read_table
from bert_tf.data.tables.table import Table

KEY = "finetuning.label_field"
NFD = unicodedata.normalize("NFD", "긍정")


def column(*cells: Any) -> Table:
    return Table({"x": cells}, Origins.of(Source("a.csv", True), range(2, 2 + len(cells))))


def test_texts_are_text_and_whole_numbers() -> None:
    assert values.texts_of(column(" a ", "", 7), "x", key=KEY) == [" a ", "", "7"]


@pytest.mark.parametrize("cell", [1.0, True, None, ["a"], {"a": 1}])
def test_what_is_no_text_is_refused(cell: Any) -> None:
    with pytest.raises(ValueError, match=r"a\.csv:3: a record needs text or a whole number in 'x'"):
        values.texts_of(column("a", cell), "x", key=KEY)


def test_numbers_are_read() -> None:
    numbers = values.numbers_of(column("4.2", " -4 ", 4, 4.5, "1e-3"), "x", key=KEY)
    assert numbers.dtype == np.float64
    np.testing.assert_array_equal(numbers, [4.2, -4, 4, 4.5, 1e-3])


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("1,5", r"'1,5'\. Write a decimal point"),
        ("nan", "'nan'. Fill it in"),
        (float("inf"), r"inf\."),
        ("1e999", r"'1e999'\."),
        (10**400, r"1000"),
        ("", r"''\. Fill it in"),
        ("1_000", r"'1_000'\."),
        (None, r"None\. Fill it in"),
        (True, r"True\."),
    ],
)
def test_what_is_no_finite_number_is_refused(cell: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"a\.csv:3: a record needs a finite number.*" + message):
        values.numbers_of(column("1", cell), "x", key=KEY)


def test_labels_are_stripped_text() -> None:
    labels = values.labels_of(column(" a ", 1, 2.0, 2.5, True), "x", key=KEY)
    assert labels == ["a", "1", "2", "2.5", "True"]


@pytest.mark.parametrize(
    "cell", ["", " ", "\u200b", None, float("nan"), "nan", "NaN ", "None", "null", "N/A", ["a"]]
)
def test_a_missing_label_is_refused(cell: Any) -> None:
    message = r"a\.csv:3: a record needs a label in 'x'.*or set finetuning\.label_field"
    with pytest.raises(ValueError, match=message):
        values.labels_of(column("a", cell), "x", key=KEY)


@pytest.mark.parametrize(
    "twin", [NFD, "긍정\u200b", "\ufeff긍정", "긍\u2060정", "\u00a0긍정\u3000", "긍정\u202f"]
)
def test_labels_that_look_equal_are_one(twin: str, caplog: pytest.LogCaptureFixture) -> None:
    labels = values.labels_of(column("긍정", twin, "부정", "긍정"), "x", key=KEY)
    assert labels == ["긍정", "긍정", "부정", "긍정"]
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING
    assert "one label, '긍정' (finetuning.label_field): 2 of U+AE0D U+C815; 1 of U+" in caplog.text


def test_a_label_has_one_name_whatever_spellings_a_file_has(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert values.labels_of(column(NFD, NFD), "x", key=KEY) == ["긍정", "긍정"]
    assert values.labels_of(column("a\u00a0 b"), "x", key=KEY) == ["a b"]
    assert not caplog.records


@pytest.mark.parametrize(("one", "two"), [("0", "0.0"), ("0", "00"), ("1.5", "1.50"), ("1", "１")])
def test_labels_that_are_the_same_number_are_refused(one: str, two: str) -> None:
    message = rf"a\.csv:4: .*same number.*Received: '{two}', and '{one}' at a\.csv:2"
    with pytest.raises(ValueError, match=message):
        values.labels_of(column(one, "other", two, one), "x", key=KEY)


def test_labels_that_differ_by_case_are_told(caplog: pytest.LogCaptureFixture) -> None:
    assert values.labels_of(column("Yes", "yes"), "x", key=KEY) == ["Yes", "yes"]
    assert "differ by case alone stay two" in caplog.text
    assert "'Yes' at a.csv:2, 'yes' at a.csv:3" in caplog.text


def test_flags_are_yes_or_no() -> None:
    flags = values.flags_of(column(0, 1, "0", "1 ", True, "FALSE", "true", 1.0), "x", key=KEY)
    np.testing.assert_array_equal(flags, [False, True, False, True, True, False, True, True])
    for cell in ("yes", "", None, 2, float("nan")):
        with pytest.raises(ValueError, match=r"a\.csv:3: a record needs 0 or 1"):
            values.flags_of(column(1, cell), "x", key=KEY)


def test_names_are_lists_or_separated() -> None:
    table = column("a; b", "", None, ["b", 1], '["a", "c;d"]', "a;a;", "[b]", float("nan"))
    names = values.names_of(table, "x", key=KEY, separator=";")
    assert names == [["a", "b"], [], [], ["b", "1"], ["a", "c;d"], ["a"], ["[b]"], []]
    assert values.names_of(column(f"{NFD};긍정"), "x", key=KEY, separator=";") == [["긍정"]]
    for cell in ([None], "a;null", {"a": 1}):
        with pytest.raises(ValueError, match=r"a\.csv:3: a record needs names with ';' between"):
            values.names_of(column("a", cell), "x", key=KEY, separator=";")


def test_texts_that_look_equal_fall_on_the_same_side() -> None:
    texts = [f"아주 긍정 {number}" for number in range(200)]
    twins = [
        unicodedata.normalize("NFD", text).replace(" ", "\u00a0 ") + "\u200b" for text in texts
    ]
    keys = [splitting.text_key(text) for text in texts]
    assert keys == [splitting.text_key(twin) for twin in twins]
    sides = splitting.are_held_out(keys, share=0.3, seed=1)
    assert 30 < sum(sides) < 90
    assert sides != splitting.are_held_out(keys, share=0.3, seed=2)


def test_a_pair_is_compared_as_a_pair() -> None:
    assert splitting.text_key("a", "b") != splitting.text_key("a b")
    assert splitting.text_key("a\x1fb") == splitting.text_key("a b")
    assert splitting.text_key("a", None) == splitting.text_key("a")
    assert splitting.text_key("a", "bc") != splitting.text_key("ab", "c")


def test_duplicates_and_leaks_are_counted() -> None:
    assert splitting.count_duplicates(["a", "b", "a", "a"]) == 2
    assert splitting.find_leaks(["a", "b"], ["c", "b", "a", "b"]) == [1, 2, 3]


def test_the_columns_of_real_tables_are_read(shared_data: Path) -> None:
    unsmile = read_table(shared_data / "ko/unsmile/valid.tsv", key=KEY)
    flags = values.flags_of(unsmile, "악플/욕설", key=KEY)
    assert len(values.texts_of(unsmile, "문장", key=KEY)) == len(flags) > 3_000
    assert 0.1 < flags.mean() < 0.5
    scores = values.numbers_of(
        read_table(shared_data / "ko/korsts/train.tsv", key=KEY), "score", key=KEY
    )
    assert (scores.min(), scores.max(), len(scores)) == (0, 5, 5_749)
    nli = read_table(shared_data / "ko/klue_nli/dev.json", key=KEY)
    assert set(values.labels_of(nli, "gold_label", key=KEY)) == {
        *("entailment", "contradiction", "neutral")
    }
    with pytest.raises(
        ValueError, match=r"valid\.tsv: there must be .*nearest name is '악플/욕설'"
    ):
        unsmile.column("악플 욕설", key=KEY)


def test_of_many_labels_that_look_alike_the_first_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    spellings = ("caf\u00e9", "cafe\u0301", "Caf\u00e9")
    rows = [f"{spelling} {number}" for number in range(500) for spelling in spellings]
    unified = unify_labels(rows, where=lambda row: f"a.csv:{row}", key="key")
    assert len(set(unified)) == 1000
    assert len(caplog.messages) == 22
    assert "Labels that look equal are one label (key): 490 more." in caplog.messages
    assert "Labels that differ by case alone stay two (key): 490 more." in caplog.messages
