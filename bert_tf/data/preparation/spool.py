"""Documents in, one file of raw text for each future shard out; that file in blocks.

Documents are dealt to the shards in turn, so every shard is a sample of the whole corpus and needs
no other to be finished. A spool file holds one paragraph a line and a blank line after each
document. A block is what is held at a time: random sentences are drawn within it.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bert_tf.data.corpora import corpus

BLOCK_BYTES = 1 << 20
MIN_BLOCK_DOCUMENTS = 32
BUFFER_BYTES = 1 << 16
DOCUMENT_END = b"\n\n"


class Block(NamedTuple):
    """Some documents of a shard, none empty."""

    paragraphs: list[bytes]
    """Of all documents, UTF-8."""
    document_splits: npt.NDArray[np.int64]
    """(documents + 1): document d is `paragraphs[document_splits[d] : document_splits[d + 1]]`."""


def spool_documents(
    documents: Iterable[corpus.Document],
    directory: Path,
    *,
    num_shards: dict[str, int],
    split_of: Callable[[corpus.Document], str],
    on_document: Callable[[int], None] | None = None,
) -> dict[str, int]:
    """Deal every document to a file of its split. Returns the number of documents of each split.

    Files are appended to and closed again: their number is not bound by what may be open at once.
    """
    buffers: dict[Path, bytearray] = {}
    num_documents = dict.fromkeys(num_shards, 0)
    paths = {
        split: [spool_path(directory, split, index) for index in range(count)]
        for split, count in num_shards.items()
    }
    for path in (path for group in paths.values() for path in group):
        path.write_bytes(b"")
        buffers[path] = bytearray()
    for number, document in enumerate(documents, start=1):
        split = split_of(document)
        path = paths[split][num_documents[split] % num_shards[split]]
        num_documents[split] += 1
        buffer = buffers[path]
        buffer += document.text.encode()
        buffer += DOCUMENT_END
        if len(buffer) >= BUFFER_BYTES:
            _append(path, buffer)
        if on_document is not None:
            on_document(number)
    for path, buffer in buffers.items():
        _append(path, buffer)
    return num_documents


def spool_path(directory: Path, split: str, index: int) -> Path:
    """Where the documents of a shard lie."""
    return directory / f"{split}-{index:05d}.txt"


def read_blocks(path: Path) -> Iterator[Block]:
    """The documents of a spool file in blocks of about `BLOCK_BYTES`, never part of one.

    A block has at least `MIN_BLOCK_DOCUMENTS` documents if the file has: a small last one joins
    the block before it.
    """
    previous = b""
    for chunk in _read_chunks(path):
        is_small = chunk.count(DOCUMENT_END) < MIN_BLOCK_DOCUMENTS
        if is_small or not previous:
            previous += chunk
        else:
            yield _block(previous)
            previous = chunk
    if previous:
        yield _block(previous)


def _read_chunks(path: Path) -> Iterator[bytes]:
    """Whole documents, each time enough of them; the last time there may be too few."""
    lines: list[bytes] = []
    with path.open("rb") as stream:
        while piece := stream.read(BLOCK_BYTES):
            lines += [piece, stream.readline()]
            while lines[-1] and not (lines[-1] == b"\n" and lines[-2].endswith(b"\n")):
                lines.append(stream.readline())
            chunk = b"".join(lines)
            if chunk.count(DOCUMENT_END) >= MIN_BLOCK_DOCUMENTS:
                yield chunk
                lines = []
            else:
                lines = [chunk]
    if lines:
        yield b"".join(lines)


def _block(content: bytes) -> Block:
    lines = content.removesuffix(DOCUMENT_END).split(b"\n")
    is_end = np.fromiter(map(len, lines), np.int64, len(lines)) == 0
    num_paragraphs = np.cumsum(~is_end)
    return Block(
        [line for line in lines if line],
        np.concatenate([[0], num_paragraphs[is_end], num_paragraphs[-1:]]),
    )


def _append(path: Path, buffer: bytearray) -> None:
    with path.open("ab") as stream:
        stream.write(buffer)
    buffer.clear()
