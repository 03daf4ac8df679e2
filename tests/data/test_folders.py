"""Which files a folder, a glob or a file's name stands for: corpora and tables alike."""

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bert_tf.config import CorpusConfig, load_config
from bert_tf.data.corpora import corpus
from bert_tf.data.corpora.files import find_corpus_files
from bert_tf.data.preparation.prepare import prepare_records
from bert_tf.data.tables.finding import count_left_out, table_files
from bert_tf.data.tables.reading import read_table
from bert_tf.data.text.tokenizer import Tokenizer

KEY = "flow.labelled_paths"


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"text,label\n{name},x\n", "utf-8")


def corpus_files(*names: object) -> list[Path]:
    return find_corpus_files([str(name) for name in names]).files


def tables(*names: object) -> list[Path]:
    return table_files([str(name) for name in names], key=KEY)


KINDS = pytest.mark.parametrize(
    ("list_files", "ending"), [(corpus_files, "txt"), (tables, "csv")], ids=["corpus", "tables"]
)
Listing = Callable[..., list[Path]]


@KINDS
def test_linked_folders_and_files_are_read_once(
    tmp_path: Path, list_files: Listing, ending: str
) -> None:
    make(tmp_path, f"corpus/a.{ending}", f"elsewhere/deep/b.{ending}", f"single.{ending}")
    top = tmp_path / "corpus"
    (top / "linked").symlink_to(tmp_path / "elsewhere")
    (top / "again").symlink_to(tmp_path / "elsewhere" / "deep")
    (top / f"file.{ending}").symlink_to(tmp_path / f"single.{ending}")
    names = {str(path.relative_to(top)) for path in list_files(top)}
    assert names == {f"a.{ending}", f"again/b.{ending}", f"file.{ending}"}
    assert {path.name for path in list_files(top / "**" / f"*.{ending}")} == {
        *(f"a.{ending}", f"b.{ending}", f"file.{ending}")
    }


@KINDS
def test_loops_of_links_end(tmp_path: Path, list_files: Listing, ending: str) -> None:
    make(tmp_path, f"top/a.{ending}", f"top/deep/b.{ending}")
    (tmp_path / "top" / "deep" / "up").symlink_to(tmp_path / "top")
    (tmp_path / "top" / "deep" / "same").symlink_to(".")
    (tmp_path / "top" / "itself").symlink_to("itself")
    expected = [tmp_path / "top" / f"a.{ending}", tmp_path / "top" / "deep" / f"b.{ending}"]
    assert list_files(tmp_path / "top") == expected
    assert list_files(tmp_path / "top" / "**" / "*") == expected


@KINDS
def test_a_file_of_several_names_is_read_once(
    tmp_path: Path, list_files: Listing, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, f"in/a.{ending}")
    os.link(tmp_path / "in" / f"a.{ending}", tmp_path / "in" / f"b.{ending}")
    monkeypatch.chdir(tmp_path)
    names = ["in", tmp_path / "in", f"in/a.{ending}", f"in/../in/a.{ending}", f"*/a.{ending}"]
    for order in (names, names[::-1]):
        assert len(list_files(*order)) == 1
        assert list_files(*order) == list_files(*names)


@KINDS
def test_endings_count_whatever_their_case(
    tmp_path: Path, list_files: Listing, ending: str
) -> None:
    upper = ending.upper()
    make(tmp_path, f"a.{upper}", f"b.{ending}", f"c.{upper}.GZ", f"d.{ending}.Zst")
    assert [path.name for path in list_files(tmp_path)] == [
        *(f"a.{upper}", f"b.{ending}", f"c.{upper}.GZ", f"d.{ending}.Zst")
    ]


def test_a_corpus_of_upper_case_endings_is_read(tmp_path: Path) -> None:
    (tmp_path / "A.TXT").write_text("One.\n", "utf-8")
    (tmp_path / "B.Jsonl").write_text('{"text": "Two."}\n', "utf-8")
    documents = corpus.read_documents(CorpusConfig(paths=(str(tmp_path),)))
    assert [document.text for document in documents] == ["One.", "Two."]


@KINDS
def test_hidden_names_are_left_out_unless_they_are_given(
    tmp_path: Path, list_files: Listing, ending: str
) -> None:
    hidden = (f".ipynb_checkpoints/a.{ending}", f"._b.{ending}", f"deep/.git/c.{ending}")
    make(tmp_path, f"b.{ending}", *hidden)
    (tmp_path / "linked").symlink_to(tmp_path / ".ipynb_checkpoints")
    names = [str(path.relative_to(tmp_path)) for path in list_files(tmp_path)]
    assert names == [f"b.{ending}", f"linked/a.{ending}"]
    assert list_files(tmp_path / "*") == [tmp_path / f"b.{ending}"]
    for given in (f"._b.{ending}", f"._*.{ending}", "deep/.git", f"deep/.git/*.{ending}"):
        assert len(list_files(tmp_path / given)) == 1, given


def test_what_is_left_out_is_counted_with_its_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, "a.txt", ".b.txt", ".hidden/c.txt", "d.png", "e.md", "deep/f.txt")
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.txt")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.txt")
    expected = {
        "hidden": 2,
        "linked to nothing": 1,
        "of another kind": 3,
        "there under another name": 1,
    }
    assert find_corpus_files([tmp_path]).left_out == expected
    assert find_corpus_files([tmp_path, tmp_path / "**" / "*"]).left_out == expected
    make(tmp_path, "g.csv")
    assert count_left_out([tmp_path], key=KEY) == {
        "hidden": 2,
        "linked to nothing": 1,
        "of another kind": 6,
    }
    (tmp_path / "g.csv").unlink()
    assert find_corpus_files([tmp_path / "*"]).left_out == {
        **expected,
        "a folder that a glob matches": 1,
    }
    with caplog.at_level(logging.INFO):
        corpus.list_sources([str(tmp_path)])
    assert "corpus.paths, left out: 2 hidden, 1 linked to nothing, 3 of another kind" in caplog.text


def test_a_folder_of_which_all_is_left_out_says_why(tmp_path: Path) -> None:
    make(tmp_path, ".a.txt", "b.png")
    with pytest.raises(FileNotFoundError, match=r"none there \(left out: 1 hidden, 1 of another"):
        corpus_files(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"at least one table.*\(left out: 1 hidden, 1 of"):
        tables(tmp_path)


def test_the_summary_of_records_counts_what_was_left_out(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    text = "\n\n".join(f"하나 {number}.\n둘 셋." for number in range(40))
    make(tmp_path, "corpus/.hidden.txt", "corpus/picture.png")
    (tmp_path / "corpus" / "a.txt").write_text(text, "utf-8")
    config = load_config(
        overrides=[
            f"corpus.paths=[{tmp_path}/corpus]",
            f"tokenizer.vocabulary={tokenizer.save(tmp_path / 'vocab')}",
            "records.num_shards=1",
        ]
    )
    prepare_records(config, tmp_path / "records")
    summary = json.loads((tmp_path / "records" / "corpus_summary.json").read_text("utf-8"))
    assert summary["files_left_out"] == {"hidden": 1, "of another kind": 1}


def test_a_table_named_twice_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a.csv", "b.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "b.csv")
    monkeypatch.chdir(tmp_path)
    table = read_table(["b.csv", str(tmp_path / "b.csv"), "link.csv", "a.csv"], key=KEY)
    assert table.columns["text"] == ["b.csv", "a.csv"]
