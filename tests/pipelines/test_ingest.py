"""Files that people drop in: new text is found, damaged files are set aside, splits stay."""

import gzip
import json
from pathlib import Path

import pytest

from bert_tf.config import Config, validate_config
from bert_tf.data.corpora.selection import DigestSet
from pipelines.engine.step import Context
from pipelines.steps import ingest
from pipelines.steps.training import has_too_little_new


def context_of(tmp_path: Path, config: Config, name: str = "ingest", **folders: Path) -> Context:
    directory = tmp_path / "steps" / name
    directory.mkdir(parents=True, exist_ok=True)
    return Context(config=config, directory=directory, folders=folders, tracking_uri="none")


def corpus(tmp_path: Path, **flow: object) -> Config:
    folder = tmp_path / "corpus"
    folder.mkdir(exist_ok=True)
    return validate_config({"corpus": {"paths": [str(folder)]}, "flow": flow})


def new_texts(directory: Path) -> list[str]:
    lines = (directory / ingest.DOCUMENTS_FILE).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


def test_what_the_encoder_has_read_is_not_new(tmp_path):
    config = corpus(tmp_path, replayed_share=0.0)
    (tmp_path / "corpus" / "a.txt").write_text("하나.\n둘.\n\n셋.\n", encoding="utf-8")
    first = context_of(tmp_path, config)
    ingest.ingest(first)
    # To an encoder that has read nothing all is new: it reads the files themselves.
    assert new_texts(first.directory) == []
    assert ingest.read_corpus_summary(context_of(tmp_path, config, ingest=first.directory)) == {
        "paths": [str(tmp_path / "corpus" / "a.txt")],
        "files_left_out": {},
        "num_documents": 2,
        "num_read_before": 0,
        "num_new": 2,
        "num_new_held_out": 0,
        "set_aside": [],
    }
    # The encoder carries the digests along; here its folder is that of the first look.
    (tmp_path / "corpus" / "b.txt").write_text("셋.\n\n넷.\n", encoding="utf-8")
    second = context_of(tmp_path, config, "second", fetch_encoder=first.directory)
    ingest.ingest(second)
    assert new_texts(second.directory) == ["넷."]
    third = context_of(tmp_path, config, "third", fetch_encoder=second.directory)
    ingest.ingest(third)
    assert new_texts(third.directory) == []
    read = (third.directory / ingest.READ_FILE).read_bytes()
    assert read == (second.directory / ingest.READ_FILE).read_bytes()
    assert len(DigestSet.read(third.directory / ingest.READ_FILE)) == 3


@pytest.mark.parametrize(
    ("summary", "reason"),
    [
        ((0, 0), "0 new documents"),
        ((9, 2), "9 new documents, fewer than flow.min_new_documents=10: left for later"),
        ((10, 1), "10 new documents, 1 of them held out: 2 are needed"),
        ((10, 2), None),
    ],
)
def test_a_few_new_documents_are_left_for_later(tmp_path, summary, reason):
    config = corpus(tmp_path, min_new_documents=10)
    content = dict(zip(("num_new", "num_new_held_out"), summary, strict=True))
    (tmp_path / ingest.CORPUS_FILE).write_text(json.dumps(content))
    assert has_too_little_new(context_of(tmp_path, config, "next", ingest=tmp_path)) == reason


def test_a_damaged_file_is_set_aside_whole(tmp_path, caplog):
    config = corpus(tmp_path, replayed_share=0.0)
    folder = tmp_path / "corpus"
    (folder / "a.txt").write_text("first.\n", encoding="utf-8")
    before = context_of(tmp_path, config, "before")
    ingest.ingest(before)
    (folder / "b.txt").write_bytes(b"whole.\n\nbroken \xff.\n")
    packed = gzip.compress(b"".join(b"line %d.\n\n" % number for number in range(20000)))
    (folder / "c.txt.gz").write_bytes(packed[:-20])
    (folder / "d.txt").write_text("last.\n\nwhole.\n", encoding="utf-8")
    context = context_of(tmp_path, config, fetch_encoder=before.directory)
    ingest.ingest(context)
    assert new_texts(context.directory) == ["last.", "whole."]
    aside = ingest.set_aside_files(context.directory)
    assert [Path(file.path).name for file in aside] == ["b.txt", "c.txt.gz"]
    assert "b.txt:3: text must be UTF-8" in aside[0].reason
    summary = json.loads((context.directory / ingest.CORPUS_FILE).read_text())
    assert [Path(path).name for path in summary["paths"]] == ["a.txt", "d.txt"]
    assert "is set aside" in caplog.text


def test_some_of_what_was_read_goes_along_with_new_text(tmp_path):
    config = corpus(tmp_path, replayed_share=0.25)
    old = [f"old {number}." for number in range(400)]
    (tmp_path / "corpus" / "a.txt").write_text("\n\n".join(old), encoding="utf-8")
    first = context_of(tmp_path, config)
    ingest.ingest(first)
    new = [f"new {number}." for number in range(300)]
    (tmp_path / "corpus" / "b.txt").write_text("\n\n".join(new), encoding="utf-8")
    second = context_of(tmp_path, config, "second", fetch_encoder=first.directory)
    ingest.ingest(second)
    texts = new_texts(second.directory)
    assert texts[:300] == new
    assert set(texts[300:]) < set(old)
    assert 70 <= len(texts) - 300 <= 130  # a quarter of all is expected
    (tmp_path / "corpus" / "c.txt").write_text("one more.", encoding="utf-8")
    third = context_of(tmp_path, config, "third", fetch_encoder=second.directory)
    ingest.ingest(third)
    assert new_texts(third.directory)[0] == "one more."
    assert len(new_texts(third.directory)) < 10


def test_damage_may_be_an_error(tmp_path):
    config = corpus(tmp_path, damaged_files="error")
    (tmp_path / "corpus" / "b.txt").write_bytes(b"broken \xff.\n")
    with pytest.raises(ValueError, match="must be UTF-8"):
        ingest.ingest(context_of(tmp_path, config))


def test_nothing_readable_is_an_error(tmp_path):
    config = corpus(tmp_path)
    (tmp_path / "corpus" / "b.txt").write_bytes(b"broken \xff.\n")
    with pytest.raises(ValueError, match=r"corpus.paths: at least one file must be readable"):
        ingest.ingest(context_of(tmp_path, config))


def test_two_files_side_by_side_are_labelled_texts(tmp_path):
    """Beside a table with the same columns; both of their files are looked at for changes."""
    (tmp_path / "a.en").write_text("a dog\na cat\n")
    (tmp_path / "a.de").write_text("ein Hund\neine Katze\n")
    write(tmp_path / "b.tsv", [("a bird", "ein Vogel")], "source\ttarget")
    names = [str(tmp_path / "?.{en,de}"), str(tmp_path / "b.tsv")]
    flow = {"labelled_paths": names, "labelled_held_out_share": 0.0, "damaged_files": "error"}
    config = validate_config({"flow": flow, "finetuning": {"task": "sequence_to_sequence"}})
    context = context_of(tmp_path, config)
    ingest.labelled(context)
    assert read(context)[0] == [
        {"source": "a dog", "target": "ein Hund"},
        {"source": "a cat", "target": "eine Katze"},
        {"source": "a bird", "target": "ein Vogel"},
    ]
    assert ingest.labelled_files(config) == [tmp_path / it for it in ("a.en", "a.de", "b.tsv")]
    (tmp_path / "a.de").unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.en.*flow\.labelled_paths"):
        ingest.labelled_files(config)


def labels(tmp_path: Path, **flow: object) -> Config:
    folder = tmp_path / "labels"
    folder.mkdir(exist_ok=True)
    return validate_config({"flow": {"labelled_paths": [str(folder)], **flow}})


def write(path: Path, rows: list[tuple[str, ...]], header: str = "text\tlabel") -> None:
    path.write_text("\n".join([header, *map("\t".join, rows)]) + "\n", encoding="utf-8")


def read(context: Context) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    train, held_out = (
        [json.loads(line) for line in (context.directory / name).read_text("utf-8").splitlines()]
        for name in (ingest.TRAIN_FILE, ingest.EVAL_FILE)
    )
    return train, held_out


def test_a_text_stays_on_its_side_as_the_files_grow(tmp_path):
    config = labels(tmp_path)
    rows = [(f"글 {number}", "ab"[number % 2]) for number in range(200)]
    write(tmp_path / "labels" / "a.tsv", rows)
    first = context_of(tmp_path, config)
    ingest.labelled(first)
    before = read(first)
    assert len(before[0]) + len(before[1]) == 200
    assert 20 <= len(before[1]) <= 60
    write(tmp_path / "labels" / "b.tsv", [(f"새 글 {number}", "a") for number in range(50)])
    second = context_of(tmp_path, config, "second")
    ingest.labelled(second)
    for old, new in zip(before, read(second), strict=True):
        assert new[: len(old)] == old


def test_the_last_label_of_a_text_counts(tmp_path):
    config = labels(tmp_path, labelled_held_out_share=0.0)
    write(tmp_path / "labels" / "a.tsv", [("good", "bad"), ("fine", "good")])
    write(tmp_path / "labels" / "b-corrected.tsv", [("good", "good"), ("poor", "bad")])
    context = context_of(tmp_path, config)
    ingest.labelled(context)
    train, held_out = read(context)
    assert {row["text"]: row["label"] for row in train} == {
        "good": "good",
        "fine": "good",
        "poor": "bad",
    }
    assert held_out == []


def test_a_rare_class_is_learnt_rather_than_asked_about(tmp_path):
    config = labels(tmp_path, labelled_held_out_share=1.0)
    write(tmp_path / "labels" / "a.tsv", [("one", "a"), ("two", "b")])
    context = context_of(tmp_path, config)
    ingest.labelled(context)
    train, held_out = read(context)
    assert (len(train), held_out) == (2, [])


def test_where_a_text_comes_from_goes_along_and_a_damaged_file_does_not(tmp_path):
    config = labels(tmp_path, source_field="shop", labelled_held_out_share=0.0)
    write(tmp_path / "labels" / "a.tsv", [("one", "a", "north")], "text\tlabel\tshop")
    write(tmp_path / "labels" / "b.tsv", [("two", "a")])
    context = context_of(tmp_path, config)
    ingest.labelled(context)
    assert read(context)[0] == [{"text": "one", "label": "a", "shop": "north"}]
    (aside,) = ingest.set_aside_files(context.directory)
    assert Path(aside.path).name == "b.tsv"


def test_labelled_paths_must_name_something(tmp_path):
    config = validate_config({"flow": {"labelled_paths": [str(tmp_path / "*.tsv")]}})
    with pytest.raises(FileNotFoundError, match=r"flow.labelled_paths must name"):
        ingest.labelled_files(config)
    write(tmp_path / "a.tsv", [("one", "a")])
    assert ingest.labelled_files(config) == [tmp_path / "a.tsv"]
