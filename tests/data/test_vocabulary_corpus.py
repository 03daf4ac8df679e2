"""What a vocabulary is learned from and measured on; `learn_tokenizer` as a whole."""

import json
import logging
from pathlib import Path

import pytest

from bert_tf.config import Config, validate_config
from bert_tf.data.corpora.corpus import is_held_out, read_documents
from bert_tf.data.text.learning import learn_tokenizer
from bert_tf.data.text.vocabulary_corpus import VocabularyCorpus

from .conftest import make_text

NUM_DOCUMENTS = 400


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "corpus.txt"
    path.write_text(make_text(num_documents=NUM_DOCUMENTS), encoding="utf-8")
    return path


def make_config(*paths: Path, held_out_share: float = 0.2, **vocabulary: object) -> Config:
    return validate_config(
        {
            "corpus": {"paths": [str(path) for path in paths], "held_out_share": held_out_share},
            "vocabulary": {"size": 250, **vocabulary},
        }
    )


def test_learned_and_held_out_texts_share_the_corpus_as_preparation_does(path: Path) -> None:
    config = make_config(path)
    texts = VocabularyCorpus(config)
    learned, held_out = list(texts.learned_texts()), list(texts.held_out_texts())
    assert len(learned) + len(held_out) == NUM_DOCUMENTS
    documents = read_documents(config.corpus)
    assert held_out == [
        document.text
        for document in documents
        if is_held_out(document, share=0.2, seed=config.seed)
    ]


def test_a_sample_has_the_stated_size_and_does_not_depend_on_the_order(
    path: Path, tmp_path: Path
) -> None:
    blocks = path.read_text(encoding="utf-8").strip().split("\n\n")
    turned = tmp_path / "turned.txt"
    turned.write_text("\n\n".join(reversed(blocks)), encoding="utf-8")
    for limit in (2000, 20_000):
        texts = VocabularyCorpus(make_config(path, sample_bytes=limit))
        learned = list(texts.learned_texts())
        num_bytes = sum(len(text.encode()) for text in learned)
        assert limit * 0.75 < num_bytes <= limit
        other = VocabularyCorpus(make_config(turned, sample_bytes=limit))
        assert sorted(other.learned_texts()) == sorted(learned)
        held_out_share = len(list(texts.held_out_texts())) / len(learned)
        assert 0 < held_out_share < 1


def test_a_sample_larger_than_the_corpus_is_the_corpus(path: Path) -> None:
    texts = VocabularyCorpus(make_config(path, sample_bytes=10**9))
    whole = VocabularyCorpus(make_config(path))
    assert list(texts.learned_texts()) == list(whole.learned_texts())


def test_a_sample_too_small_for_a_document_is_refused(path: Path) -> None:
    message = r"sample_bytes must hold the first document drawn\. Received: 3; it has \d+ bytes"
    with pytest.raises(ValueError, match=message):
        VocabularyCorpus(make_config(path, sample_bytes=3))


def test_a_learned_tokenizer_has_its_report_beside_it(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stages: list[str] = []
    with caplog.at_level(logging.INFO):
        learn_tokenizer(
            make_config(path, sample_bytes=10_000),
            tmp_path,
            on_progress=lambda stage, done, total: stages.append(stage),
        )
    assert {item.name for item in tmp_path.iterdir()} == {
        "config.yaml",
        "folder.json",
        "tokenizer.json",
        "vocab.txt",
        "vocabulary_report.json",
        "vocabulary_report.md",
    }
    numbers = json.loads((tmp_path / "vocabulary_report.json").read_text("utf-8"))
    assert 7500 < numbers["learned_bytes"] <= 10_000
    assert numbers["num_documents"] > 0
    assert numbers["coverage"] == 1.0
    assert 1 <= numbers["fertility"] < 2
    markdown = (tmp_path / "vocabulary_report.md").read_text("utf-8")
    assert "bytes, a sample)" in markdown
    assert "| fertility: tokens a word |" in markdown
    assert "held-out documents: coverage 100.00%, [UNK] 0.00% of the tokens" in caplog.text


def test_without_held_out_documents_the_report_says_so(path: Path, tmp_path: Path) -> None:
    learn_tokenizer(make_config(path, held_out_share=0), tmp_path)
    markdown = (tmp_path / "vocabulary_report.md").read_text("utf-8")
    assert "No document is held out: raise corpus.held_out_share" in markdown
    assert "learned from 400 documents" in markdown


def test_a_corpus_that_is_all_held_out_is_refused_and_writes_nothing(
    path: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"not all is held out \(corpus\.held_out_share\)"):
        learn_tokenizer(make_config(path, held_out_share=1), tmp_path)
    assert not list(tmp_path.iterdir())
