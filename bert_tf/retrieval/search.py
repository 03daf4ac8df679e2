"""Embeddings of queries and passages in, the nearest passages of each query out: exact, by blocks.

Letters in shapes: Q queries, P passages, W width, K nearest.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bert_tf.exporting.embed_table import EMBEDDING
from bert_tf.exporting.predict_table import OnProgress

BLOCK_ROWS, QUERIES_AT_ONCE = 8192, 1024


def nearest(
    queries: np.ndarray, blocks: Iterable[np.ndarray], *, num_nearest: int
) -> tuple[np.ndarray, np.ndarray]:
    """The passages of the largest cosines, best first: their numbers, int64 (Q, K), and cosines.

    Of equal cosines the passage with the lower number is first. Of fewer passages than
    `num_nearest` all are given. Memory: a block, its cosines, and K numbers a query.

    Args:
        queries: float (Q, W), finite.
        blocks: passages, float (rows, W) each, numbered in their order.

    Raises:
        ValueError: a vector is not finite, or of another width.
    """
    queries = of_length_1(queries, what="queries")
    numbers = np.zeros((len(queries), 0), np.int64)
    cosines = np.zeros((len(queries), 0), np.float32)
    num_seen = 0
    for block in blocks:
        passages = of_length_1(block, what="passages")
        if passages.shape[1] != queries.shape[1]:
            raise ValueError(
                "Queries and passages must be embedded by one model. Received: widths "
                f"{queries.shape[1]} and {passages.shape[1]}. Embed both again."
            )
        found = np.concatenate([cosines, queries @ passages.T], axis=1)
        of_block = np.arange(num_seen, num_seen + len(passages))
        known = np.concatenate(
            [numbers, np.broadcast_to(of_block, (len(queries), len(passages)))], axis=1
        )
        num_seen += len(passages)
        kept = _largest(found, num=num_nearest)
        numbers = np.take_along_axis(known, kept, axis=1)
        cosines = np.take_along_axis(found, kept, axis=1)
    return numbers, cosines


def _largest(values: np.ndarray, *, num: int) -> np.ndarray:
    """The columns of each row's largest values, largest first, of equal ones the first."""
    if values.shape[1] > num:
        # All that are as large as the last one: which of equal ones are kept is decided below.
        least = np.partition(values, -num, axis=1)[:, -num:].min(axis=1, keepdims=True)
        values = np.where(values >= least, values, -np.inf)
    order: np.ndarray = np.argsort(-values, axis=1, kind="stable")[:, :num]
    return order


def of_length_1(vectors: np.ndarray, *, what: str) -> np.ndarray:
    """float32. Raises ValueError of a vector with a number that is not finite."""
    vectors = np.asarray(vectors, np.float32)
    is_finite = np.isfinite(vectors).all(axis=-1)
    if not is_finite.all():
        raise ValueError(
            f"Embeddings of {what} must be finite numbers. Received: {int((~is_finite).sum()):,} "
            f"with NaN or infinity, the first at {int(np.flatnonzero(~is_finite)[0])}. Export the "
            "model again, or train it with a lower learning rate."
        )
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: np.ndarray = vectors / np.maximum(lengths, 1e-12)
    return scaled


def nearest_stored(
    queries: np.ndarray,
    path: str | Path,
    *,
    num_nearest: int,
    on_progress: OnProgress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """`nearest` of the passages of a .parquet, for some queries at a time; reports as `search`."""
    parts = []
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        part = queries[start : start + QUERIES_AT_ONCE]
        parts.append(nearest(part, stored_vectors(path), num_nearest=num_nearest))
        if on_progress is not None:
            on_progress("search", start + len(part), len(queries), "")
    numbers, cosines = (np.concatenate(it) for it in zip(*parts, strict=True))
    return numbers, cosines


def stored_vectors(path: str | Path, *, block_rows: int = BLOCK_ROWS) -> Iterator[np.ndarray]:
    """The embeddings of a .parquet of `bert-tf embed`, float32 (rows, W), some at a time."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=block_rows, columns=[EMBEDDING]):
            yield _as_array(batch.column(0))


def _as_array(column: Any) -> np.ndarray:
    flat: np.ndarray = column.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), -1)
