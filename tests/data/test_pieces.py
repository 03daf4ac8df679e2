"""Long texts in pieces, and memory that does not grow with the square of the longest line."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import tensorflow as tf

from bert_tf.data.preparation import spool
from bert_tf.data.text import pieces
from bert_tf.data.text.sentences import split_sentences

SENTENCES = "The documents are remembered. 그는 다시 갔다. Dr. Smith saw no. 5, e.g. here! Why? "
ON_ONE_LINE = """
import resource, sys
import tensorflow as tf
from bert_tf.config import load_config
from bert_tf.data.inspection.report import report_records
from bert_tf.data.preparation.prepare import prepare_records
from bert_tf.data.text.learning import learn_tokenizer

corpus, out = sys.argv[1:]
config = load_config(overrides=[
    f"corpus.paths=[{corpus}]", f"tokenizer.vocabulary={out}/vocab", "vocabulary.size=400",
    "vocabulary.limit_alphabet=200", "records.num_shards=1", "records.num_workers=1",
])
tf.constant(0)
peaks = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]
learn_tokenizer(config, out + "/vocab")
peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
prepare_records(config, out + "/records")
peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
report_records(out + "/records", out + "/report")
peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(*peaks)
"""


def test_pieces_are_the_text_and_end_where_a_sentence_does() -> None:
    text = (SENTENCES * 50).encode()
    found = list(pieces.cut(text, 400))
    assert b"".join(found) == text
    assert len(found) > len(text) // 400
    assert max(map(len, found)) <= 400
    ends = ("remembered. ", "갔다. ")
    assert all(piece.decode().endswith(ends) for piece in found[:-1])
    assert list(pieces.cut(b"short", 400)) == [b"short"]
    assert list(pieces.cut(b"", 400)) == [b""]


@pytest.mark.parametrize(
    ("text", "end"),
    [("말과 글 " * 99, " "), ("漢字。" * 99, "。"), ("é" * 999, "é"), ("x😀" * 400, "")],
    ids=["white space", "stops without a space", "one word", "characters of four bytes"],
)
def test_a_text_without_ascii_stops_is_cut_between_characters(text: str, end: str) -> None:
    found = [piece.decode() for piece in pieces.cut(text.encode(), 101)]
    assert "".join(found) == text
    assert all(piece.endswith(end) for piece in found)
    assert max(len(piece.encode()) for piece in found) <= 101


def test_batches_hold_no_more_than_a_piece() -> None:
    texts = [b"a" * 30, b"b b " * 50, b"", b"c"]
    found = list(pieces.batches(texts, piece_bytes=64))
    assert max(sum(map(len, batch.pieces)) for batch in found) <= 64
    joined = [b""] * len(texts)
    for batch in found:
        for owner, piece in zip(batch.owners, batch.pieces, strict=True):
            joined[owner] += piece
    assert joined == texts


@pytest.mark.parametrize("file", ["en/wikitext2_valid.txt", "ko/reviews.txt"])
def test_sentences_of_a_long_line_are_those_of_its_pieces(shared_data: Path, file: str) -> None:
    line = " ".join((shared_data / file).read_text("utf-8")[:800_000].split()).encode()
    parts = list(pieces.cut(line, 1 << 17))
    assert len(parts) > 5
    whole = split_sentences(tf.constant([line])).values.numpy().tolist()
    assert split_sentences(tf.constant(parts)).values.numpy().tolist() == whole


def test_sentences_take_no_memory_for_short_texts_beside_a_long_one() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    texts = tf.constant([SENTENCES * 20_000, *["One. Two."] * 3000])
    lengths = split_sentences(texts).row_lengths().numpy()
    assert lengths[0] == 80_000
    assert set(lengths[1:]) == {2}
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    assert grown < 200 << 20, "a mask of the batch by its longest text has 240 MB, several times"


def test_blocks_of_long_documents_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "BLOCK_BYTES", 100)
    monkeypatch.setattr(spool, "MAX_BLOCK_BYTES", 1000)
    documents = [f"{number:03d}" * 130 for number in range(100)]
    path = tmp_path / "train-00000.txt"
    path.write_text("".join(f"{document}\n\n" for document in documents), "ascii")
    blocks = list(spool.read_blocks(path))
    assert [text.decode() for block in blocks for text in block.paragraphs] == documents
    sizes = [len(block.paragraphs) for block in blocks]
    assert min(sizes) >= 2, "random next sentences need two documents"
    assert max(sizes) <= 5
    path.write_text("short\n\n" * 40 + "".join(f"{d}\n\n" for d in documents[:1]), "ascii")
    (block,) = spool.read_blocks(path)
    assert len(block.paragraphs) == 41, "a last document joins those before it"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["txt", "jsonl", "parquet"])
def test_a_line_of_50_mb_takes_a_few_times_its_size(tmp_path: Path, kind: str) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "short.txt").write_text("One line. And two.\n\n" * 3000, "utf-8")
    text = SENTENCES * (50_000_000 // len(SENTENCES.encode()))
    if kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.table({"text": [text]}), corpus / "long.parquet")
    else:
        line = json.dumps({"text": text}, ensure_ascii=False) if kind == "jsonl" else text
        (corpus / f"long.{kind}").write_text(line + "\n", "utf-8")
    command = [sys.executable, "-c", ON_ONE_LINE, str(corpus), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    start, *peaks = (int(peak) << 10 for peak in done.stdout.split())
    assert max(peaks) - start < 200_000_000 + 12 * 50_000_000, peaks
