"""Every kind of table, as spreadsheets, Python, Spark and people write them."""

import gzip
import io
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zstandard

from bert_tf.config import TableConfig
from bert_tf.data.tables.reading import iter_tables, read_table, table_files
from bert_tf.data.tables.table import Table

KEY = "finetuning.train_path"
RECORDS = [
    {"id": 7, "text": '그는 "아니"라고,\n말했다\ttab', "score": 4.5, "ok": True, "names": ["a"]},
    {"id": 8, "text": "", "score": None, "ok": False, "names": []},
]


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def read(source: Any, **settings: Any) -> Table:
    return read_table(source, config=TableConfig(**settings), key=KEY)


def rows_of(table: Table) -> list[tuple[Any, ...]]:
    return list(zip(*table.columns.values(), strict=True))


def test_a_csv_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    text = '\ufeffid,text,label\r\n1,"그는 ""아니"", 했다\n그리고",긍정\r\n\r\n2,,부정\r\n'
    table = read(write(tmp_path / "a.csv", text))
    assert table.names == ("id", "text", "label")
    assert rows_of(table) == [("1", '그는 "아니", 했다\n그리고', "긍정"), ("2", "", "부정")]
    assert table.where(0) == f"{tmp_path}/a.csv:2"
    assert table.where(1) == f"{tmp_path}/a.csv:5", "after an embedded line break and a blank line"


def test_a_korean_spreadsheet_is_read_in_its_encoding(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "문장,분류\r\n똠방각하,긍정\r\n", "cp949")
    assert rows_of(read(path, encoding="cp949")) == [("똠방각하", "긍정")]
    with pytest.raises(ValueError, match=r"a\.csv:1: .*utf-8.*finetuning\.table\.encoding \(cp949"):
        read(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32", "utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_says_the_encoding(
    tmp_path: Path, encoding: str, caplog: pytest.LogCaptureFixture
) -> None:
    """`Unicode text` of spreadsheets is UTF-16 with tabs."""
    caplog.set_level(logging.INFO)
    mark = "\ufeff" if encoding.endswith("e") else ""
    path = write(tmp_path / "a.tsv", f"{mark}문장\t분류\r\n좋다\t1\r\n", encoding)
    for configured in ("utf-8", "cp949"):
        assert rows_of(read(path, encoding=configured)) == [("좋다", "1")]
        assert read(path, encoding=configured).names == ("문장", "분류")
    assert "which its byte order mark says, not as cp949 (finetuning.table.encoding)" in caplog.text


def test_what_is_not_in_the_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    lines = [f"글 {row}\t{row % 2}\n".encode() for row in range(5_000)]
    lines[4_000] = b"ab\xff\t1\n"
    path = tmp_path / "a.tsv"
    path.write_bytes(b"\xef\xbb\xbftext\tlabel\n" + b"".join(lines))
    with pytest.raises(
        ValueError, match=r"a\.tsv:4002: a table must be in its encoding, utf-8-sig"
    ):
        read(path)
    path = write(tmp_path / "b.tsv", "text\tlabel\n좋다\t1\n" * 3, "utf-16")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"b\.tsv:6: a table must be in its encoding, utf-16"):
        read(path)
    path = tmp_path / "c.csv"
    path.write_bytes(("가나,다\n" * 9_000).encode("cp949") + b"\xff\xff,1\n")
    with pytest.raises(ValueError, match=r"c\.csv:9001: a table must be in its encoding, cp949"):
        read(path, encoding="cp949", has_header=False)


def test_an_unknown_encoding_is_refused_at_configuration() -> None:
    for encoding in ("utf-9", "base64", "rot13"):
        with pytest.raises(ValueError, match="must be a text encoding that Python knows"):
            TableConfig(encoding=encoding)


@pytest.mark.parametrize(("delimiter", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_a_csv_without_commas_is_parted_as_its_first_line_is(
    tmp_path: Path, delimiter: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    text = f'"Text, ganz"{delimiter}Note\r\n"Gut; ""sehr"" gut\t!"{delimiter}1,5\r\n'
    table = read(write(tmp_path / "a.csv", text))
    assert table.names == ("Text, ganz", "Note")
    assert rows_of(table) == [('Gut; "sehr" gut\t!', "1,5")]
    assert f"{name} part columns, since its first line has no comma" in caplog.text


def test_a_csv_of_one_column_is_read(tmp_path: Path) -> None:
    assert rows_of(read(write(tmp_path / "a.csv", 'text\n"a, b"\n""\n'))) == [("a, b",), ("",)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('text\tlabel\n"open\t1\n', ('"open', "1")),  # never closed
        ('text\tlabel\n"all" of it\t1\n', ('"all" of it', "1")),  # text after the quote
        ('text\tlabel\n"all of it"\t1\n', ('"all of it"', "1")),  # needs no quotes
        ('text\tlabel\n5" of ""rain""\t1\n', ('5" of ""rain""', "1")),  # opens with none
        ('text\tlabel\n"he said\t1\nshe said"\t0\n', ('"he said', "1")),  # all lines have two cells
        ('text\tlabel\n"a ""b"" c"\t1\n', ('a "b" c', "1")),
        ('text\tlabel\n"a\tb"\t1\n', ("a\tb", "1")),
        ('text\tlabel\n"a\nb"\t1\n', ("a\nb", "1")),
        ('"text"\t"label"\n"a ""b"""\t"1"\n', ('a "b"', "1")),
    ],
)
def test_quotes_of_a_tsv_protect_where_they_have_to(
    tmp_path: Path, text: str, expected: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    table = read(write(tmp_path / "a.tsv", text))
    assert (rows_of(table)[0], table.names) == (expected, ("text", "label"))
    opens = text.startswith('"') or '\n"' in text
    assert ("finetuning.table.quoting" in caplog.text) is opens


def test_quoting_can_be_set(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"all"\t1\n')
    assert rows_of(read(path, quoting="csv")) == [("all", "1")]
    path = write(tmp_path / "a.csv", 'text,label\n"all" of it,1\n')
    assert rows_of(read(path, quoting="none")) == [('"all" of it', "1")]
    with pytest.raises(ValueError, match=r"a\.csv:2: quotes must enclose.*quoting=none"):
        read(path)


def test_a_table_without_header_counts_its_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "cola.tsv", "gj04\t1\t\tOur friends won't buy it.\ncj99\t0\t*\tThe\n")
    table = read(path, has_header=False)
    assert table.names == ("1", "2", "3", "4")
    assert table.column("4", key=KEY) == ["Our friends won't buy it.", "The"]
    assert table.where(0) == f"{path}:1"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.tsv",
            "a\tb\nx\t1\nx\t1\t2\n",
            r"a\.tsv:3: .*2 cells.*\(a, b\)\. Received: 3.*quoting=csv",
        ),
        ("a.csv", 'a,b\n"x\ny",1\nx\n', r"a\.csv:4: .*2 cells.*Received: 1.*quoting=none"),
        ("a.csv", "a,b\n1,2\na,b\n", r"a\.csv:3: the header must stand in the first line alone"),
        ("a.csv", "a,b,a\n1,2,3\n", r"a\.csv:1: every column needs a name.*'a' more than once"),
        ("a.csv", 'a,b\n1,"2\n', r"a\.csv:2: quotes must enclose a whole cell"),
        ("a.csv", "a,b\n", r"a\.csv: a table needs at least one record"),
        ("a.csv", "\n\n", r"a\.csv: a table needs at least one record"),
        ("a.csv", "", r"a\.csv: a table needs at least one record. Received: a file of 0 bytes"),
        ("a.parquet", "", r"a\.parquet: a table needs .* 0 bytes"),
        ("a.parquet", "PAR1", r"a\.parquet: a \.parquet file must be whole"),
        ("a.jsonl", '{"a": 1}\n[1]\n', r"a\.jsonl:2: .*one JSON object.*list"),
        ("a.jsonl", '{"a": 1}\n{\n', r"a\.jsonl:2: .*one JSON object"),
        ("a.jsonl", '{"a": "\\ud83d"}\n', r"a\.jsonl:1: .*half a surrogate pair"),
        ("a.json", '[{"a": "\\ud83d"}]', r"a\.json:row 1: .*half a surrogate pair"),
        ("a.json", '[\n{"a": 1},\n]', r"a\.json:3: a \.json file must be JSON"),
        ("a.json", '{"rows": [], "b": 1}', r"a\.json: .*list of objects.*dict with rows, b"),
        ("a.json", '[{"a": 1}, 2]', r"a\.json:row 2: .*object. Received: int"),
        ("a.json", "[]", r"a\.json: a table needs at least one record"),
        ("a.xlsx", "x", r"a\.xlsx: a table must be one of \.csv, .*finetuning\.train_path"),
    ],
)
def test_faults_are_named_with_path_and_line(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path / name, text))


def test_what_is_not_there_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.csv: finetuning\.train_path must name"):
        read(tmp_path / "no.csv")
    with pytest.raises(FileNotFoundError, match=r"at least one table \(\.csv, .*none there"):
        read(f"{tmp_path}/*.csv")
    with pytest.raises(ValueError, match=r"Received: a folder\. Set it to .*/\*\.csv"):
        read(tmp_path)
    for source, received in (([], "an empty list"), (3, "int"), ([3], "list")):
        with pytest.raises(ValueError, match=f"must be a file, a glob.*Received: {received}"):
            read(source)


def make_file(path: Path) -> Path:
    """`RECORDS` as what the name says."""
    kind = next(suffix for suffix in path.suffixes if suffix not in (".gz", ".zst"))
    if kind == ".parquet":
        buffer = io.BytesIO()
        pd.DataFrame(RECORDS).to_parquet(buffer)
        raw = buffer.getvalue()
    elif kind == ".json":
        raw = json.dumps(RECORDS, ensure_ascii=False, indent=1).encode()
    elif kind == ".jsonl":
        raw = "\n\n".join(json.dumps(record) for record in RECORDS).encode()
    else:
        separator = "\t" if kind == ".tsv" else ","
        raw = pd.DataFrame(RECORDS)[["id", "text"]].to_csv(index=False, sep=separator).encode()
    pack = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(path.suffix)
    path.write_bytes(pack(raw) if pack else raw)
    return path


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", [".csv", ".tsv", ".jsonl", ".json", ".parquet"])
def test_every_kind_and_packing_holds_the_same(tmp_path: Path, kind: str, packing: str) -> None:
    path = make_file(tmp_path / f"a{kind}{packing}")
    table = read(path)
    assert table.column("text", key=KEY) == [record["text"] for record in RECORDS]
    if kind in (".csv", ".tsv"):
        assert table.columns["id"] == ["7", "8"]
        return
    for name in RECORDS[0]:
        expected = [record[name] for record in RECORDS]
        assert table.columns[name] == expected or name == "score", name
    lines = {".jsonl": (":1", ":3")}.get(kind, (":row 1", ":row 2"))
    assert [table.where(row) for row in (0, 1)] == [f"{path}{line}" for line in lines]


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".json", ".parquet"])
@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_a_packed_file_that_was_cut_is_refused(tmp_path: Path, kind: str, packing: str) -> None:
    path = make_file(tmp_path / f"a{kind}{packing}")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match=rf"a\{kind}\{packing}: a \{packing} file must be whole"):
        read(path)


def test_a_field_that_some_json_lines_lack_is_none_there(tmp_path: Path) -> None:
    lines = [{"a": row, "b": 0} if row == 900 else {"a": row} for row in range(901)]
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines)))
    first, *_, last = iter_tables(path, key=KEY, batch_rows=100)
    assert first.columns["b"] == [None] * 100
    assert last.columns == {"a": [900], "b": [0]}


def test_a_list_under_data_is_a_table(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", '{"version": 1, "data": [{"a": 1}]}')
    assert read(path).columns == {"a": [1]}


def test_several_files_are_one_table(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "text,label\na,1\n")
    write(tmp_path / "b.csv", "label,text\n0,b\n")
    for source in (f"{tmp_path}/*.csv", [f"{tmp_path}/a.csv", tmp_path / "b.csv"]):
        table = read(source)
        assert table.columns == {"text": ["a", "b"], "label": ["1", "0"]}
        assert table.where(1) == f"{tmp_path}/b.csv:2"
    write(tmp_path / "c.csv", "text,other\nc,1\n")
    with pytest.raises(
        ValueError, match=r"c\.csv: .*same columns\. Received: text, other; at .*a\."
    ):
        read(f"{tmp_path}/*.csv")


def test_what_is_in_memory_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "text": ["a", None],
            "whole": pd.array([1, None], dtype="Int64"),
            "part": np.array([1.0, np.nan]),
            "kind": pd.Categorical(["x", "y"]),
            3: [np.int64(4), "z"],
        },
        index=[9, 9],
    )
    table = read(frame)
    assert table.columns["whole"] == [1, None]
    assert table.columns["kind"] == ["x", "y"]
    assert table.columns["3"] == [4, "z"]
    assert type(table.columns["3"][0]) is int
    assert np.isnan(table.columns["part"][1])
    assert table.where(1) == "row 2"
    assert read(RECORDS).columns["names"] == [["a"], []]
    assert read(table) is table
    with pytest.raises(ValueError, match=r"DataFrame: every column .*'a' more than once"):
        read(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_a_data_set_and_a_hub_name_are_read(tmp_path: Path, monkeypatch: Any) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the datasets extra")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    columns = {"text": ["a", "b"], "label": [0, 1], "labels": [{"label": 1}, {"label": 0}]}
    data = datasets.Dataset.from_dict(columns)
    assert read(data).columns == columns
    assert read(data.to_iterable_dataset()).columns == columns
    folder = tmp_path / "set"
    folder.mkdir()
    write(folder / "train.jsonl", '{"text": "a", "label": 0}\n{"text": "b", "label": 1}\n')
    table = read(f"hub:{folder}")
    assert table.columns == {"text": ["a", "b"], "label": [0, 1]}
    assert table.where(1) == f"hub:{folder}:row 2"
    with pytest.raises(ValueError, match=r"Write it so in finetuning\.train_path"):
        read("hub:")


@pytest.mark.parametrize("batch_rows", [1, 7, 256, 300, 10_000])
@pytest.mark.parametrize("kind", [".csv", ".tsv", ".jsonl", ".json", ".parquet", "frame"])
def test_batches_hold_the_rows_of_the_whole(tmp_path: Path, kind: str, batch_rows: int) -> None:
    frame = pd.DataFrame({"text": [f"글 {row}" for row in range(1_000)], "n": range(1_000)})
    source: Any = tmp_path / f"a{kind}"
    if kind == ".parquet":
        frame.to_parquet(source, row_group_size=300)
    elif kind in (".json", ".jsonl"):
        frame.to_json(source, orient="records", lines=kind == ".jsonl")
    elif kind == "frame":
        source = frame
    else:
        frame.to_csv(source, index=False, sep="\t" if kind == ".tsv" else ",")
    whole = read(source)
    batches = list(iter_tables(source, key=KEY, batch_rows=batch_rows))
    assert [len(batch) for batch in batches[:-1]] == [batch_rows] * (len(batches) - 1)
    again = Table.concatenate(batches)
    assert again.columns == whole.columns
    assert [again.where(row) for row in (0, 999)] == [whole.where(row) for row in (0, 999)]


def test_files_are_found_in_folders_and_globs(tmp_path: Path) -> None:
    for name in (
        "b.CSV",
        "deep/a.tsv.GZ",
        "deep/c.txt",
        ".hidden/d.csv",
        "deep/.e.csv",
        "f.Parquet",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, "a,b\n")
    expected = [tmp_path / name for name in ("b.CSV", "deep/a.tsv.GZ", "f.Parquet")]
    assert table_files([tmp_path], key=KEY) == expected
    assert table_files([f"{tmp_path}/**/*", tmp_path / "b.CSV"], key=KEY) == expected
    assert table_files([f"{tmp_path}/.hidden/*"], key=KEY) == [tmp_path / ".hidden" / "d.csv"]
    with pytest.raises(ValueError, match=r"c\.txt: a table must be one of"):
        table_files([tmp_path / "deep" / "c.txt"], key=KEY)
    with pytest.raises(FileNotFoundError, match=r"none: finetuning\.train_path must name"):
        table_files([tmp_path / "none"], key=KEY)
    with pytest.raises(ValueError, match="Received: nothing"):
        table_files([], key=KEY)


def test_endings_in_capitals_are_read(tmp_path: Path) -> None:
    path = tmp_path / "A.TSV.GZ"
    path.write_bytes(gzip.compress(b"text\tlabel\na\t1\n"))
    assert rows_of(read(path)) == [("a", "1")]


@pytest.mark.parametrize(
    ("path", "text_field", "pair_field", "label_field"),
    [
        ("ko/nsmc/train.tsv", "document", None, "label"),
        ("ko/nsmc/test.tsv", "document", None, "label"),
        ("en/sst2/train.tsv", "sentence", None, "label"),
        ("en/sst2/dev.tsv", "sentence", None, "label"),
        ("ko/unsmile/valid.tsv", "문장", None, "clean"),
        ("ko/korsts/train.tsv", "sentence1", "sentence2", "score"),
    ],
)
def test_real_tsv_files_are_lines_cut_at_tabs(
    shared_data: Path, path: str, text_field: str, pair_field: str | None, label_field: str
) -> None:
    """As without quoting, where quotes stand in the texts and protect nothing."""
    file = shared_data / path
    lines = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    header, *rows = (line.rstrip("\r").split("\t") for line in lines)
    table = read(file)
    for name in filter(None, (text_field, pair_field, label_field)):
        place = header.index(name)
        assert table.columns[name] == [row[place] for row in rows]
    for row in (0, len(table) // 2, len(table) - 1):
        assert table.where(row) == f"{file}:{row + 2}"


def test_real_json_is_read(shared_data: Path) -> None:
    table = read(shared_data / "ko/klue_nli/dev.json")
    assert len(table) == 3_000
    assert set(table.columns["gold_label"]) == {"entailment", "contradiction", "neutral"}
    assert table.where(0).endswith("dev.json:row 1")
