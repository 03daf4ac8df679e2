"""Text in other encodings: named in the error, read where the configuration says so."""

import gzip
import json
import logging
from pathlib import Path

import pytest

from bert_tf.config import CorpusConfig, load_config
from bert_tf.data.corpora import corpus
from bert_tf.data.corpora.encodings import likely_encoding
from bert_tf.data.corpora.files import read_text
from bert_tf.data.preparation.plan import _corpus_settings
from bert_tf.data.preparation.prepare import prepare_records
from bert_tf.data.tables.reading import read_table
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.exporting.warmup import read_texts

KOREAN = "똠방각하 펲시콜라.\n한글은 아름다운 글자이다. 그는 집에 갔다.\n\n둘째 문서입니다.\n"
GERMAN = "Größe ist schön.\nÜber allen Gipfeln ist Ruh.\n\nDas zweite Stück, für Müßiggänger.\n"
ENGLISH = "The first one.\nIt has two lines.\n\nThe second one.\n"
TEXTS = {"ko": KOREAN, "de": GERMAN, "en": ENGLISH}


def read(path: Path, **settings: object) -> list[str]:
    config = CorpusConfig.model_validate({"paths": (str(path),), **settings})
    return [document.text for document in corpus.read_documents(config)]


def documents_of(text: str) -> list[str]:
    return [part.strip() for part in text.split("\n\n")]


WRITTEN = pytest.mark.parametrize(
    ("language", "encoding", "likely"),
    [
        ("ko", "cp949", "cp949"),
        ("ko", "utf-16-le", "utf-16-le"),
        ("ko", "utf-16-be", "utf-16-be"),
        ("de", "latin-1", "cp1252"),
        ("de", "cp1252", "cp1252"),
        ("de", "utf-16-le", "utf-16-le"),
        ("en", "utf-16-le", "utf-16-le"),
        ("en", "utf-16-be", "utf-16-be"),
        ("en", "utf-32-le", "utf-32-le"),
    ],
)


@WRITTEN
@pytest.mark.parametrize("kind", ["txt", "jsonl", "txt.gz"])
def test_another_encoding_is_refused_by_its_name_and_read_by_it(
    tmp_path: Path, language: str, encoding: str, likely: str, kind: str
) -> None:
    text = TEXTS[language]
    if kind == "jsonl":
        rows = [{"text": document} for document in documents_of(text)]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    content = text.encode(encoding)
    path = tmp_path / f"a.{kind}"
    path.write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
    with pytest.raises(ValueError, match=rf"a\.{kind}:1: .*set corpus\.encoding={likely} if it is"):
        read(path)
    for name in (encoding, likely):
        assert read(path, encoding=name) == documents_of(TEXTS[language])


@WRITTEN
def test_a_table_in_another_encoding_is_refused_by_its_name(
    tmp_path: Path, language: str, encoding: str, likely: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(("text,label\n" + TEXTS[language].replace(",", "")).encode(encoding))
    with pytest.raises(ValueError, match=rf"a\.csv:\d: .*likely {likely}\. Set .*table\.encoding"):
        read_table(path, key="finetuning.train_path")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("configured", ["utf-8", "cp949"])
def test_a_byte_order_mark_says_what_a_file_is(
    tmp_path: Path, encoding: str, configured: str
) -> None:
    (tmp_path / "a.txt").write_bytes(KOREAN.encode(encoding))
    assert read(tmp_path, encoding=configured) == documents_of(KOREAN)


@pytest.mark.parametrize(
    ("name", "content", "received"),
    [
        ("z.txt", KOREAN.encode("cp949"), "likely cp949"),
        ("z.txt.zst", b"", "a file of 0 bytes"),
        ("z.jsonl", b'{"body": "x"}', "corpus.text_field"),
    ],
)
def test_preparation_refuses_before_it_writes(
    tmp_path: Path, tokenizer: Tokenizer, name: str, content: bytes, received: str
) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.txt").write_text("하나.\n\n둘.\n" * 20, "utf-8")
    (tmp_path / "corpus" / name).write_bytes(content)
    vocabulary = tokenizer.save(tmp_path / "vocab")
    config = load_config(
        overrides=[f"corpus.paths=[{tmp_path}/corpus]", f"tokenizer.vocabulary={vocabulary}"]
    )
    with pytest.raises(ValueError, match=received):
        prepare_records(config, tmp_path / "records")
    assert not (tmp_path / "records").exists()


def test_the_line_of_a_fault_in_another_encoding_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("하나.\n둘".encode("cp949") + b"\xff.\n" + "셋.\n".encode("cp949"))
    with pytest.raises(ValueError, match=r"a\.txt:2: text must be cp949\..*encoding_errors=repl"):
        read(path, encoding="cp949")
    settings = {"encoding": "cp949", "encoding_errors": "replace"}
    assert read(path, **settings) == ["하나.\n둘\N{REPLACEMENT CHARACTER}.\n셋."]
    assert "invalid cp949 replaced by U+FFFD in 1 line(s)" in caplog.text
    path.write_bytes("하나.\n".encode("utf-16-le") + b"\x00\xdc\n\0")
    with pytest.raises(ValueError, match=r"a\.txt:2: text must be utf-16-le"):
        read(path, encoding="utf-16-le")


def test_replacing_says_that_the_text_is_likely_in_another_encoding(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.txt").write_bytes(KOREAN.encode("cp949"))
    with caplog.at_level(logging.WARNING):
        read(tmp_path, encoding_errors="replace")
    assert "It is likely cp949: set corpus.encoding=cp949" in caplog.text


def test_utf8_with_a_few_faults_is_not_told_to_be_something_else(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(KOREAN.encode() + b"\xff\n")
    with pytest.raises(ValueError, match=r"a\.txt:5: text must be UTF-8") as refused:
        read(tmp_path)
    assert "likely" not in str(refused.value)
    assert likely_encoding((KOREAN * 20).encode()[:-2]) is None


def test_utf8_that_is_read_as_something_else_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.txt").write_text(GERMAN * 400, "utf-8")
    read(tmp_path, encoding="cp1252", encoding_errors="replace")
    assert "a.txt: read as cp1252, but it looks like UTF-8" in caplog.text
    caplog.clear()
    (tmp_path / "a.txt").write_text(GERMAN, "cp1252")
    read(tmp_path, encoding="cp1252")
    assert not caplog.text


def test_an_encoding_must_be_one() -> None:
    with pytest.raises(ValueError, match=r"encoding must be a text encoding.*'base64'"):
        CorpusConfig(encoding="base64")


def test_utf8_by_any_name_leaves_older_records_valid() -> None:
    for name, is_there in (("utf-8", False), ("UTF8", False), ("cp949", True)):
        config = load_config(overrides=[f"corpus.encoding={name}"])
        assert ("encoding" in _corpus_settings(config)) == is_there


@pytest.mark.parametrize("encoding", ["utf-8", "cp949", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("length", [1, 20_000])
def test_carriage_returns_alone_end_lines(tmp_path: Path, encoding: str, length: int) -> None:
    text = KOREAN.replace("하나", "하나" * length) + "끝" * length + "\n"
    (tmp_path / "a.txt").write_bytes(text.replace("\n", "\r").encode(encoding))
    assert read(tmp_path, encoding=encoding) == documents_of(text)


def test_carriage_returns_inside_of_lines_stay(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"One.\r\n10%\r20%\n\nTwo.\r")
    assert read(tmp_path) == ["One.\n10%\r20%", "Two."]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl"])
def test_a_table_with_carriage_returns_alone_is_read(tmp_path: Path, kind: str) -> None:
    if kind == "jsonl":
        lines = ['{"text": "하나", "label": "x"}', '{"text": "둘", "label": "y"}']
    else:
        separator = "," if kind == "csv" else "\t"
        lines = [separator.join(cells) for cells in (("text", "label"), ("하나", "x"), ("둘", "y"))]
    path = tmp_path / f"a.{kind}"
    path.write_bytes("".join(line + "\r" for line in lines).encode())
    table = read_table(path, key="finetuning.train_path")
    assert table.columns == {"text": ["하나", "둘"], "label": ["x", "y"]}


@pytest.mark.parametrize("packing", ["gz", "zst", "GZ"])
def test_a_packed_file_of_no_bytes_is_a_damaged_one(tmp_path: Path, packing: str) -> None:
    for name in (f"a.txt.{packing}", f"a.jsonl.{packing}"):
        (tmp_path / name).touch()
        with pytest.raises(ValueError, match=rf"a \.{packing} file must be whole\..* of 0 bytes"):
            read(tmp_path / name)
    for kind in ("csv", "tsv", "jsonl", "json", "parquet"):
        path = tmp_path / f"a.{kind}.{packing}"
        path.touch()
        with pytest.raises(ValueError, match=rf"a \.{packing} file must be whole\..* of 0 bytes"):
            read_table(path, key="finetuning.train_path")


def test_warmup_texts_are_utf8_or_marked(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("하나\n둘\t셋\n", "utf-16")
    assert set(read_texts(path)) == {("하나".encode(),), ("둘".encode(), "셋".encode())}
    for encoding, likely in (("utf-16-le", "utf-16-le"), ("cp949", "cp949")):
        path.write_bytes(KOREAN.encode(encoding))
        with pytest.raises(ValueError, match=rf"texts\.txt:1: .*It is likely {likely}\. Convert"):
            read_texts(path)


@pytest.mark.parametrize(
    ("file", "encoding", "likely"),
    [
        ("ko/reviews.txt", "cp949", "cp949"),
        ("ko/reviews.txt", "euc-kr", "cp949"),
        ("ko/reviews.txt", "utf-16-le", "utf-16-le"),
        ("en/wikitext2_valid.txt", "utf-16-be", "utf-16-be"),
        ("en/multi30k/train.de.gz", "latin-1", "cp1252"),
        ("en/multi30k/train.de.gz", "utf-16-le", "utf-16-le"),
    ],
)
def test_real_text_is_told(shared_data: Path, file: str, encoding: str, likely: str) -> None:
    (first, *_) = read_text(shared_data / file, encoding_errors="error")
    for start in range(0, len(first.texts) - 20, 20):
        sample = "\n".join(first.texts[start : start + 20]).encode(encoding, "ignore")
        if not sample.isascii() or encoding.startswith("utf-16"):
            assert likely_encoding(sample) == likely
