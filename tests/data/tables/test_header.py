"""A table without a header is not read as one; a header that is fine is."""

import logging
from pathlib import Path

import pandas as pd
import pytest

from bert_tf.config import TableConfig
from bert_tf.data.tables.reading import iter_tables, read_table
from bert_tf.data.tables.table import Table

KEY = "finetuning.train_path"


def read(source: object, key: str = KEY, **config: object) -> Table:
    return read_table(source, config=TableConfig.model_validate(config), key=key)


def write(folder: Path, text: str, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


RECORDS = {
    "a label occurs again": "good,pos\nbad,neg\nfine,pos\n",
    "a number occurs again": "The plot is thin,0\nGreat fun for all,1\nNot bad at all,0\n",
    "ids and sentences": "977,worst film I ever saw.,x\n381,hm... I liked it a lot,y\n102,no!,z\n",
    "sentences alone": "this movie is simply wonderful to watch\nI hated every minute of it\n",
    "dates": "2024-01-03,crashed,x\n2024-01-04,slow to start,y\n",
    "ids with letters": "u17,fine,x\nu23,broke,y\n",
    "pairs": "A man is eating.,A man eats.,same\nA dog runs fast.,A cat sleeps.,other\n",
    "scores": "0.5,some text,x\n1.5,another,y\n0.5,third,z\n",
    "Korean": "정말 재미있고 감동적이었어요.,긍정\n별로였어요 지루해요 정말로,부정\n또 볼래,긍정\n",
    "Japanese": "この映画は本当に面白かったです。,1\n全然面白くなかった。,0\nまあまあだった。,1\n",
}
NAMES = {
    "plain": "text,label\ngood film,pos\nbad film,neg\n",
    "a class is called like its column": "text,spam\nwin lots of money,spam\nsee you at home,ham\n",
    "flags": "text,toxic,insult\nyou are a fool,1,1\nhave a nice day,0,0\n",
    "years": "product,2019,2020,2021\na,3,4,5\nb,2019,2,2\n",
    "one year": "product,2020\na,3\nb,4\n",
    "numbers of pandas": "0,1\na long text here,0\nanother text here,1\n",
    "an index of pandas": ",text,label\n0,a b c,1\n1,d e f,0\n",
    "questions": "When,How satisfied are you with our shop?,Score\nnow,very much,4\nlater,no,3\n",
    "one column": "text\nall good things come\nto those who wait\n",
    "ids": "id,title\n1,a\n2,b\n",
    "numbered names": "text,class_0,class_1\na b c d,0,1\nq w e r,1,0\n",
    "Korean": "문장,감정\n정말 재미있는 영화였다,긍정\n별로 재미 없었다,부정\n",
    "two words above long texts": "mail text,spam\nwin lots of money now at once or never,spam\n"
    "see you at home when I am back from there,ham\n",
    "a single row": "text,label\nfine,pos\n",
}


@pytest.mark.parametrize("text", RECORDS.values(), ids=RECORDS)
def test_a_record_in_the_first_line_is_refused(tmp_path: Path, text: str):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=r"a\.csv:1: .*looks like a record.*has_header=false"):
        read(path)
    assert len(read(path, has_header=False)) == text.count("\n")
    assert len(read(path, check_header=False)) == text.count("\n") - 1


@pytest.mark.parametrize("text", NAMES.values(), ids=NAMES)
def test_names_are_taken(tmp_path: Path, text: str):
    table = read(write(tmp_path, text))
    assert list(table.names) == text.split("\n")[0].split(",")
    assert len(table) == text.count("\n") - 1


def test_what_is_not_sure_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    read(write(tmp_path, NAMES["a class is called like its column"]))
    assert "looks like a record, since 'spam' occurs again below" in caplog.text


def test_a_record_above_the_columns_of_a_dataframe_is_refused(tmp_path: Path):
    path = write(tmp_path, RECORDS["a number occurs again"])
    with pytest.raises(ValueError, match=r"DataFrame: .*'0' is a number that occurs again"):
        read(pd.read_csv(path))
    assert len(read(pd.read_csv(path, header=None))) == 3


def test_a_record_above_the_columns_of_a_dataset_is_refused():
    datasets = pytest.importorskip("datasets")
    rows = {"The plot is thin": ["Great fun for all", "Not bad at all"], "0": [1, 0]}
    with pytest.raises(ValueError, match=r"Dataset: .*'0' is a number that occurs again"):
        read(datasets.Dataset.from_dict(rows))


def test_prediction_refuses_it_with_its_own_options(tmp_path: Path):
    path = write(tmp_path, RECORDS["a label occurs again"])
    with pytest.raises(ValueError, match=r"set --no-header: .*, set --header\."):
        next(iter_tables(path, key="--file", batch_rows=32))


def test_every_file_of_several_is_looked_at(tmp_path: Path):
    write(tmp_path, NAMES["plain"])
    write(tmp_path, RECORDS["a label occurs again"], "b.csv")
    with pytest.raises(ValueError, match=r"b\.csv:1: .*looks like a record"):
        read(str(tmp_path / "*.csv"))


def test_a_header_that_is_read_as_a_record_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    read(write(tmp_path, "text,label\na b,1\nc d,0\n"), has_header=False)
    assert "'label' above numbers" in caplog.text
    assert "has_header=true" in caplog.text


def test_a_missing_column_may_be_for_want_of_a_header(tmp_path: Path):
    table = read(write(tmp_path, "so,x\nlala,y\n"))
    with pytest.raises(ValueError, match=r"If the first line is a record, .*has_header=false"):
        table.column("text", key="finetuning.text_field")
    with pytest.raises(ValueError, match="set --no-header"):
        table.column("text", key="--text-field")


@pytest.mark.parametrize(
    ("name", "text", "looks"),
    [
        ("a.tsv", "id,text,label\n1,fine, I think,1\n2,bad,0\n", r"a \.csv file \(commas"),
        ("a.tsv", "id;text;label\n1;a b, c;1\n", r"a \.csv file \(semicolons"),
        ("a.tsv", '"my text","label"\n"a, b",1\n', r"a \.csv file"),
        ("a.csv", "id\ttext, all\tlabel\n1\ta, b\t0\n2\tc\t1\n3\td\t1\n", r"a \.tsv file"),
        ("a.csv", "text|label\na b|1\nc|0\n", r"a table with \| between"),
        ("a.csv", '{"text": "a", "label": 1}\n{"text": "b", "label": 0}\n', r"a \.jsonl file"),
        ("a.tsv", '[\n{"text": "a"}]', r"a \.json file"),
        ("a.jsonl", '[\n{"text": "a"},\n{"text": "b"}]\n', r"a \.json file"),
        ("a.jsonl", "text,label\na b,1\n", r"a \.csv file"),
        ("a.json", "text\tlabel\na b\t1\n", r"a \.tsv file"),
        ("a.csv", "<!DOCTYPE html>\n<html>", "a web page"),
        ("a.csv", "PK\x03\x04...", "a spreadsheet"),
        ("a.jsonl", "PAR1...", r"a \.parquet file"),
    ],
)
def test_a_file_of_another_kind_says_what_it_looks_like(
    tmp_path: Path, name: str, text: str, looks: str
):
    with pytest.raises(ValueError, match=rf"{name}:1: .*what looks like {looks}"):
        read(write(tmp_path, text, name))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", "text\nGreat, loved it\nbad, hated it\nmeh, so\n"),
        ("a.tsv", "Text, original\nGreat film, loved it\nno\n"),
        ("a.csv", "text;label\na b, c;1\nd, e f;0\n"),
        ("a.csv", "text\tlabel\na b, c\t1\nd\t0\n"),
        ("a.csv", '"text, long","label"\n"a, b","x"\n"c, d","y"\n'),
        ("a.csv", "text|label,note\na,b\nc,d\n"),
        ("a.json", '{"version": 1, "data": [\n{"text": "a"}]}'),
    ],
)
def test_a_file_of_its_kind_is_read(tmp_path: Path, name: str, text: str):
    assert len(read(write(tmp_path, text, name)))


def test_a_packed_file_without_its_ending_is_told(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\x1f\x8b\x08rest")
    with pytest.raises(ValueError, match=r"looks like a \.gz file\. Add this to its name"):
        read(path)


def test_lone_quotes_in_a_csv_parted_by_tabs_are_text(tmp_path: Path):
    table = read(write(tmp_path, 'text\tlabel\n"Up" is fine\t1\n"so" so\t0\n'))
    assert table.columns["text"] == ['"Up" is fine', '"so" so']


@pytest.mark.parametrize("delimiter", ["\t", ";", "|"])
def test_a_dataframe_that_was_read_with_another_separator_is_refused(delimiter: str):
    frame = pd.DataFrame({f"text{delimiter}label": [f"a{delimiter}1"]})
    with pytest.raises(ValueError, match="names of 2 between"):
        read(frame)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "text,la\u200bbel,label\na,1,2\n", r"a\.csv:1: .*two spellings.*U\+200B"),
        ("a.tsv", "text\tlabel\tlabel\na\t1\t2\n", r"'label' more than once, in columns 2 and 3"),
        ("a.jsonl", '{"\u00e9": "a"}\n{"e\u0301": "b"}\n', r"two spellings.*U\+00E9"),
        ("a.jsonl", '{"text": "a", "text": "b"}\n', r"a\.jsonl:1: .*'text' more than once"),
        ("a.json", '[{"text": "a", "text": "b"}]', r"a\.json: .*'text' more than once"),
    ],
)
def test_a_name_that_occurs_twice_is_refused(tmp_path: Path, name: str, text: str, message: str):
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path, text, name))


def test_one_name_in_two_unicode_forms_is_refused_in_memory():
    rows = [{"\u00e9": "a", "text": "b"}, {"e\u0301": "c", "text": "d"}]
    for source in (rows, pd.DataFrame([["a", "b"]], columns=["\u00e9", "e\u0301"])):
        with pytest.raises(ValueError, match=r"two spellings.*U\+0065 U\+0301"):
            read(source)


def test_names_of_two_scripts_that_print_alike_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    table = read(write(tmp_path, "text,l\u0430bel,label\na,1,2\nb,2,1\n"))
    assert len(table.names) == 3
    assert "U+0430 (CYRILLIC SMALL LETTER A)" in caplog.text
