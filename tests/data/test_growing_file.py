"""A spool file that is followed while it grows gives what the whole file gives."""

import random
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from bert_tf.data.preparation import growing_file, spool
from bert_tf.data.preparation.growing_file import GrowingFile


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing_file, "WAIT_SECONDS", 0.0005)


@pytest.mark.parametrize("block_bytes", [7, 60, 1000])
def test_blocks_do_not_show_how_the_file_grew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(spool, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(spool, "MIN_BLOCK_DOCUMENTS", 3)
    draw = random.Random(block_bytes)
    documents = [
        "\n".join("x" * draw.randint(1, 30) for _ in range(draw.randint(1, 4))) for _ in range(100)
    ]
    content = "".join(f"{document}\n\n" for document in documents).encode()
    path = tmp_path / "train-00000.txt"

    def write() -> None:
        rest = content
        while rest:
            size = draw.choice([1, 2, 5, 40, 300])
            with path.open("ab") as stream:
                stream.write(rest[:size])
            rest = rest[size:]
            time.sleep(0.001)
        (tmp_path / spool.SPOOLED_FILE).touch()

    writer = threading.Thread(target=write)
    writer.start()
    followed = list(spool.read_blocks(path, is_growing=True))
    writer.join()
    whole = list(spool.read_blocks(path))
    assert len(whole) > 2
    assert [block.paragraphs for block in followed] == [block.paragraphs for block in whole]
    for one, other in zip(followed, whole, strict=True):
        np.testing.assert_array_equal(one.document_splits, other.document_splits)


def test_a_block_comes_as_soon_as_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "BLOCK_BYTES", 4)
    monkeypatch.setattr(spool, "MIN_BLOCK_DOCUMENTS", 1)
    path = tmp_path / "train-00000.txt"
    path.write_bytes(b"one\n\ntwo\n\nthree\n\n")
    block = next(spool.read_blocks(path, is_growing=True))
    assert block.paragraphs == [b"one"]


def test_the_end_is_where_the_writer_says(tmp_path: Path) -> None:
    path, end_mark = tmp_path / "train-00000.txt", tmp_path / spool.SPOOLED_FILE
    path.write_bytes(b"half a li")
    with GrowingFile(path, end_mark=end_mark) as stream:
        assert stream.read(4) == b"half"
        end_mark.touch()
        assert stream.readline() == b" a li"
        assert stream.read(4) == b""
