"""Files with a token and its tag a line, as CoNLL, KLUE, Naver and others write them."""

import gzip
import logging
from pathlib import Path
from typing import Any

import pytest
import zstandard

from bert_tf.config import TableConfig
from bert_tf.data.tables.reading import iter_tables, named_files, read_table, table_files
from bert_tf.data.tables.table import Table

KEY = "finetuning.train_path"
CONLL = """\
-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O
German JJ B-NP B-MISC

Peter NNP B-NP B-PER
"""


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def read(path: Any, **settings: Any) -> Table:
    return read_table(path, config=TableConfig(**settings), key=KEY)


def read_columns(path: Path, **settings: Any) -> Table:
    return read(path, layout="token_columns", **settings)


@pytest.mark.parametrize("ending", ["conll", "bio", "iob", "IOB2"])
def test_conll_2003_is_read_by_its_ending(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"train.{ending}", CONLL)
    table = read(path)
    assert table.names == ("text", "tokens", "tags")
    assert table.columns["text"] == ["EU rejects German", "Peter"]
    assert table.columns["tokens"] == [["EU", "rejects", "German"], ["Peter"]]
    assert table.columns["tags"] == [["B-ORG", "O", "B-MISC"], ["B-PER"]]
    assert [table.where(row) for row in (0, 1)] == [f"{path}:3", f"{path}:7"]


def test_other_columns_are_tokens_and_tags_on_request(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conll", CONLL)
    assert read(path, tag_column=2).columns["tags"] == [["NNP", "VBZ", "JJ"], ["NNP"]]
    table = read(path, token_column=2, tag_column=1)
    assert table.columns["text"] == ["NNP VBZ JJ", "NNP"]
    with pytest.raises(ValueError, match=r"a\.conll:3: .*table\.tag_column must be one of the 4 "):
        read(path, tag_column=5)
    with pytest.raises(ValueError, match=r"a\.conll:3: tokens and tags must be in two columns"):
        read(path, tag_column=1)
    with pytest.raises(ValueError, match="token_column and tag_column must be two columns"):
        TableConfig(token_column=2, tag_column=2)


def test_an_index_before_the_tokens_is_seen(tmp_path: Path) -> None:
    """Naver's NER data."""
    text = "1\t비토리오\tPER_B\n2\t양일\tDAT_B\n3\t만에\t-\n\n1\t영사관\tORG_B\n"
    table = read_columns(write(tmp_path / "a.txt", text))
    assert table.columns["text"] == ["비토리오 양일 만에", "영사관"]
    assert table.columns["tags"] == [["PER_B", "DAT_B", "-"], ["ORG_B"]]
    zero = write(tmp_path / "b.txt", "0 a O\n1 bc O\n\n0 d O\n")
    assert read_columns(zero).columns["text"] == ["a bc", "d"]
    with pytest.raises(ValueError, match=r"c\.conll:1: the first column must .*count them.*Set"):
        read(write(tmp_path / "c.conll", "1 a O\n3 bc O\n"))
    assert read(tmp_path / "c.conll", token_column=2).columns["text"] == ["a bc"]


def test_numbers_in_two_columns_are_tokens(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.conll", "10 O\n11 O\n")).columns["text"] == ["10 11"]


KLUE = """\
## 토큰 구분자 : \\t
## klue-1\t<경찰:OG>은 #1
경\tB-OG
찰\tI-OG
은\tO
 \tO
#\tO
1\tO

## klue-2\t가 나
가\tO
 \tO
나\tO

"""


def test_a_character_a_line_is_joined_with_its_own_spaces(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    table = read_columns(write(tmp_path / "a.tsv", KLUE))
    assert table.columns["text"] == ["경찰은 #1", "가 나"]
    assert table.columns["id"] == ["klue-1", "klue-2"]
    assert table.where(0).endswith("a.tsv:3")
    assert (
        "tokens in column 1, tags in column 2, nothing in between; comments left out: 3 lines"
        in caplog.text
    )
    spaced = read_columns(tmp_path / "a.tsv", joined="space")
    assert spaced.columns["text"][1] == "가   나"


def test_ids_are_kept_if_every_sentence_has_one_of_its_own(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.conll", "# sent_id = s-1\n# text = A b\nA O\nbc O\n\n# id: s-2\nC O\n"
    )
    assert read(path).columns["id"] == ["s-1", "s-2"]
    for other in ("s-1", None):
        comment = f"# sent_id = {other}\n" if other else "# text = C\n"
        text = f"# sent_id = s-1\nA O\nbc O\n\n{comment}C O\n"
        assert read(write(tmp_path / "b.conll", text)).names == ("text", "tokens", "tags")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("#\tO\nword\tO\n", ["#", "word"]),
        ("#tag\tO\nword\tO\n##\tO\n", ["#tag", "word", "##"]),
        ("# comment\nword\tO\n", ["word"]),
        ("## a comment\twith a tab\nword\tO\n#comment\n", ["word"]),
        ("#\tthe source of GermEval\n1\tword\tO\n2\t#\tO\n", ["word", "#"]),
        ("# O\nword O\n#tag O\n", ["#", "word", "#tag"]),
        ("# comment\nword O\n# of three words\n", ["word"]),
    ],
)
def test_comments_are_told_from_tokens(tmp_path: Path, text: str, tokens: list[str]) -> None:
    assert read(write(tmp_path / "a.conll", text)).columns["tokens"] == [tokens]


def test_how_tokens_are_joined_must_be_said_where_it_is_not_clear(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conll", "Hello\tO\n \tO\nworld\tO\n")
    with pytest.raises(
        ValueError, match=r"a\.conll: tokens must be words.*'Hello', and ' '.*table\.joined"
    ):
        read(path)
    assert read(path, joined="nothing").columns["text"] == ["Hello world"]
    characters = "北\tO\n京\tO\n" * 10 + "2008\tO\n"
    table = read(write(tmp_path / "b.conll", characters))
    assert table.columns["text"] == ["北京" * 10 + "2008"]
    decomposed = write(tmp_path / "c.conll", "\u1112\u1161\u11ab\tO\n\u1100\u1173\u11af\tO\n")
    assert len(read(decomposed).columns["text"][0]) == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tO\nbc\n", r":2: a line of token columns must have the 2 columns.*Received: 1\. Tabs"),
        ("a O\n\nbc NN O\n", r":3: a line of token columns .*Received: 3\. Spaces part"),
        ("word\nother\n", r":1: a line of token columns must have a token and its tag"),
        ("a\tO\n\tO\n", r":2: a line must have a token in column 1"),
        ("a\tO\nb\t\n", r":2: a line must have a tag in column 2"),
        ("# only\n\n", r": a table needs at least one record"),
    ],
)
def test_lines_at_fault_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"a\.conll" + message):
        read(write(tmp_path / "a.conll", text))


def test_packed_files_and_encodings_are_read_as_other_tables(tmp_path: Path) -> None:
    for name, pack in (("a.conll.gz", gzip.compress), ("b.bio.zst", zstandard.compress)):
        (tmp_path / name).write_bytes(pack(CONLL.encode()))
        assert len(read(tmp_path / name)) == 2
    path = write(tmp_path / "c.conll", "똠방각하\tB-PS\r\n갔다\tO\r\n", "cp949")
    assert read(path, encoding="cp949").columns["text"] == ["똠방각하 갔다"]
    with pytest.raises(ValueError, match=r"c\.conll:1: a table must be in its encoding, utf-8"):
        read(path)
    cut = tmp_path / "d.conll.gz"
    cut.write_bytes(gzip.compress(CONLL.encode())[:-9])
    with pytest.raises(ValueError, match=r"d\.conll\.gz: a \.gz file must be whole"):
        read(cut)
    (tmp_path / "e.conll").write_bytes(gzip.compress(CONLL.encode()))
    with pytest.raises(ValueError, match=r"e\.conll:1: .*looks like a \.gz file"):
        read(tmp_path / "e.conll")


def test_several_files_are_one_table_in_batches(tmp_path: Path) -> None:
    write(tmp_path / "a.conll", "ab O\ncd O\n\n" * 600)
    write(tmp_path / "b.conll", CONLL)
    tables = list(iter_tables(f"{tmp_path}/*.conll", key=KEY, batch_rows=100))
    assert [len(table) for table in tables] == [100] * 6 + [2]
    assert tables[6].where(1).endswith("b.conll:7")
    assert table_files([tmp_path], key=KEY) == [tmp_path / "a.conll", tmp_path / "b.conll"]


def test_a_tsv_that_looks_like_token_columns_is_not_read_as_a_table(tmp_path: Path) -> None:
    message = r"a\.tsv:3: .*'경' and 'B-OG'.*finetuning\.table\.layout=token_columns.*layout=table"
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path / "a.tsv", KLUE))
    write(tmp_path / "b.tsv", "EU\tB-ORG\nrejects\tO\n")
    with pytest.raises(ValueError, match=r"b\.tsv:1: .*layout=token_columns"):
        read(tmp_path / "b.tsv")
    with pytest.raises(ValueError, match=r"b\.tsv:1: .*give it the ending \.conll\.$"):
        read_table(tmp_path / "b.tsv", key="--file")
    (tmp_path / "d.tsv").write_bytes(gzip.compress(KLUE.encode()))
    with pytest.raises(ValueError, match=r"d\.tsv:1: .*looks like a \.gz file"):
        read(tmp_path / "d.tsv")
    assert read(tmp_path / "b.tsv", layout="table").names == ("EU", "B-ORG")
    assert len(read(write(tmp_path / "c.tsv", "text\tlabel\na b\tB-1\n"))) == 1


def test_a_txt_is_read_with_the_layout_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", CONLL)
    message = r"a\.txt: a table must be one of .*, set finetuning\.table\.layout=token_columns"
    for source in (path, f"{tmp_path}/*.txt"):
        with pytest.raises(ValueError, match=message):
            read(source)
        assert len(read_table(source, config=TableConfig(layout="token_columns"), key=KEY)) == 2
        assert named_files(source) == [path]


def test_the_layout_is_of_text_files_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a", "label": 1}\n')
    assert read_columns(path).names == ("text", "label")
    with pytest.raises(ValueError, match=r"a\.conll: a \.conll file must be read as token columns"):
        read(write(tmp_path / "a.conll", CONLL), layout="table")


def test_a_missing_column_of_token_columns_is_not_put_down_to_a_header(tmp_path: Path) -> None:
    table = read_columns(write(tmp_path / "a.tsv", CONLL))
    with pytest.raises(ValueError, match=r"there must be a column 'label'") as error:
        table.column("label", key="finetuning.label_field")
    assert "has_header" not in str(error.value)
