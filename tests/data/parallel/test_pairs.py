"""Pairs of sources and targets: of two columns, and of texts with and without their spaces."""

import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from bert_tf.data.parallel.reading import PairColumns, ReadPairs, iter_pairs, read_pairs
from bert_tf.data.parallel.spacing import without_spaces
from bert_tf.data.tables.reading import read_table
from bert_tf.data.tables.table import Table

WHITE_SPACE = {
    *range(0x9, 0xE),
    *(0x20, 0x85, 0xA0, 0x1680),
    *range(0x2000, 0x200B),
    *(0x2028, 0x2029, 0x202F, 0x205F, 0x3000),
}
"""PropList.txt of Unicode 15.1, White_Space."""


def read(table: Table, **options: Any) -> ReadPairs:
    return read_pairs(table, PairColumns(**options))


def files(folder: Path, sources: str, targets: str) -> Table:
    (folder / "t.en").write_text(sources)
    (folder / "t.de").write_text(targets)
    return read_table(folder / "t.{en,de}", key="finetuning.train_path")


def test_any_two_columns_are_pairs_and_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('en,de,id\n" a [MASK] ","<s> ein\n",7\n')
    pairs = read(
        read_table(path, key="finetuning.train_path"), source_field="en", target_field="de"
    )
    assert (pairs.sources, pairs.targets) == ([" a [MASK] "], ["<s> ein\n"])
    assert pairs.table.columns["id"] == ["7"]
    assert not pairs.skipped


@pytest.mark.parametrize("blank", ["", " ", "\t\u3000", "\u200b"])
def test_a_side_without_text_is_named_by_its_own_file_and_line(tmp_path: Path, blank: str) -> None:
    with pytest.raises(ValueError, match=r"t\.en:2: .* a text in 'source'\. .* nothing to read"):
        read(files(tmp_path, f"a\n{blank}\n", "1\n2\n"))
    with pytest.raises(ValueError, match=r"t\.de:1: .* a text in 'target'.*\.faults=skip leaves"):
        read(files(tmp_path, "a\nb\n", f"{blank}\n2\n"))


def test_pairs_without_text_on_a_side_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = files(tmp_path, "a\n\nc\nd\n", "1\n2\n\n4\n")
    pairs = read(table, faults="skip")
    assert list(zip(pairs.sources, pairs.targets, strict=True)) == [("a", "1"), ("d", "4")]
    assert [pairs.table.where(row)[-1] for row in range(2)] == ["1", "4"]
    assert pairs.skipped.num == 2
    assert "2 pairs left out, of 4:" in caplog.text
    assert "t.en:2" in caplog.text
    assert "t.de:3" in caplog.text
    with pytest.raises(ValueError, match="at least one row without a fault"):
        read(files(tmp_path, "\n", "1\n"), faults="skip")


def test_columns_must_be_there_and_be_two() -> None:
    table = Table.from_columns({"en": ["a"], "de": ["b"]})
    with pytest.raises(ValueError, match=r"text_field and finetuning\.label_field must name two"):
        read(table, source_field="en", target_field="en")
    with pytest.raises(ValueError, match="there must be a column 'fr'"):
        read(table, source_field="fr", target_field="de")
    numbers = Table.from_columns({"source": [1.5], "target": ["b"]})
    with pytest.raises(ValueError, match=r"row 1: an example needs a text in 'source'"):
        read(numbers)


def test_every_character_of_white_space_is_a_space_and_no_other() -> None:
    for code in range(sys.maxunicode + 1):
        text = f"가{chr(code)}나"
        expected = ("가나", "가 나") if code in WHITE_SPACE else (text, text)
        assert without_spaces(text) == expected, hex(code)
    assert all(unicodedata.category(chr(code)) in ("Zs", "Cc", "Zl", "Zp") for code in WHITE_SPACE)


@pytest.mark.parametrize(
    ("text", "source", "target"),
    [
        ("  나는  학교에\u3000간다.\r\n", "나는학교에간다.", "나는 학교에 간다."),
        ("나\u200b는 [MASK] ㅤ", "나\u200b는[MASK]ㅤ", "나\u200b는 [MASK] ㅤ"),
        ("한", "한", "한"),
        (" \u2003\n", "", ""),
    ],
)
def test_the_target_differs_from_the_source_in_its_spaces_alone(
    text: str, source: str, target: str
) -> None:
    assert without_spaces(text) == (source, target)
    assert target.replace(" ", "") == source


def test_texts_become_pairs_and_blank_ones_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "나는 간다"}\n{"text": " "}\n')
    table = read_table(path, key="finetuning.train_path")
    with pytest.raises(ValueError, match=r"t\.jsonl:2: .* nothing to read"):
        read(table, target_field="text", made_by="spacing")
    pairs = read(table, target_field="text", made_by="spacing", faults="skip")
    assert (pairs.sources, pairs.targets) == (["나는간다"], ["나는 간다"])
    assert len(pairs) == len(pairs.table) == 1
    assert pairs.skipped.num == 1


def test_pairs_of_many_tables_are_counted_together(caplog: pytest.LogCaptureFixture) -> None:
    tables = [
        Table.from_columns({"source": sources, "target": ["x"] * len(sources)})
        for sources in (["a", ""], [""], ["b"])
    ]
    parts = list(iter_pairs(tables, PairColumns(faults="skip")))
    assert [part.sources for part in parts] == [["a"], [], ["b"]]
    assert [part.skipped.num for part in parts] == [1, 1, 0]
    assert "2 pairs left out, of 4:" in caplog.text


def test_texts_alone_are_targets() -> None:
    table = Table.from_columns({"text": [" a  b", "c"]})
    pairs = read(table, target_field="text", made_by="text")
    assert (pairs.sources, pairs.targets) == (["", ""], [" a  b", "c"])
