"""Documents in, those that are kept out; near-empty ones and repetitions are dropped and counted.

Texts are compared in NFC: a text and its decomposed twin are the same.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

import pydantic

from bert_tf.config import CorpusConfig, Section
from bert_tf.data.corpora.document import Document, encode_documents
from bert_tf.data.corpora.folders import describe_left_out
from bert_tf.system.files import write_whole
from bert_tf.system.json_files import read_model

SUMMARY_FILE = "corpus_summary.json"
SPLITS = ("train", "eval")
DIGEST_BYTES = 16
FIRST_SLOTS = 1 << 16

Fate = Literal["near_empty", "duplicate"]
OnDropped = Callable[[Document, Fate], None]


class SplitSummary(Section):
    """What became of the documents of one split."""

    documents_read: int = 0
    near_empty_dropped: int = 0
    duplicates_dropped: int = 0
    lines_with_replaced_bytes: int = 0
    """In all documents read; see `corpus.encoding_errors`."""


class CorpusSummary(Section):
    """`corpus_summary.json` in a records folder."""

    train: SplitSummary = SplitSummary()
    eval: SplitSummary = SplitSummary()
    files_left_out: dict[str, int] = pydantic.Field(default_factory=dict)
    """Reason -> number of files and folders; see `folders`."""

    def describe(self) -> str:
        """A line for people: "12 of 90 documents dropped (10 duplicates, …), …"."""
        total: Counter[str] = Counter(self.train.model_dump())
        total.update(self.eval.model_dump())
        num_dropped = total["duplicates_dropped"] + total["near_empty_dropped"]
        left_out = describe_left_out(self.files_left_out)
        return (
            f"{num_dropped:,} of {total['documents_read']:,} documents dropped "
            f"({total['duplicates_dropped']:,} duplicates, {total['near_empty_dropped']:,} "
            f"near-empty), {total['lines_with_replaced_bytes']:,} lines with replaced bytes"
            + (f"; files {left_out}" if left_out else "")
        )


class SummaryCounter:
    """Tells the split of each document, and counts under it what is not as usual.

    `are_held_out`: see `held_out_rule`.
    """

    def __init__(self, are_held_out: Callable[[Sequence[bytes]], list[bool]]) -> None:
        self._are_held_out = are_held_out
        self._counts = {split: SplitSummary().model_dump() for split in SPLITS}

    def take(self, documents: Sequence[Document]) -> dict[str, list[bytes]]:
        """The texts of each split, UTF-8. To be asked once: repaired lines are counted."""
        contents, compared = encode_documents(documents)
        are_held_out = self._are_held_out(compared)
        are_trained_on = [not is_held_out for is_held_out in are_held_out]
        for document, is_held_out in zip(documents, are_held_out, strict=True):
            if document.num_repaired_lines:
                counts = self._counts["eval" if is_held_out else "train"]
                counts["lines_with_replaced_bytes"] += document.num_repaired_lines
        return {
            "train": list(itertools.compress(contents, are_trained_on)),
            "eval": list(itertools.compress(contents, are_held_out)),
        }

    def drop(self, document: Document, fate: Fate) -> None:
        """Take note of a document that is dropped."""
        (split,) = (split for split, contents in self.take([document]).items() if contents)
        counts = self._counts[split]
        counts["near_empty_dropped" if fate == "near_empty" else "duplicates_dropped"] += 1
        counts["documents_read"] += 1

    def summary(
        self, num_kept: Mapping[str, int], *, files_left_out: Mapping[str, int] | None = None
    ) -> CorpusSummary:
        """All counts, with the documents of each split that were kept."""
        for split, count in num_kept.items():
            self._counts[split]["documents_read"] += count
        left_out = dict(files_left_out or {})
        return CorpusSummary.model_validate({**self._counts, "files_left_out": left_out})


def select_documents(
    batches: Iterable[Sequence[Document]],
    *,
    config: CorpusConfig,
    on_dropped: OnDropped | None = None,
) -> Iterator[Sequence[Document]]:
    """Documents without those that `config` drops; of equal ones the first is kept.

    Raises:
        ValueError: none is left.
    """
    if not config.min_document_characters and not config.drop_duplicates:
        return iter(batches)
    return _select(batches, config=config, on_dropped=on_dropped)


def _select(
    batches: Iterable[Sequence[Document]], *, config: CorpusConfig, on_dropped: OnDropped | None
) -> Iterator[Sequence[Document]]:
    seen = DigestSet()
    is_any_kept = False
    document = None
    for batch in batches:
        kept = []
        for document in batch:
            fate = _fate(document, config=config, seen=seen)
            if fate is None:
                kept.append(document)
            elif on_dropped is not None:
                on_dropped(document, fate)
        is_any_kept = is_any_kept or bool(kept)
        yield kept
    if document is not None and not is_any_kept:
        raise ValueError(
            f"{document.source}: a corpus needs at least one document of "
            f"corpus.min_document_characters={config.min_document_characters}. Received: none up "
            "to this one, the last. Lower it, or join documents with corpus.document_boundary."
        )


def write_summary(summary: CorpusSummary, directory: str | Path) -> Path:
    """Write `corpus_summary.json`, whole or not at all."""
    text = summary.model_dump_json(indent=2) + "\n"
    return write_whole(Path(directory) / SUMMARY_FILE, text)


def read_summary(directory: str | Path) -> CorpusSummary | None:
    """The summary in a records folder; None if it was made before there was one."""
    path = Path(directory) / SUMMARY_FILE
    if not path.is_file():
        return None
    return read_model(path, CorpusSummary, what="a summary of a corpus")


class DigestSet:
    """Texts seen, as digests of 128 bits in one open-addressed table.

    At most 43 bytes a text, 64 while the table grows: a set of Python's takes over 100.
    """

    def __init__(self) -> None:
        self._num_slots = FIRST_SLOTS
        self._table = bytearray(FIRST_SLOTS * DIGEST_BYTES)
        self._num_digests = 0

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """What `write` wrote."""
        texts = cls()
        for digest in _digests(Path(path).read_bytes()):
            texts._add(digest)
        return texts

    def write(self, path: str | Path) -> Path:
        """The digests, sorted: equal sets are equal files."""
        return write_whole(path, b"".join(sorted(_digests(self._table))))

    def __len__(self) -> int:
        return self._num_digests

    def __contains__(self, text: str) -> bool:
        start = self._slot(_digest_of(text)) * DIGEST_BYTES
        return any(self._table[start : start + DIGEST_BYTES])

    def add(self, text: str) -> bool:
        """Whether `text` is new."""
        return self._add(_digest_of(text))

    def update(self, other: "DigestSet") -> None:
        """Add all of another set."""
        for digest in _digests(other._table):
            self._add(digest)

    def _add(self, digest: bytes) -> bool:
        if 4 * self._num_digests >= 3 * self._num_slots:
            self._grow()
        is_new = self._put(digest)
        self._num_digests += is_new
        return is_new

    def _put(self, digest: bytes) -> bool:
        start = self._slot(digest) * DIGEST_BYTES
        is_new = not any(self._table[start : start + DIGEST_BYTES])
        self._table[start : start + DIGEST_BYTES] = digest
        return is_new

    def _slot(self, digest: bytes) -> int:
        """Where the digest is, or would be put.

        An empty slot is all zeros, which no text's digest is for all that is known.
        """
        slot = int.from_bytes(digest[:8], "little") % self._num_slots
        while True:
            start = slot * DIGEST_BYTES
            there = self._table[start : start + DIGEST_BYTES]
            if there == digest or not any(there):
                return slot
            slot = (slot + 1) % self._num_slots

    def _grow(self) -> None:
        old = self._table
        self._num_slots *= 2
        self._table = bytearray(self._num_slots * DIGEST_BYTES)
        for digest in _digests(old):
            self._put(digest)


def _digests(table: bytes | bytearray) -> Iterator[bytes]:
    """Without the empty slots."""
    for start in range(0, len(table), DIGEST_BYTES):
        digest = bytes(table[start : start + DIGEST_BYTES])
        if any(digest):
            yield digest


def _digest_of(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()


def _fate(document: Document, *, config: CorpusConfig, seen: DigestSet) -> Fate | None:
    """Why it is dropped, if it is."""
    text = document.compared_text
    if len(text) < config.min_document_characters:
        return "near_empty"
    if config.drop_duplicates and not seen.add(text):
        return "duplicate"
    return None
