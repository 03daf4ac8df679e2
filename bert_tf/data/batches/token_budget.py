"""Lengths of sources and targets in, batches of at most so many tokens out.

Tokens of a batch are its rows times the longer of its two sides, padding included. So no tensor of
encoder or decoder has more than `batch_tokens` places, and the largest of all, the scores of the
vocabulary, has at most `batch_tokens` times the vocabulary. Of translations both sides are about as
long, and the most that is allowed is what is used.

Which rows share a batch is drawn in every epoch, and yet all epochs have the same number of
batches: step s is batch s mod that number of epoch s // that number, and no epoch before it has to
be gone through. Examples are sorted by their longer side and, among these, by the other one. From
the longest on, each batch takes as many as fit. Examples whose lengths are padded to the same are
exchangeable, so where the cuts are does not depend on who stands where: an epoch shuffles these
among their places, takes one of `NUM_CUTS` ways to cut, whose first batches differ, and shuffles
the batches.

    padded lengths, sorted   10  8 8 8 | 6  4 4 4 4 4 | 2       batch_tokens 40
    examples of an epoch      a  c b d | e  j f i g h | k
    cut in another way       10  8 | 8 8 6 4 4 | 4 4 4 2
    examples of an epoch      a  d | b c e h f | g j i k
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from bert_tf.data.batches.epochs import worker_rows
from bert_tf.data.seeds import derive_seed

ROWS_MULTIPLE = 8
"""Batches have such a number of rows where as many fit: replicas and micro-batches share it, and
there are fewer shapes."""


NUM_CUTS = 8
OCTAVE = (18, 21, 24, 28, 32)
"""What lengths above 16 are padded to, and twice, four times, … as much."""


class BudgetPlan(NamedTuple):
    """The batches of every epoch."""

    ranks: np.ndarray
    """int64 (examples,): the order of lengths, the same for those padded alike, longest first."""
    splits: np.ndarray
    """int64 (cuts, batches + 1): where in that order each batch begins. Of the first way to cut,
    the first batch is as large as others."""
    shapes: np.ndarray
    """int32 (cuts, batches, 3): rows, and padded tokens of source and target."""

    @property
    def num_batches(self) -> int:
        """Of an epoch."""
        return int(self.shapes.shape[1])


def padded_lengths(limit: int) -> np.ndarray:
    """What lengths are padded to: 2, 4, …, 16, 18, 21, 24, 28, 32, 36, 42, …, 64, … and the limit.

    From 16 on each is at most a sixth longer than the one before. More would be less padding, and
    each shape of a batch is compiled once.
    """
    steps = [*range(2, 17, 2), *(part << power for power in range(27) for part in OCTAVE)]
    return np.array([length for length in steps if length < limit] + [limit], np.int32)


def plan_batches(
    source_lengths: np.ndarray,
    target_lengths: np.ndarray,
    *,
    batch_tokens: int,
    where: Callable[[int], str],
) -> BudgetPlan:
    """Batches of examples whose padded lengths, int32 (examples,), are given.

    `where`: the place of an example, for errors.

    Raises:
        ValueError: an example does not fit in a batch.
    """
    longer = np.maximum(source_lengths, target_lengths).astype(np.int64)
    too_long = np.flatnonzero(longer > batch_tokens)
    if len(too_long):
        longest = int(longer.max())
        raise ValueError(
            f"{where(int(too_long[0]))}: an example must fit in a batch of {batch_tokens:,} "
            f"tokens. Received: {source_lengths[too_long[0]]:,} tokens of the source and "
            f"{target_lengths[too_long[0]]:,} of the target, padded; {len(too_long):,} example(s) "
            f"are too long in all. Raise batch_tokens to {longest:,} at least, or cut shorter."
        )
    ranks = _ranks(source_lengths, target_lengths, longer)
    order = np.argsort(ranks, kind="stable")
    cuts = [
        _cut(longer[order], batch_tokens=batch_tokens, first_share=(NUM_CUTS - cut) / NUM_CUTS)
        for cut in range(NUM_CUTS)
    ]
    num_batches = max(map(len, cuts))
    sizes = np.array([_parted(cut, num_batches) for cut in cuts])
    splits = np.pad(np.cumsum(sizes, axis=1), [[0, 0], [1, 0]])
    widths = [
        np.stack([np.maximum.reduceat(side[order], starts) for starts in splits[:, :-1]])
        for side in (source_lengths, target_lengths)
    ]
    return BudgetPlan(ranks, splits, np.stack([sizes, *widths], axis=2).astype(np.int32))


def training_batches(plan: BudgetPlan, *, seed: int, start_step: int) -> tf.data.Dataset:
    """Endless (rows, epoch) from `start_step` on: int32 (rows of the batch), int64 scalar."""
    first_epoch, first_batch = divmod(start_step, plan.num_batches)
    order_seed, batch_seed, cut_seed = (
        derive_seed(seed, name) for name in ("order", "batches", "cuts")
    )
    ranks, cuts = tf.constant(plan.ranks), tf.constant(plan.splits)

    @tf.autograph.experimental.do_not_convert  # takes longer than all else to build
    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        rows = _shuffled(len(plan.ranks), order_seed, epoch)
        rows = tf.gather(rows, tf.argsort(tf.gather(ranks, rows), stable=True))
        splits = cuts[_shuffled(len(plan.splits), cut_seed, epoch)[0]]
        batches = _shuffled(plan.num_batches, batch_seed, epoch)
        num_seen = tf.where(epoch == first_epoch, first_batch, 0)
        return tf.data.Dataset.from_tensor_slices(batches[num_seen:]).map(
            lambda batch: (rows[splits[batch] : splits[batch + 1]], epoch)
        )

    return tf.data.Dataset.counter(first_epoch).flat_map(epoch_batches)


def evaluation_batches(plan: BudgetPlan) -> tf.data.Dataset:
    """One pass, the longest first: (rows, epoch), int32 (rows of the batch) and 0."""
    rows = tf.constant(np.argsort(plan.ranks, kind="stable").astype(np.int32))
    bounds = tf.data.Dataset.from_tensor_slices((plan.splits[0, :-1], plan.splits[0, 1:]))
    return bounds.map(lambda start, end: (rows[start:end], tf.zeros([], tf.int64)))


def deal_rows(
    rows: tf.Tensor, *, num_parts: int, num_workers: int, worker_index: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """A worker's rows of a batch, and their weights, float32.

    Together the workers have all rows, none twice. Copies of the last row with weight 0 make the
    whole batch a multiple of `num_parts`, the number of replicas times that of micro-batches.
    """
    own = worker_rows(num_parts, num_workers=num_workers, worker_index=worker_index)
    num_missing = -tf.size(rows) % num_parts
    weights = tf.pad(tf.ones(tf.shape(rows)), [[0, num_missing]])
    rows = tf.concat([rows, tf.repeat(rows[-1:], num_missing)], axis=0)
    num_rows = tf.size(rows) // num_parts
    bounds = slice(own.start * num_rows, own.stop * num_rows)
    return rows[bounds], weights[bounds]


def _cut(longer: np.ndarray, *, batch_tokens: int, first_share: float) -> list[int]:
    """Rows of each batch of examples whose longer sides are sorted, the longest first."""
    sizes: list[int] = []
    start = 0
    while start < len(longer):
        fitting = batch_tokens // int(longer[start])
        if not sizes:
            fitting = max(int(fitting * first_share), 1)
        if fitting > ROWS_MULTIPLE:
            fitting -= fitting % ROWS_MULTIPLE
        sizes.append(min(fitting, len(longer) - start))
        start += sizes[-1]
    return sizes


def _parted(sizes: list[int], num_batches: int) -> list[int]:
    """As many batches; the one of most rows is parted until it is so."""
    sizes = list(sizes)
    while len(sizes) < num_batches:
        place = int(np.argmax(sizes))
        half = (sizes[place] + 1) // 2
        if sizes[place] > ROWS_MULTIPLE:
            half += -half % ROWS_MULTIPLE
        sizes[place : place + 1] = [half, sizes[place] - half]
    return sizes


def _ranks(
    source_lengths: np.ndarray, target_lengths: np.ndarray, longer: np.ndarray
) -> np.ndarray:
    """Where each example stands by its lengths; the same number for the same two.

    Among the examples of one longer side the difference of the sides rises, among those of the
    next one falls: so neighbours are of similar lengths on both.
    """
    _, level = np.unique(-longer, return_inverse=True)
    difference = (source_lengths - target_lengths).astype(np.int64)
    walk = np.where(level % 2 == 0, difference, -difference)
    span = 2 * int(longer.max(initial=0)) + 1
    _, ranks = np.unique(level.astype(np.int64) * span + walk + span // 2, return_inverse=True)
    return ranks.astype(np.int64)


def _shuffled(num: int, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    return tf.random.experimental.stateless_shuffle(
        tf.range(num), seed=tf.stack([tf.constant(seed, tf.int64), epoch])
    )
