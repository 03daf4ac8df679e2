"""Documents in, one file of raw text for each future shard out; that file in blocks.

Documents are dealt to the shards in turn, so every shard is a sample of the whole corpus and needs
no other to be finished. A spool file holds one paragraph a line and a blank line after each
document. A block is what is held at a time: random sentences are drawn within it.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bert_tf.data import corpus

BLOCK_BYTES = 4 << 20
MIN_BLOCK_DOCUMENTS = 32
BUFFER_BYTES = 1 << 18


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
        buffer += b"\n\n"
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


def read_blocks(path: Path) -> Iterator[list[list[bytes]]]:
    """Documents, each a list of paragraphs, in blocks of about `BLOCK_BYTES`.

    A block has at least `MIN_BLOCK_DOCUMENTS` documents if the file has: a small last one joins
    the block before it.
    """
    previous: list[list[bytes]] = []
    block: list[list[bytes]] = []
    num_bytes = 0
    for document in _read_documents(path):
        block.append(document)
        num_bytes += sum(map(len, document))
        if num_bytes >= BLOCK_BYTES and len(block) >= MIN_BLOCK_DOCUMENTS:
            if previous:
                yield previous
            previous, block, num_bytes = block, [], 0
    if block and len(block) < MIN_BLOCK_DOCUMENTS:
        previous, block = previous + block, []
    if previous:
        yield previous
    if block:
        yield block


def _read_documents(path: Path) -> Iterator[list[bytes]]:
    paragraphs: list[bytes] = []
    with path.open("rb") as stream:
        for line in stream:
            if line != b"\n":
                paragraphs.append(line[:-1])
            elif paragraphs:
                yield paragraphs
                paragraphs = []


def _append(path: Path, buffer: bytearray) -> None:
    with path.open("ab") as stream:
        stream.write(buffer)
    buffer.clear()
