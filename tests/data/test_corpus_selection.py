"""Repetitions and near-empty documents, dropped and counted."""

import json
import random
import tracemalloc
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from bert_tf.config import Config, CorpusConfig
from bert_tf.data.corpora import corpus
from bert_tf.data.corpora import selection as corpus_selection
from bert_tf.data.corpora.selection import DigestSet, read_summary
from bert_tf.data.preparation.prepare import prepare_records
from tests.data.conftest import make_text


def select(tmp_path: Path, *texts: str, **settings: Any) -> list[str]:
    (tmp_path / "a.txt").write_text("\n\n".join(texts), encoding="utf-8")
    config = CorpusConfig.model_validate({"paths": (str(tmp_path),), **settings})
    return [document.text for document in corpus.read_documents(config)]


def test_of_equal_documents_the_first_is_kept_as_it_is(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "한국어 é")
    texts = ["a\nb", "a b", decomposed, "a\nb", "한국어 é", "A b"]
    assert select(tmp_path, *texts) == texts
    assert select(tmp_path, *texts, drop_duplicates=True) == ["a\nb", "a b", decomposed, "A b"]
    (tmp_path / "b.txt").write_text("a b\n\nnew", encoding="utf-8")
    assert select(tmp_path, *texts, drop_duplicates=True)[-1:] == ["new"]


def test_near_empty_documents_are_dropped_by_their_characters(tmp_path: Path) -> None:
    texts = ["1234", "12345", "한국", unicodedata.normalize("NFD", "한국"), "123\n4"]
    assert select(tmp_path, *texts, min_document_characters=5) == ["12345", "123\n4"]
    assert select(tmp_path, *texts, min_document_characters=1) == texts
    with pytest.raises(ValueError, match=r"a\.txt:\d+: .*min_document_characters=9\. .*Lower it"):
        select(tmp_path, *texts, min_document_characters=9)


def test_a_text_and_its_decomposed_twin_are_on_the_same_side() -> None:
    texts = [f"문서 {number}" for number in range(200)]

    def sides(form: Any) -> list[bool]:
        documents = [corpus.Document((unicodedata.normalize(form, text),), "a") for text in texts]
        return [corpus.is_held_out(document, share=0.5, seed=1) for document in documents]

    assert sides("NFC") == sides("NFD")
    assert 60 < sum(sides("NFC")) < 140


def test_the_set_of_digests_is_exact_and_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_selection, "FIRST_SLOTS", 4)
    draw = random.Random(1)
    numbers = [draw.randrange(5000) for _ in range(20_000)]
    digests = DigestSet()
    seen: set[int] = set()
    for number in numbers:
        assert digests.add(str(number)) == (number not in seen)
        seen.add(number)
    tracemalloc.start()
    digests = DigestSet()
    for number in range(12_500):
        digests.add(str(number))
    held, peak = tracemalloc.get_traced_memory()
    snapshot = tracemalloc.take_snapshot()
    tracemalloc.stop()
    # Threads that other tests left behind take memory, too: only this module's counts.
    own = snapshot.filter_traces([tracemalloc.Filter(True, corpus_selection.__file__)])
    held_here = sum(statistic.size for statistic in own.statistics("filename"))
    assert 0 < held_here / 12_500 < 43
    assert (peak - (held - held_here)) / 12_500 < 64


def test_the_summary_counts_each_side(tmp_path: Path, corpus_config: Config) -> None:
    documents = make_text(num_documents=150).encode().split(b"\n\n")
    documents += [
        documents[7],
        documents[7],
        b"tiny",
        b"bad \xff here\nand \xfe\nfine, long enough",
    ]
    path = tmp_path / "text.txt"
    path.write_bytes(b"\n\n".join(documents))
    settings = {
        "paths": (str(path),),
        "encoding_errors": "replace",
        "drop_duplicates": True,
        "min_document_characters": 10,
    }
    section = CorpusConfig.model_validate({**corpus_config.corpus.model_dump(), **settings})
    config = corpus_config.model_copy(update={"corpus": section})
    manifest = prepare_records(config, tmp_path / "records")
    summary = read_summary(tmp_path / "records")
    assert summary is not None
    sides = (summary.train, summary.eval)
    assert sum(side.documents_read for side in sides) == 154
    assert sum(side.duplicates_dropped for side in sides) == 2
    assert sum(side.near_empty_dropped for side in sides) == 1
    assert sum(side.lines_with_replaced_bytes for side in sides) == 2
    assert manifest.num_documents == {
        split: side.documents_read - side.duplicates_dropped - side.near_empty_dropped
        for split, side in zip(("train", "eval"), sides, strict=True)
    }
    assert summary.describe() == (
        "3 of 154 documents dropped (2 duplicates, 1 near-empty), 2 lines with replaced bytes"
    )
    tree = json.loads((tmp_path / "records" / "corpus_summary.json").read_text())
    assert set(tree) == {"train", "eval", "files_left_out"}
    assert manifest.plan["corpus"]["drop_duplicates"] is True


def test_switches_that_are_off_leave_older_records_valid(records_dir: Path) -> None:
    plan = json.loads((records_dir / "manifest.json").read_text())["plan"]
    assert set(plan["corpus"]) == {
        "document_boundary",
        "text_field",
        "encoding_errors",
        "held_out_share",
    }
    assert read_summary(records_dir.parent) is None
