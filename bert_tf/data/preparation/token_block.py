"""Documents of sentences of token ids, as three arrays.

    documents [[[1, 2], [3]], [[4, 5, 6]]]  ->  ids              [1 2 3 4 5 6]
                                                sentence_splits  [0 2 3 6]    sentence s: ids[2:3]
                                                document_splits  [0 2 3]      document d: sentences

So a run of sentences of a document is a range of `ids`, and nothing is copied to name it.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.int64]


class TokenBlock(NamedTuple):
    """No sentence and no document is empty. `splits[i]` and `splits[i + 1]` bound number `i`."""

    ids: npt.NDArray[np.int32]
    """(tokens)."""
    sentence_splits: Array
    """(sentences + 1), into `ids`."""
    document_splits: Array
    """(documents + 1), into the sentences."""

    @property
    def num_documents(self) -> int:
        """Documents with at least one token."""
        return len(self.document_splits) - 1

    @classmethod
    def without_empty(
        cls, ids: npt.NDArray[np.int32], sentence_splits: Array, document_splits: Array
    ) -> Self:
        """A block of sentences and documents that may be empty: those are left out."""
        has_tokens = np.diff(sentence_splits) > 0
        num_before = np.concatenate([[0], np.cumsum(has_tokens)])
        splits = num_before[document_splits]
        return cls(
            ids,
            np.concatenate([[0], sentence_splits[1:][has_tokens]]),
            np.concatenate([[0], splits[1:][np.diff(splits) > 0]]),
        )

    @classmethod
    def from_lists(cls, documents: Sequence[Sequence[Sequence[int]]]) -> Self:
        """The block of nested lists."""
        sentences = [sentence for document in documents for sentence in document]
        return cls.without_empty(
            np.array([id for sentence in sentences for id in sentence], np.int32),
            np.cumsum([0, *map(len, sentences)]),
            np.cumsum([0, *map(len, documents)]),
        )
