"""Two files whose lines belong together: how they are found, read and refused."""

import gzip
from pathlib import Path
from typing import Any

import pytest
import zstandard

from bert_tf.config import TableConfig
from bert_tf.data.tables.reading import iter_tables, named_files, read_table
from bert_tf.data.tables.table import Table
from bert_tf.tracking.provenance import table_inputs

KEY = "finetuning.train_path"


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    packed = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}
    path.write_bytes(packed.get(path.suffix, bytes)(data))
    return path


def read(source: Any, **settings: Any) -> Table:
    return read_table(source, config=TableConfig(**settings), key=KEY)


def pairs(table: Table) -> list[tuple[str, str]]:
    return list(zip(table.columns["source"], table.columns["target"], strict=True))


@pytest.mark.parametrize(
    ("source", "target", "name"),
    [
        ("train.en", "train.de", "train.{en,de}"),
        ("train.en.gz", "train.de.gz", "train.{en,de}.gz"),
        ("train.en.gz", "train.de.zst", "train.{en.gz,de.zst}"),
        ("en/train.en.zst", "de/train.de.zst", "{en,de}/train.{en,de}.zst"),
        ("source.txt", "target.txt", "{source,target}.txt"),
        ("a.txt", "a.b.txt", "a{,.b}.txt"),
    ],
)
def test_a_name_with_braces_is_a_source_and_a_target(
    tmp_path: Path, source: str, target: str, name: str
) -> None:
    write(tmp_path / source, "a dog\na cat\n")
    write(tmp_path / target, "ein Hund\neine Katze\n")
    table = read(str(tmp_path / name))
    assert pairs(table) == [("a dog", "ein Hund"), ("a cat", "eine Katze")]
    assert table.where(1) == f"{tmp_path / name}:2"
    assert table.where(1, side=0) == f"{tmp_path / source}:2"
    assert table.where(1, side=1) == f"{tmp_path / target}:2"
    assert named_files(str(tmp_path / name)) == [tmp_path / source, tmp_path / target]


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    inside = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"
    write(tmp_path / "t.en", f"{inside}\r\nlast")
    write(tmp_path / "t.de", f"one\n{inside}\r\n")
    assert pairs(read(tmp_path / "t.{en,de}")) == [(inside, "one"), ("last", inside)]


def test_a_file_of_carriage_returns_alone_is_read_by_these(tmp_path: Path) -> None:
    write(tmp_path / "t.en", "a\rb\rc\r")
    write(tmp_path / "t.de", "1\n2\n3\n")
    assert pairs(read(tmp_path / "t.{en,de}")) == [("a", "1"), ("b", "2"), ("c", "3")]


def test_empty_lines_are_rows_with_their_numbers(tmp_path: Path) -> None:
    write(tmp_path / "t.en", "a\n\nc\n")
    write(tmp_path / "t.de", "1\n2\n\n")
    assert pairs(read(tmp_path / "t.{en,de}")) == [("a", "1"), ("", "2"), ("c", "")]


@pytest.mark.parametrize("num_rows", [1, 2, 3, 5, 100])
def test_rows_come_some_at_a_time(tmp_path: Path, num_rows: int) -> None:
    write(tmp_path / "t.en", "".join(f"en {n}\n" for n in range(5)))
    write(tmp_path / "t.de", "".join(f"de {n}\n" for n in range(5)))
    tables = list(iter_tables(tmp_path / "t.{en,de}", key=KEY, batch_rows=num_rows))
    assert max(map(len, tables)) <= num_rows
    assert pairs(Table.concatenate(tables)) == [(f"en {n}", f"de {n}") for n in range(5)]
    assert Table.concatenate(tables).where(4).endswith("t.{en,de}:5")


@pytest.mark.parametrize("num_rows", [2, 3, 4, 100])
@pytest.mark.parametrize("shorter", ["en", "de"])
def test_files_of_other_numbers_of_lines_are_refused(
    tmp_path: Path, shorter: str, num_rows: int
) -> None:
    longer = {"en": "de", "de": "en"}[shorter]
    write(tmp_path / f"t.{shorter}", "a\nb\nc")
    write(tmp_path / f"t.{longer}", "1\n" * 1003)
    with pytest.raises(
        ValueError,
        match=rf"t\.{shorter}:4: .* as many lines\. Received: 3 lines, while .*t\.{longer} has "
        "1,003: from line 4 on it has none beside it",
    ):
        list(iter_tables(tmp_path / "t.{en,de}", key=KEY, batch_rows=num_rows))


def test_wildcards_pair_the_files_that_they_match_alike(tmp_path: Path) -> None:
    for part in ("1", "2", "10"):
        write(tmp_path / f"en/part-{part}.txt", f"en {part}\n")
        write(tmp_path / f"de/part-{part}.txt", f"de {part}\n")
    table = read(str(tmp_path / "{en,de}/part-*.txt"))
    assert sorted(pairs(table)) == [(f"en {part}", f"de {part}") for part in ("1", "10", "2")]
    assert table.where(0).endswith("/{en,de}/part-1.txt:1")
    assert table.where(0, side=1).endswith("/de/part-1.txt:1")
    assert len(read(str(tmp_path / "{en,de}/part-[!1]*.txt"))) == 1
    assert len(read(str(tmp_path / "{en,de}/**/part-?.txt"))) == 2
    assert (
        len(read([str(tmp_path / "{en,de}/part-*.txt"), str(tmp_path / "{en,de}/part-1.txt")])) == 3
    )


def test_a_matched_file_without_one_beside_it_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a-1.en", "x\n")
    write(tmp_path / "a-1.de", "x\n")
    write(tmp_path / "a-2.en", "x\n")
    with pytest.raises(
        FileNotFoundError, match=r"a-2\.en: .* a target .* Received: no file .*a-2\.de"
    ):
        read(tmp_path / "a-*.{en,de}")
    with pytest.raises(FileNotFoundError, match=r"a-2\.en: .* a source .* Received: 1 without one"):
        read(tmp_path / "a-*.{de,en}")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("t.{en}", ValueError, r"two names between braces .* Received: \{en\}"),
        ("t.{en,de,fr}", ValueError, r"two names between braces .* Received: \{en,de,fr\}"),
        ("t.{*,de}", ValueError, r"no wildcard there, .* Received: \{\*,de\}"),
        ("t.{en,en}", ValueError, r"must name two files\. Received: .*t\.en for both"),
        ("t.{en,fr}", FileNotFoundError, r"t\.fr: .* must name an existing file"),
        ("x-*.{en,de}", FileNotFoundError, r"x-\*\.en: .* must name at least one file"),
        ("t.{en,csv}", ValueError, r"t\.csv: .* a text a line\. Received: 't\.csv', a table"),
    ],
)
def test_names_that_stand_for_no_pair_are_refused(
    tmp_path: Path, name: str, error: type[Exception], message: str
) -> None:
    for ending in ("en", "de", "csv"):
        write(tmp_path / f"t.{ending}", "a\n")
    with pytest.raises(error, match=message):
        read(tmp_path / name)


def test_files_of_other_kinds_and_encodings_are_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path / "t.en", "a\nb\n")
    write(tmp_path / "t.de", "a\nEin Hund läuft über die Straße.\n".encode("cp1252"))
    with pytest.raises(ValueError, match=r"t\.de:2: a table must be in its encoding, utf-8"):
        read(tmp_path / "t.{en,de}")
    table = read(tmp_path / "t.{en,de}", encoding="cp1252")
    assert table.columns["target"][1] == "Ein Hund läuft über die Straße."
    (tmp_path / "t.de").write_bytes(gzip.compress(b"a\nb\n"))
    with pytest.raises(ValueError, match=r"t\.de:1: a text file .* looks like a \.gz file"):
        read(tmp_path / "t.{en,de}")
    (tmp_path / "t.de.gz").write_bytes(gzip.compress(b"a\nb\n" * 1000)[:-9])
    with pytest.raises(ValueError, match=r"t\.de\.gz: a \.gz file must be whole"):
        read(tmp_path / "t.{en,de.gz}")
    write(tmp_path / "t.de", "")
    with pytest.raises(ValueError, match=r"t\.de:1: .* Received: 0 lines, while .* has 2"):
        read(tmp_path / "t.{en,de}")


def test_two_empty_files_are_no_table(tmp_path: Path) -> None:
    for side in ("en", "de"):
        write(tmp_path / f"t.{side}", "")
    with pytest.raises(ValueError, match="a table needs at least one record"):
        read(tmp_path / "t.{en,de}")


def test_a_file_whose_own_name_has_braces_is_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "t.{a,b}.csv", "text,label\nx,1\n")
    assert read(path).names == ("text", "label")


def test_provenance_has_the_digests_of_both_files(tmp_path: Path) -> None:
    write(tmp_path / "t.en", "a\n")
    write(tmp_path / "t.de", "1\n")
    name = str(tmp_path / "t.{en,de}")
    before = table_inputs("train", name, read(name))
    assert [Path(data.source).name for data in before] == ["t.en", "t.de"]
    assert [data.num_examples for data in before] == [1, 1]
    write(tmp_path / "t.de", "2\n")
    after = table_inputs("train", name, read(name))
    assert before[0].sha256 == after[0].sha256
    assert before[1].sha256 != after[1].sha256


def test_lines_of_a_text_file_are_rows_by_their_layout(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "t.txt.gz", "a b\r\n\n \t\nc\u2028d")
    with caplog.at_level("INFO"):
        table = read(path, layout="lines")
    assert table.columns == {"text": ["a b", "c\u2028d"]}
    assert table.where(1) == f"{path}:4"
    assert "lines without text left out: 2." in caplog.text
    with pytest.raises(ValueError, match="a table must be one of"):
        read(path)
    (tmp_path / "t.txt").write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match=r"t\.txt:1: a text file .* a spreadsheet"):
        read(tmp_path / "t.txt", layout="lines")
    tagged = write(tmp_path / "t.conll", "EU B-ORG\n")
    assert read(tagged, layout="lines").names == ("text", "tokens", "tags")


def test_multi30k_is_read_as_published(shared_data: Path) -> None:
    folder = shared_data / "en" / "multi30k"
    table = read(str(folder / "train.{en,de}.gz"))
    assert len(table) == 29_000
    for column, ending in (("source", "en"), ("target", "de")):
        lines = gzip.decompress((folder / f"train.{ending}.gz").read_bytes()).decode().split("\n")
        assert list(table.columns[column]) == lines[:-1]
    reverse = read(str(folder / "val.{de,en}.gz"))
    assert len(reverse) == 1_014
    assert reverse.columns["target"][0] == "A group of men are loading cotton onto a truck"
