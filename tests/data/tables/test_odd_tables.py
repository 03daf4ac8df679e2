"""Tables as other programs leave them: read as they are meant, or refused by name."""

import logging
from pathlib import Path

import pandas as pd
import pytest

from bert_tf.config import TableConfig
from bert_tf.data.tables.reading import read_table

ROWS = [f"some text with number {number}\t{number % 2}" for number in range(40)]


def written(path: Path, content: str, *, encoding: str = "utf-8") -> Path:
    path.write_bytes(content.encode(encoding))
    return path


@pytest.mark.parametrize(
    "content",
    [
        "text\tlabel\r" + "\r".join(ROWS) + "\r",
        "text\tlabel\r" + "\r".join(ROWS) + "\n",
        "text\tlabel\r" + "\r".join(ROWS[:30]) + "\n" + "\n".join(ROWS[30:]),
        "text\tlabel\r" + "\r".join([f"{'long ' * 5000}{ROWS[0]}", *ROWS[1:]]),
    ],
    ids=["alone", "with a line feed at the end", "before lines that end with others", "far apart"],
)
def test_lines_that_end_with_carriage_returns_are_lines(tmp_path: Path, content: str) -> None:
    assert len(read_table(written(tmp_path / "a.tsv", content), key="train")) == len(ROWS)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_an_encoding_without_its_mark_is_told(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path / "a.csv", "text,label\na b c,1\nd e f,0\n", encoding=f"{encoding}-le")
    message = rf"a\.csv:1: .*no byte order mark, .* or {encoding}-be, likely {encoding}-le"
    with pytest.raises(ValueError, match=message):
        read_table(path, config=TableConfig(encoding=encoding), key="train")
    assert len(read_table(path, config=TableConfig(encoding=f"{encoding}-le"), key="train")) == 2


def test_utf8_that_is_read_as_another_encoding_is_told(tmp_path: Path, caplog) -> None:
    path = written(tmp_path / "a.csv", "text,label\nGröße schön,1\nd e f,0\n")
    with caplog.at_level(logging.WARNING, logger="bert_tf"):
        read_table(path, config=TableConfig(encoding="cp1252"), key="train")
    assert "read as cp1252, but it looks like UTF-8" in caplog.text


def test_columns_without_a_name_are_numbered_as_pandas_does(tmp_path: Path) -> None:
    content = "label,sentence,,,\n1,a good film,,,\n0,a bad film,,,\n"
    table = read_table(written(tmp_path / "a.csv", content), key="train")
    assert table.names == ("label", "sentence", "Unnamed: 2", "Unnamed: 3", "Unnamed: 4")


def test_numbers_as_names_in_memory_are_names() -> None:
    assert read_table([{0: "so good", 1: 1}] * 20, key="train").names == ("0", "1")
    rows = [(n, f"text number {n} with many words", "x", n % 2) for n in range(40)]
    assert read_table(pd.DataFrame(rows)[[1, 3]], key="train").names == ("1", "3")


@pytest.mark.parametrize(
    "columns",
    [
        {"joy": ["joy", "no"] * 20, "anger": ["anger", "no"] * 20},
        {"10": [0, 1] * 20, "20": [1, 0] * 20, "30": [0, 0] * 20},
    ],
)
def test_good_headers_above_codes_and_names_are_headers(tmp_path: Path, columns: dict) -> None:
    texts = [f"a sentence of some words {number}" for number in range(40)]
    path = tmp_path / "a.csv"
    pd.DataFrame({"text": texts, **columns}).to_csv(path, index=False)
    assert read_table(path, key="train").names == ("text", *columns)


def test_a_quote_that_is_never_closed_is_told_however_long_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", '"text,label\n' + "words of a text\n" * 100_000)
    with pytest.raises(ValueError, match=r"a\.csv:1: quotes must enclose a whole cell"):
        read_table(path, key="train")


def test_a_header_that_comes_again_may_be_none(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "good film,pos\nbad film,neg\ngood film,pos\n")
    with pytest.raises(ValueError, match=r"if the first line is a record, too, set .*has_header"):
        read_table(path, key="train")
