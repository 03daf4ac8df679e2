"""Texts that print alike are told apart by their code points, wherever one is asked for."""

import unicodedata
from pathlib import Path

import pytest

from bert_tf.config import Config
from bert_tf.config.keys import unknown_keys
from bert_tf.config.reading import load_config
from bert_tf.data.tables.finding import table_files
from bert_tf.data.tables.table import Table
from bert_tf.models.description import load_description
from bert_tf.system.lookalikes import alike_hint, alike_pairs, looks_of, path_hint, tell_apart
from bert_tf.tasks.table import find_task
from bert_tf.tasks.texts import values_by_name

HANGUL = "감정"
NFD = unicodedata.normalize("NFD", HANGUL)


@pytest.mark.parametrize(
    ("received", "other", "told"),
    [
        (NFD, HANGUL, r"character 1 is U+1100 U+1161 U+11B7"),
        (
            "l\u0430bel",
            "label",
            "2 is U+0430 (CYRILLIC SMALL LETTER A) in the first, U+0061",
        ),
        (
            "label\u200b",
            "label",
            "6 is U+200B (ZERO WIDTH SPACE) in the first, missing in",
        ),
        ("a\u00a0b", "a b", "U+00A0 (NO-BREAK SPACE)"),
        ("label ", "label", "U+0020 (SPACE) in the first, missing in the second"),
        ("\uff4cabel", "label", "FULLWIDTH LATIN SMALL LETTER L"),
        ("a\u2013b", "a-b", "U+2013 (EN DASH)"),
        ("lab\u00adel", "label", "SOFT HYPHEN"),
        ("\u0441\u043e\u0440", "cop", "U+0441 U+043E U+0440 in the first, U+0063 U+006F U+0070"),
        ("a\x00b", "ab", "U+0000 (without a name)"),
    ],
)
def test_what_prints_alike_is_told_apart_by_code_points(received: str, other: str, told: str):
    assert told in tell_apart(received, other)
    assert told in alike_hint(received, ["x", other, other])


@pytest.mark.parametrize(
    ("received", "other"),
    [("label", "label"), ("label", "Label"), ("cafe", "caf\u00e9"), ("1", "l"), (HANGUL, "감성")],
)
def test_what_is_equal_or_looks_different_is_not_told_apart(received: str, other: str):
    assert tell_apart(received, other) == ""


def test_long_differences_are_cut():
    told = tell_apart(unicodedata.normalize("NFD", "가나다라마바사"), "가나다라마바사")
    assert told.count("U+") <= 16
    assert "…" in told


def test_pairs_that_print_alike_are_found():
    assert alike_pairs(["a", "b", "\u0430", "b"]) == [("a", "\u0430")]
    assert looks_of(NFD) == looks_of(HANGUL)


def test_a_path_in_another_unicode_form_is_named(tmp_path: Path):
    (tmp_path / NFD).mkdir()
    (tmp_path / NFD / "a.csv").touch()
    assert "U+1100" in path_hint(tmp_path / HANGUL / "a.csv")
    assert "U+1100" in path_hint(tmp_path / f"{HANGUL}*")
    assert path_hint(tmp_path / "other") == ""
    assert path_hint(tmp_path / NFD / "a.csv") == ""


def test_every_error_that_asks_for_one_of_a_list_tells_it(tmp_path: Path):
    (tmp_path / f"{NFD}.csv").touch()
    (tmp_path / f"{NFD}.yaml").touch()
    (tmp_path / NFD).mkdir()
    table = Table.from_columns({NFD: ["a"]})
    objects = Table.from_columns({"labels": [{NFD: "a"}]})
    calls = [
        lambda: table.column(HANGUL, key="finetuning.label_field"),
        lambda: objects.column(f"labels.{HANGUL}", key="finetuning.label_field"),
        lambda: Table.concatenate([table, Table.from_columns({HANGUL: ["a"]})]),
        lambda: table_files([tmp_path / f"{HANGUL}.csv"], key="finetuning.train_path"),
        lambda: table_files([tmp_path / f"{HANGUL}*.csv"], key="finetuning.train_path"),
        lambda: load_config(tmp_path / f"{HANGUL}.yaml"),
        lambda: load_description(tmp_path / HANGUL),
        lambda: values_by_name({HANGUL: 1.0}, [NFD], default=1.0, key="weights", what="classes"),
    ]
    for call in calls:
        with pytest.raises((ValueError, FileNotFoundError), match=r"U\+1100 U\+1161"):
            call()


def test_names_of_settings_and_tasks_are_told_apart():
    with pytest.raises(ValueError, match=r"U\+0430 \(CYRILLIC"):
        find_task("cl\u0430ssification")
    (line,) = unknown_keys(Config, {"s\u0435ed": 1})
    assert "U+0435" in line
    with pytest.raises(ValueError, match=r"quoting: .*U\+0441 \(CYRILLIC SMALL LETTER ES\)"):
        load_config(overrides=["finetuning.table.quoting=\u0441sv"])
