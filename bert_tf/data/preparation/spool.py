"""Documents in, one file of raw text for each future shard out; that file in blocks.

Documents are dealt to the shards in turn, so every shard is a sample of the whole corpus and needs
no other to be finished. A spool file holds one paragraph a line and a blank line after each
document. A block is what is held at a time: random sentences are drawn within it.

    DIRECTORY/  train-00000.txt, …  eval-00000.txt, …  spooled.json

The last comes when the others are whole.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bert_tf.data.corpora import corpus
from bert_tf.data.preparation.growing_file import GrowingFile

SPOOLED_FILE = "spooled.json"
BLOCK_BYTES = 1 << 20
MIN_BLOCK_DOCUMENTS = 32
MAX_BLOCK_BYTES = 1 << 26
"""With so many two documents are enough: 32 books would take gigabytes."""
BUFFER_BYTES = 1 << 16
"""For each file."""
PROGRESS_DOCUMENTS = 1000
DOCUMENT_END = b"\n\n"


class Block(NamedTuple):
    """Some documents of a shard, none empty."""

    paragraphs: list[bytes]
    """Of all documents, UTF-8."""
    document_splits: npt.NDArray[np.int64]
    """(documents + 1): document d is `paragraphs[document_splits[d] : document_splits[d + 1]]`."""


def spool_documents(
    batches: Iterable[Sequence[corpus.Document]],
    directory: Path,
    *,
    num_shards: Mapping[str, int],
    texts_of: Callable[[Sequence[corpus.Document]], Mapping[str, list[bytes]]],
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, int]:
    """Deal every document to a file of its split. Returns the number of documents of each split.

    `texts_of` gives the texts of a batch, UTF-8, under their splits. `on_progress` hears of every
    `PROGRESS_DOCUMENTS`.
    """
    piles = {split: _Pile(directory, split, count) for split, count in num_shards.items()}
    num_documents = num_bytes = 0
    limit = BUFFER_BYTES * sum(num_shards.values())
    for batch in batches:
        for split, texts in texts_of(batch).items():
            piles[split].texts += texts
            num_bytes += sum(map(len, texts))
        if num_bytes >= limit:
            for pile in piles.values():
                pile.deal()
            num_bytes = 0
        before, num_documents = num_documents, num_documents + len(batch)
        if on_progress is not None:
            for number in range(before // PROGRESS_DOCUMENTS, num_documents // PROGRESS_DOCUMENTS):
                on_progress((number + 1) * PROGRESS_DOCUMENTS)
    for pile in piles.values():
        pile.deal()
    return {split: pile.num_dealt for split, pile in piles.items()}


class _Pile:
    """Documents of a split, gathered before they are dealt to its files in turn."""

    def __init__(self, directory: Path, split: str, num_files: int) -> None:
        self.texts: list[bytes] = []
        self.num_dealt = 0
        self._paths = [spool_path(directory, split, index) for index in range(num_files)]
        for path in self._paths:
            path.write_bytes(b"")

    def deal(self) -> None:
        """Files are closed again: their number is not bound by what may be open at once."""
        num_files = len(self._paths)
        for index, path in enumerate(self._paths):
            share = self.texts[(index - self.num_dealt) % num_files :: num_files]
            with path.open("ab") as stream:
                stream.writelines(part for text in share for part in (text, DOCUMENT_END))
        self.num_dealt += len(self.texts)
        self.texts.clear()


def spool_path(directory: Path, split: str, index: int) -> Path:
    """Where the documents of a shard lie."""
    return directory / f"{split}-{index:05d}.txt"


def read_blocks(path: Path, *, is_growing: bool = False) -> Iterator[Block]:
    """The documents of a spool file in blocks of about `BLOCK_BYTES`, never part of one.

    A block has at least `MIN_BLOCK_DOCUMENTS` documents, or two and `MAX_BLOCK_BYTES`, if the file
    has: a small last one joins the block before it.

    The blocks are the same with `is_growing`, for a file that may not be whole yet, or not even
    there: they come as soon as they can, see `GrowingFile`.
    """
    previous = b""
    for chunk in _read_chunks(path, is_growing=is_growing):
        is_small = not _is_enough(chunk.count(DOCUMENT_END), len(chunk))
        if is_small or not previous:
            previous += chunk
        else:
            block, previous = _block(previous), chunk
            yield block
    if previous:
        block, previous = _block(previous), b""
        yield block


def _read_chunks(path: Path, *, is_growing: bool) -> Iterator[bytes]:
    """Whole documents, each time enough of them; the last time there may be too few."""
    pieces: list[bytes] = []
    num_documents = num_bytes = 0
    with (
        GrowingFile(path, end_mark=path.with_name(SPOOLED_FILE)) if is_growing else path.open("rb")
    ) as stream:
        while piece := stream.read(BLOCK_BYTES):
            lines = [piece, stream.readline()]
            while lines[-1] and not (lines[-1] == b"\n" and lines[-2].endswith(b"\n")):
                lines.append(stream.readline())
            pieces.append(b"".join(lines) if lines[1] else piece)
            del lines, piece
            num_documents += pieces[-1].count(DOCUMENT_END)
            num_bytes += len(pieces[-1])
            if _is_enough(num_documents, num_bytes):
                chunk, pieces, num_documents, num_bytes = b"".join(pieces), [], 0, 0
                yield chunk
    if pieces:
        yield b"".join(pieces)


def _is_enough(num_documents: int, num_bytes: int) -> bool:
    return num_documents >= (2 if num_bytes >= MAX_BLOCK_BYTES else MIN_BLOCK_DOCUMENTS)


def _block(content: bytes) -> Block:
    lines = content.split(b"\n")
    del lines[-len(DOCUMENT_END) :]  # What follows the last document's end.
    is_end = np.fromiter(map(len, lines), np.int64, len(lines)) == 0
    num_paragraphs = np.cumsum(~is_end)
    return Block(
        [line for line in lines if line],
        np.concatenate([[0], num_paragraphs[is_end], num_paragraphs[-1:]]),
    )
