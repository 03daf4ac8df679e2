"""A corpus in, the documents that a vocabulary is learned from and measured on out.

The held-out documents (`corpus.held_out_share`) are never learned from. With
`vocabulary.sample_bytes` the corpus is read once more before: the documents fall into buckets by a
hash of their text, and the first buckets whose learned part fits are the sample. Only the buckets'
sizes are held, and neither the order of the files nor their number matters.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator

import numpy as np

from bert_tf.config import Config
from bert_tf.data.corpora import corpus
from bert_tf.data.seeds import derive_seed

NUM_BUCKETS = 1 << 20

OnProgress = Callable[[str, int, int | None], None]


class VocabularyCorpus:
    """The corpus of a configuration, sampled if `vocabulary.sample_bytes` asks for it.

    `on_progress` is told (stage, documents, None) now and then.

    Raises:
        ValueError: not even one bucket of documents fits into `vocabulary.sample_bytes`; and as
            `corpus.read_documents`.
    """

    def __init__(self, config: Config, *, on_progress: OnProgress | None = None) -> None:
        self._config = config
        self._on_progress = on_progress
        self._key = str(derive_seed(config.seed, "vocabulary sample")).encode()
        self._num_buckets = NUM_BUCKETS
        self._sources = corpus.list_sources(config.corpus.paths)
        limit = config.vocabulary.sample_bytes
        if limit is not None:
            self._num_buckets = self._buckets_within(limit)

    def learned_texts(self) -> Iterator[str]:
        """What the vocabulary is learned from."""
        return self._texts("documents read", held_out=False)

    def held_out_texts(self) -> Iterator[str]:
        """What it is measured on: of a sample, the same share of the held-out documents."""
        return self._texts("documents measured", held_out=True)

    def _texts(self, stage: str, *, held_out: bool) -> Iterator[str]:
        for document in self._read(stage):
            is_sampled = (
                self._num_buckets == NUM_BUCKETS or self._bucket(document) < self._num_buckets
            )
            if is_sampled and self._is_held_out(document) == held_out:
                yield document.text

    def _buckets_within(self, limit: int) -> int:
        sizes = np.zeros([NUM_BUCKETS], np.int64)
        for document in self._read("documents weighed"):
            if not self._is_held_out(document):
                sizes[self._bucket(document)] += len(document.text.encode())
        totals = np.cumsum(sizes)
        num_buckets = int(np.searchsorted(totals, limit, side="right"))
        if totals[-1] and (not num_buckets or not totals[num_buckets - 1]):
            raise ValueError(
                "vocabulary.sample_bytes must hold the first document drawn. Received: "
                f"{limit}; it has {sizes[num_buckets]} bytes. Raise vocabulary.sample_bytes, or "
                "cut documents smaller with corpus.document_boundary."
            )
        return num_buckets

    def _read(self, stage: str) -> Iterator[corpus.Document]:
        batches = corpus.read_batches(self._config.corpus, sources=self._sources)
        for done, document in enumerate(itertools.chain.from_iterable(batches), 1):
            if self._on_progress is not None and done % 500 == 0:
                self._on_progress(stage, done, None)
            yield document

    def _is_held_out(self, document: corpus.Document) -> bool:
        return corpus.is_held_out(
            document, share=self._config.corpus.held_out_share, seed=self._config.seed
        )

    def _bucket(self, document: corpus.Document) -> int:
        digest = hashlib.blake2b(document.text.encode(), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "big") * NUM_BUCKETS >> 64
