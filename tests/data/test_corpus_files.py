"""Packed and columnar corpus files."""

import gzip
import logging
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from bert_tf.config import CorpusConfig
from bert_tf.data.corpora import corpus
from bert_tf.data.corpora import files as corpus_files

TEXT = "\ufeffFirst.\nSecond.\n\n" + "한국어 " * 1000 + "\n\n" + "Last." * 5000


def read(path: Path, **settings: object) -> list[tuple[tuple[str, ...], str]]:
    config = CorpusConfig.model_validate({"paths": (str(path),), **settings})
    return [
        (document.paragraphs, document.source.rpartition("/")[2])
        for document in corpus.read_documents(config)
    ]


def write_parquet(path: Path, column: Any, *, name: str = "text", **settings: Any) -> Path:
    table = pyarrow.table({name: column, "id": list(range(len(column)))})
    pyarrow.parquet.write_table(table, path, **settings)
    return path


@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_packed_files_read_as_plain(
    tmp_path: Path, packing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_files, "PACKED_CHUNK_BYTES", 7)
    pack = {"gz": gzip.compress, "zst": zstandard.compress}[packing]
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    packed = tmp_path / f"a.txt.{packing}"
    whole = TEXT.encode()
    packed.write_bytes(pack(whole[:100]) + pack(b"") + pack(whole[100:]))  # Frames in a row.
    plain = read(tmp_path / "a.txt")
    assert len(plain) == 3
    assert read(packed) == [
        (paragraphs, source.replace("txt:", f"txt.{packing}:")) for paragraphs, source in plain
    ]
    lines = tmp_path / f"a.jsonl.{packing}"
    lines.write_bytes(pack(b'{"text": "One."}\n'))
    assert read(lines) == [(("One.",), f"a.jsonl.{packing}:1")]
    assert [source for _, source in read(tmp_path)] == [
        *["a.jsonl." + packing + ":1"],
        *["a.txt:1", "a.txt:4", "a.txt:6"],
        *[f"a.txt.{packing}:{number}" for number in (1, 4, 6)],
    ]


def test_zst_must_be_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.zst"
    whole = zstandard.compress(TEXT.encode())
    for content in (whole[:-3], whole[:2], whole + whole[:9]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.txt\.zst: a \.zst file must be whole.* ends bef"):
            read(path)
    path.write_bytes(whole + b"no frame at all")
    with pytest.raises(ValueError, match=r"a\.txt\.zst: a \.zst file must be whole\. Received: .*"):
        read(path)
    path.write_bytes(zstandard.compress(b"ok\nbad \xff\n"))
    with pytest.raises(ValueError, match=r"a\.txt\.zst:2: text must be UTF-8"):
        read(path)


@pytest.mark.parametrize(
    "kind",
    [
        pyarrow.string(),
        pyarrow.large_string(),
        pyarrow.binary(),
        pyarrow.dictionary(pyarrow.int32(), pyarrow.string()),
    ],
    ids=str,
)
def test_parquet_has_a_document_a_row(tmp_path: Path, kind: Any) -> None:
    texts = pyarrow.array(["하나.\nTwo.", " ", "Three."]).cast(kind)
    path = write_parquet(tmp_path / "a.parquet", texts, name="body", row_group_size=2)
    expected = [(("하나.", "Two."), "a.parquet:1"), (("Three.",), "a.parquet:3")]
    assert read(tmp_path, text_field="body") == expected
    assert read(path, text_field="body") == expected


def test_parquet_rows_without_text_are_named(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", ["One."] * 2000 + [None], row_group_size=900)
    with pytest.raises(ValueError, match=r"a\.parquet:2001: .*column 'text'\. Received: null"):
        read(path)
    with pytest.raises(ValueError, match=r"a\.parquet:1: .*'body'.* text \(string\), id \(int64\)"):
        read(path, text_field="body")
    with pytest.raises(ValueError, match=r"a\.parquet:1: .*'id'.*to a column of strings"):
        read(path, text_field="id")
    path = write_parquet(tmp_path / "a.parquet", [["One."]])
    with pytest.raises(ValueError, match=r"a\.parquet:1: .* text \(list<.*corpus\.text_field"):
        read(path)


def test_parquet_holds_few_rows_of_long_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bert_tf.data.corpora import rows

    monkeypatch.setattr(rows, "PARQUET_BATCH_BYTES", 100_000)
    texts = [f"{number} " * 10_000 for number in range(40)] + ["short"] * 40
    path = write_parquet(tmp_path / "a.parquet", texts, row_group_size=40, use_dictionary=False)
    groups = pyarrow.parquet.ParquetFile(path).metadata
    assert 1 <= rows._rows_at_once(groups.row_group(0), "text") <= 5
    assert rows._rows_at_once(groups.row_group(1), "text") == 1024
    found = [paragraphs for (paragraphs,), _ in read(path)]
    assert found == [text.strip() for text in texts]


def test_parquet_bytes_follow_the_encoding_policy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = pyarrow.array([b"ok", b"bad \xff", b"\xfe"])
    path = write_parquet(tmp_path / "a.parquet", raw)
    with pytest.raises(ValueError, match=r"a\.parquet:2: text must be UTF-8.*byte 4.*replace"):
        read(path)
    with caplog.at_level(logging.WARNING):
        documents = read(path, encoding_errors="replace")
    assert [paragraphs for paragraphs, _ in documents] == [("ok",), ("bad \ufffd",), ("\ufffd",)]
    assert "a.parquet: invalid UTF-8 replaced by U+FFFD in 2 row(s)" in caplog.text


def test_parquet_must_be_whole(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", ["One."] * 50_000)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[4:40] = b"\xff" * 36
    for content in (whole[:-20], b"", bytes(damaged)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.parquet: a \.parquet file must be whole"):
            read(path)
