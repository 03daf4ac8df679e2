import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import Config, load_config
from bert_tf.data import records
from bert_tf.data.corpora import corpus
from bert_tf.data.preparation import prepare as preparation
from bert_tf.data.preparation import shards, spool
from bert_tf.data.preparation.prepare import prepare_records
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.wordpiece import WordPieceTokenizer

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
PROCESS_FILES = ("config.yaml",)


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in directory.iterdir()
        if path.name not in PROCESS_FILES
    }


def changed(config: Config, section: str, **values: Any) -> Config:
    new = type(getattr(config, section)).model_validate(
        {**getattr(config, section).model_dump(), **values}
    )
    return config.model_copy(update={section: new})


def write_corpus(path: Path, *documents: str) -> str:
    path.write_text("\n\n".join(documents), encoding="utf-8")
    return str(path)


def test_the_folder_holds_shards_and_all_that_explains_them(
    records_dir: Path, corpus_config: Config
) -> None:
    assert sorted(path.name for path in records_dir.iterdir()) == [
        "config.yaml",
        "corpus_summary.json",
        "eval-00000-of-00001.tfrecord",
        "folder.json",
        "manifest.json",
        "tokenizer.json",
        *(f"train-0000{index}-of-00003.tfrecord" for index in range(3)),
        "vocab.txt",
    ]
    manifest = records.read_manifest(records_dir)
    assert sum(manifest.num_documents.values()) == 200
    assert manifest.num_documents["eval"] == sum(
        corpus.is_held_out(document, share=0.2, seed=corpus_config.seed)
        for document in corpus.read_documents(corpus_config.corpus)
    )
    for shard in manifest.shards:
        digest = hashlib.sha256((records_dir / shard.name).read_bytes()).hexdigest()
        assert digest == shard.sha256
    vocabulary = hashlib.sha256((records_dir / "vocab.txt").read_bytes()).hexdigest()
    assert vocabulary == manifest.vocabulary_sha256
    assert load_config(records_dir / "config.yaml") == corpus_config


def test_records_are_well_formed_and_sides_share_no_document(
    records_dir: Path, tokenizer: Tokenizer
) -> None:
    cls, sep = tokenizer.cls_id, tokenizer.sep_id
    num_random = num_examples = 0
    for split in ("train", "eval"):
        paths = [str(path) for path in records.shard_paths(records_dir, split)]
        for record in tf.data.TFRecordDataset(paths).batch(64).map(records.parse):
            rows = zip(
                record["input_ids"].to_list(),
                record["segment_ids"].to_list(),
                record["next_sentence_labels"].numpy(),
                strict=True,
            )
            for ids, segments, label in rows:
                assert len(ids) == len(segments) <= 32
                assert ids[0] == cls
                assert ids[-1] == sep
                assert ids.count(sep) == 2
                middle = ids.index(sep) + 1
                assert segments == [0] * middle + [1] * (len(ids) - middle)
                num_random += label
                num_examples += 1
    assert num_examples == sum(
        records.read_manifest(records_dir).num_examples(split) for split in ("train", "eval")
    )
    assert 0.4 < num_random / num_examples < 0.75


def test_an_interrupted_run_goes_on_with_the_missing_shards_only(
    tmp_path: Path, records_dir: Path, corpus_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(stage: str, done: int, total: int | None) -> None:
        if (stage, done) == ("shards", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_records(corpus_config, tmp_path, on_progress=interrupt)
    with pytest.raises(FileNotFoundError, match=r"manifest\.json: .*it goes on"):
        records.shard_paths(tmp_path, "train")
    made = _count_calls(monkeypatch, shards, "write_shard")
    spooled = _count_calls(monkeypatch, spool, "spool_documents")
    progress: list[tuple[str, int, int | None]] = []
    prepare_records(corpus_config, tmp_path, on_progress=lambda *event: progress.append(event))
    assert (len(made), len(spooled)) == (2, 0)
    assert progress == [("shards", 3, 4), ("shards", 4, 4)]
    assert contents(tmp_path) == contents(records_dir)
    prepare_records(corpus_config, tmp_path)
    assert len(made) == 2, "a finished folder is left as it is"


def test_a_shard_cut_short_is_made_again(
    tmp_path: Path, records_dir: Path, corpus_config: Config
) -> None:
    def interrupt(stage: str, done: int, total: int | None) -> None:
        if (stage, done) == ("shards", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_records(corpus_config, tmp_path, on_progress=interrupt)
    (tmp_path / "train-00000-of-00003.tfrecord").write_bytes(b"half")
    (tmp_path / ".train-00002-of-00003.tfrecord.77.tmp").write_bytes(b"half")
    prepare_records(corpus_config, tmp_path)
    assert contents(tmp_path) == contents(records_dir)


@pytest.mark.parametrize("is_finished", [True, False])
def test_another_configuration_or_corpus_is_refused_with_the_difference(
    tmp_path: Path, corpus_config: Config, is_finished: bool
) -> None:
    def interrupt(stage: str, done: int, total: int | None) -> None:
        if stage == "shards" and not is_finished and done == 2:
            raise KeyboardInterrupt

    try:
        prepare_records(corpus_config, tmp_path, on_progress=interrupt)
    except KeyboardInterrupt:
        assert not is_finished
    with pytest.raises(ValueError, match=r"examples\.max_seq_length: 32 there, 64 now"):
        prepare_records(changed(corpus_config, "examples", max_seq_length=64), tmp_path)
    other = write_corpus(tmp_path / "text.txt", "a\nb", "c\nd")
    with pytest.raises(ValueError, match=r"files\.00001 text\.txt: .*there, 8 bytes.* now\n.*Give"):
        prepare_records(changed(corpus_config, "corpus", paths=(other,)), tmp_path)


def test_nothing_finished_binds_nobody(tmp_path: Path, corpus_config: Config) -> None:
    with pytest.raises(ValueError, match=r"90 train shard\(s\) need at least 2 document"):
        prepare_records(changed(corpus_config, "records", num_shards=90), tmp_path)
    prepare_records(corpus_config, tmp_path)


def test_too_few_documents_are_refused(tmp_path: Path, corpus_config: Config) -> None:
    path = write_corpus(tmp_path / "text.txt", "Only one.\nDocument.")
    config = changed(corpus_config, "corpus", paths=(path,), held_out_share=0.0)
    config = changed(config, "records", num_shards=1)
    with pytest.raises(ValueError, match=r"text\.txt: 1 train shard.* Received: 1 train document"):
        prepare_records(config, tmp_path / "out")
    manifest = prepare_records(changed(config, "examples", next_sentence=False), tmp_path / "out")
    assert manifest.num_examples("train") == 1


def test_documents_without_a_token_leave_a_named_shard(
    tmp_path: Path, corpus_config: Config
) -> None:
    path = write_corpus(tmp_path / "text.txt", "A cat.\nA dog.", "\u200b\ufffd", "\u200b")
    config = changed(corpus_config, "corpus", paths=(path,), held_out_share=0.0)
    config = changed(config, "records", num_shards=1)
    with pytest.raises(
        ValueError,
        match=r"train-00000-of-00001\.tfrecord: train shard 0 has 1 of 3 document\(s\) .* at least "
        r"2 documents.*Received: 1\. .*lower records\.num_shards",
    ):
        prepare_records(config, tmp_path / "out")


def test_a_folder_prepared_anew_takes_the_new_vocabulary(
    tmp_path: Path, corpus_config: Config, tokenizer: Tokenizer
) -> None:
    folder = tmp_path / "records"
    prepare_records(corpus_config, folder)
    shutil.rmtree(folder)
    tokens = list(tokenizer.vocabulary)
    WordPieceTokenizer([*tokens[:5], *reversed(tokens[5:])]).save(tmp_path / "reversed")
    config = changed(corpus_config, "tokenizer", vocabulary=str(tmp_path / "reversed"))
    prepare_records(config, folder)
    prepare_records(config, tmp_path / "elsewhere")
    assert contents(folder) == contents(tmp_path / "elsewhere")
    shutil.rmtree(folder)
    prepare_records(changed(corpus_config, "tokenizer", lower_case=False), folder)
    assert contents(folder) != contents(tmp_path / "elsewhere")


def test_a_vocabulary_changed_while_shards_are_made_is_refused(
    tmp_path: Path, corpus_config: Config, tokenizer: Tokenizer
) -> None:
    def change(stage: str, done: int, total: int | None) -> None:
        if stage == "documents":
            WordPieceTokenizer([*tokenizer.vocabulary, "more"]).save(tmp_path)

    with pytest.raises(ValueError, match=r"vocab\.txt: a vocabulary must stay .*SHA-256"):
        prepare_records(corpus_config, tmp_path, on_progress=change)


def test_a_second_run_in_the_same_folder_is_refused_and_harms_nothing(
    tmp_path: Path, records_dir: Path, corpus_config: Config
) -> None:
    messages = []

    def run_another(stage: str, done: int, total: int | None) -> None:
        if stage == "shards":
            with pytest.raises(ValueError, match="one process at a time") as caught:
                prepare_records(corpus_config, tmp_path)
            messages.append(str(caught.value))

    prepare_records(corpus_config, tmp_path, on_progress=run_another)
    assert len(messages) == 4
    assert messages[0].startswith(f"{tmp_path}: ")
    assert f"process {os.getpid()} on " in messages[0]
    assert "another --output-dir" in messages[0]
    assert contents(tmp_path) == contents(records_dir), "no lock file is left"


def test_a_finished_folder_needs_no_right_to_write(
    tmp_path: Path, corpus_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = prepare_records(corpus_config, tmp_path)
    locked = _count_calls(monkeypatch, preparation, "owned_folder")
    assert prepare_records(corpus_config, tmp_path) == manifest
    assert locked == []


def test_a_vocabulary_is_asked_for(tmp_path: Path, corpus_config: Config) -> None:
    with pytest.raises(ValueError, match=r"tokenizer\.vocabulary must be set"):
        prepare_records(changed(corpus_config, "tokenizer", vocabulary=None), tmp_path)


def test_documents_are_dealt_in_turn_and_read_back_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "BLOCK_BYTES", 50)
    monkeypatch.setattr(spool, "MIN_BLOCK_DOCUMENTS", 2)
    monkeypatch.setattr(spool, "BUFFER_BYTES", 16)
    documents = [corpus.Document((f"{n:09d}", "두 번째"), "a:1") for n in range(21)]
    counts = spool.spool_documents(
        [documents[:5], documents[5:]],
        tmp_path,
        num_shards={"train": 2, "eval": 1},
        texts_of=lambda batch: {"train": [document.text.encode() for document in batch]},
    )
    assert counts == {"train": 21, "eval": 0}
    blocks = list(spool.read_blocks(spool.spool_path(tmp_path, "train", 0)))
    # Each document takes 9 + 1 + 10 + 2 bytes: the third is cut, so it is read to its end.
    assert [block.document_splits.tolist() for block in blocks] == [[0, 2, 4, 6]] * 3 + [[0, 2, 4]]
    numbers = [int(paragraph) for block in blocks for paragraph in block.paragraphs[::2]]
    assert numbers == list(range(0, 21, 2))
    assert {paragraph.decode() for block in blocks for paragraph in block.paragraphs[1::2]} == {
        "두 번째"
    }
    monkeypatch.setattr(spool, "MIN_BLOCK_DOCUMENTS", 3)
    blocks = list(spool.read_blocks(spool.spool_path(tmp_path, "train", 0)))
    assert [len(block.document_splits) - 1 for block in blocks] == [3, 3, 5], "the last was small"
    assert list(spool.read_blocks(spool.spool_path(tmp_path, "eval", 0))) == []


def test_no_cut_between_blocks_parts_a_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [corpus.Document(("a" * n, "b", "c" * (7 - n)), "a:1") for n in range(1, 7)] * 2
    spool.spool_documents(
        [documents],
        tmp_path,
        num_shards={"all": 1},
        texts_of=lambda batch: {"all": [document.text.encode() for document in batch]},
    )
    expected = [paragraph.encode() for document in documents for paragraph in document.paragraphs]
    monkeypatch.setattr(spool, "MIN_BLOCK_DOCUMENTS", 1)
    for size in range(1, 40):
        monkeypatch.setattr(spool, "BLOCK_BYTES", size)
        blocks = list(spool.read_blocks(spool.spool_path(tmp_path, "all", 0)))
        assert [paragraph for block in blocks for paragraph in block.paragraphs] == expected
        sizes = [size for block in blocks for size in np.diff(block.document_splits).tolist()]
        assert sizes == [3] * len(documents), size


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data beside the repository")
def test_real_text_is_prepared(tmp_path: Path, tokenizer: Tokenizer) -> None:
    tokenizer.save(tmp_path / "tokenizer")
    config = Config.model_validate(
        {
            "corpus": {
                "paths": [str(SHARED / "en/progit"), str(SHARED / "ko/progit")],
                "document_boundary": "file",
            },
            "tokenizer": {"vocabulary": str(tmp_path / "tokenizer")},
        }
    )
    manifest = prepare_records(config, tmp_path / "records")
    assert sum(manifest.num_documents.values()) == 86 + 87
    assert manifest.num_examples("train") > 1000
    assert manifest.num_examples("eval") > 0


def _count_calls(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[tuple[Any, ...]]:
    calls: list[tuple[Any, ...]] = []
    original: Callable[..., Any] = getattr(module, name)

    def call(*arguments: Any, **keywords: Any) -> Any:
        calls.append(arguments)
        return original(*arguments, **keywords)

    monkeypatch.setattr(module, name, call)
    return calls


def test_a_corpus_that_is_split_already_is_taken_as_it_is(
    tmp_path: Path, corpus_config: Config
) -> None:
    """One sentence a line: full stops inside of it part nothing."""
    lines = ["cat sees dog 1. dog finds cat 2.", "stone likes river 3. river 4."]
    path = write_corpus(tmp_path / "split.txt", *["\n".join(lines)] * 40)
    firsts: dict[bool, set[tuple[int, ...]]] = {}
    for is_split in (False, True):
        config = changed(
            corpus_config,
            "corpus",
            paths=[path],
            paragraphs_are_sentences=is_split,
            held_out_share=0.0,
        )
        folder = tmp_path / str(is_split)
        prepare_records(config, folder)
        tokenizer = Tokenizer.load(folder)
        firsts[is_split] = set()
        for shard in records.shard_paths(folder, "train"):
            for serialized in tf.data.TFRecordDataset(str(shard)):
                ids = records.parse(serialized[None])["input_ids"].to_list()[0]
                firsts[is_split].add(tuple(ids[1 : ids.index(tokenizer.sep_id)]))
    whole = {tuple(ids) for ids in tokenizer.tokenize(lines).to_list()}
    assert not firsts[False] <= whole
    assert firsts[True] <= whole | {sum(whole, ())}
    with pytest.raises(ValueError, match=r"paragraphs_are_sentences: absent there, True now"):
        prepare_records(config, tmp_path / "False")
