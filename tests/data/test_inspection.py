"""Prepared examples as text, and the report of a records folder."""

import json
from pathlib import Path

import pytest
import tensorflow as tf

from bert_tf.config import Config
from bert_tf.data import records
from bert_tf.data.corpora.corpus import read_documents
from bert_tf.data.inspection.examples import InspectedExample, Piece, join_pieces, read_examples
from bert_tf.data.inspection.report import report_records
from bert_tf.data.preparation.prepare import prepare_records
from bert_tf.data.text.sentences import split_sentences

from .conftest import make_config


def test_masks_segments_and_words_are_shown() -> None:
    example = InspectedExample(
        (
            Piece("[CLS]", "control", 0, None, True),
            Piece("play", "text", 0, None, True),
            Piece("ing", "text", 0, None, False),
            Piece("[MASK]", "masked", 0, "cat", True),
            Piece("[SEP]", "control", 0, None, True),
            Piece("dog", "random", 1, "##s", False),
            Piece("the", "kept", 1, "the", True),
            Piece("[SEP]", "control", 1, None, True),
        ),
        "random",
        max_seq_length=16,
    )
    assert str(example).splitlines() == [
        "next sentence: random, 8 of 16 tokens (50% full), 3 masked",
        "A  [CLS] playing [MASK](cat) [SEP]",
        "B  dog(##s) the(the) [SEP]",
    ]


def test_without_masks_the_text_is_that_of_the_record(records_dir: Path) -> None:
    off = ["masking.masked_lm_prob=0", "masking.mask_share=0", "masking.random_share=0"]
    examples = read_examples(records_dir, split="eval", num=3, overrides=off)
    tokens = (records_dir / "vocab.txt").read_text("utf-8").split("\n")
    dataset = tf.data.TFRecordDataset([str(p) for p in records.shard_paths(records_dir, "eval")])
    for example, serialized in zip(examples, dataset, strict=False):
        parsed = records.parse(tf.expand_dims(serialized, 0))
        ids = parsed["input_ids"].values.numpy().tolist()
        assert len(example.pieces) == len(ids)
        written = " ".join(tokens[i] for i in ids).replace(" ##", "")
        shown = " ".join(join_pieces(pieces) for _, pieces in example.segments())
        shown = shown.replace("(", "\0(")
        for piece in example.pieces:
            if piece.original is not None:
                assert piece.kind == "kept", "at least one token is always predicted"
                shown = shown.replace(f"\0({piece.original})", "", 1)
        assert shown == written
        label = int(parsed["next_sentence_labels"][0])
        assert example.label == {0: "follows", 1: "random"}[label]


def test_every_selected_token_can_be_masked(records_dir: Path) -> None:
    examples = read_examples(
        records_dir, num=4, overrides=["masking.mask_share=1", "masking.random_share=0"]
    )
    assert len(examples) == 4
    for example in examples:
        kinds = [piece.kind for piece in example.pieces]
        assert "masked" in kinds
        assert "random" not in kinds
        assert [name for name, _ in example.segments()] == ["A", "B"]
        assert 0 < example.fill <= 1


def test_the_seed_decides_and_asking_for_too_many_gives_all(records_dir: Path) -> None:
    one, again, other = (
        read_examples(records_dir, split="eval", num=10**6, seed=seed) for seed in (1, 1, 2)
    )
    assert one == again != other
    assert len(one) == records.read_manifest(records_dir).num_examples("eval")


def test_a_report_counts_what_the_folder_holds(
    records_dir: Path, corpus_config: Config, tmp_path: Path
) -> None:
    path = report_records(records_dir, tmp_path / "report")
    numbers = json.loads((path.parent / "records_report.json").read_text())
    manifest = records.read_manifest(records_dir)
    for split in ("train", "eval"):
        found = numbers[split]
        assert found["num_documents"] == manifest.num_documents[split]
        assert found["num_examples"] == manifest.num_examples(split)
        assert found["num_tokens"] == manifest.num_tokens(split)
        assert found["num_follows"] + found["num_random"] == found["num_examples"]
        share = 1 - found["num_tokens"] / (32 * found["num_examples"])
        assert found["padding_share"] == pytest.approx(share)
        assert len(found["lengths"]) == 33
    paragraphs = [p for d in read_documents(corpus_config.corpus) for p in d.paragraphs]
    assert numbers["num_sentences"] == len(split_sentences(tf.constant(paragraphs)).values)
    markdown = path.read_text("utf-8")
    assert "![Lengths of the examples](records_report.png)" in markdown
    assert f"| examples | {manifest.num_examples('train'):,} |" in markdown
    assert (path.parent / "records_report.png").read_bytes()[:4] == b"\x89PNG"


def test_records_without_pairs_or_corpus_are_reported(
    corpus_config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = tmp_path / "text.txt"
    text.write_bytes(Path(corpus_config.corpus.paths[0]).read_bytes())
    config = make_config(
        paths=[str(text)],
        vocabulary=str(corpus_config.tokenizer.vocabulary),
        examples={"next_sentence": False},
        corpus={"held_out_share": 0.0},
    )
    folder = tmp_path / "records"
    prepare_records(config, folder)
    (example,) = read_examples(folder, num=1)
    assert example.label is None
    assert [name for name, _ in example.segments()] == ["A"]
    with pytest.raises(ValueError, match=r"evaluation needs held-out records\. Received: none"):
        read_examples(folder, split="eval")
    for damage, message in (
        (lambda: text.write_text("another"), "files of other names or sizes"),
        (text.unlink, r"a corpus path must exist"),
    ):
        damage()
        markdown = report_records(folder, tmp_path / "report").read_text("utf-8")
        assert "documents, not known sentences." in markdown
        assert "| next sentence follows | no labels | no labels |" in markdown
        assert message in caplog.text


def test_a_folder_without_records_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"manifest\.json: prepared records must have"):
        report_records(tmp_path, tmp_path / "report")
    assert not (tmp_path / "report").exists()
