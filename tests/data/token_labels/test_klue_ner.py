"""KLUE-NER as it is published: its tags say what the markup of its comments says."""

import re
from collections import Counter
from pathlib import Path

import pytest

from bert_tf.config import TableConfig
from bert_tf.data.tables.reading import read_table
from bert_tf.data.token_labels.reading import LabelledTexts, read_labelled_texts
from bert_tf.data.token_labels.spans import Span

COMMENT = re.compile(r"## (klue-ner\S+)\t(.*)")
MARKED = re.compile(r"<(<?[^<>]*?):(PS|LC|OG|DT|TI|QT)>")
"""Three entities begin with a bracket of their own."""


@pytest.fixture
def klue_file(shared_data: Path) -> Path:
    return shared_data / "ko/klue_ner/dev.tsv"


@pytest.fixture
def klue_ner(klue_file: Path) -> LabelledTexts:
    config = TableConfig(layout="token_columns")
    return read_labelled_texts(read_table(klue_file, config=config, key="finetuning.train_path"))


def unmarked(text: str) -> tuple[str, tuple[Span, ...]]:
    """`<경찰:OG>은` -> `경찰은`, (Span(0, 2, "OG"),)"""
    plain = ""
    end = 0
    spans = []
    for found in MARKED.finditer(text):
        plain += text[end : found.start()]
        spans.append(Span(len(plain), len(plain) + len(found[1]), found[2]))
        plain += found[1]
        end = found.end()
    return plain + text[end:], tuple(spans)


def test_tags_are_read_as_their_sentences_are_marked(
    klue_file: Path, klue_ner: LabelledTexts
) -> None:
    lines = klue_file.read_text(encoding="utf-8").split("\n")
    comments = [found for line in lines if (found := COMMENT.fullmatch(line))]
    assert len(klue_ner) == len(comments) == 5_000
    assert klue_ner.table.columns["id"] == [comment[1] for comment in comments]
    expected = [unmarked(comment[2]) for comment in comments]
    assert list(zip(klue_ner.texts, klue_ner.spans, strict=True)) == expected
    for row in (0, 2_500, 4_999):
        number = int(klue_ner.table.where(row).rpartition(":")[2])
        assert lines[number - 2].startswith(f"## {klue_ner.table.columns['id'][row]}\t")


def test_every_tag_is_good_and_every_word_is_a_character(klue_ner: LabelledTexts) -> None:
    assert (klue_ner.scheme, klue_ner.repaired.num, klue_ner.skipped.num) == ("BIO", 0, 0)
    labels = Counter(span.label for spans in klue_ner.spans for span in spans)
    assert (sum(labels.values()), len(labels)) == (14_257, 6)
    for text, words in zip(klue_ner.texts, klue_ner.words, strict=True):
        assert words == tuple((place, place + 1) for place in range(len(text)))
