"""Encoded pairs of a source and a target in, batches of them by token budget out."""

import functools
import math
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from bert_tf.data.batches import token_budget
from bert_tf.data.batches.encoded_pairs import EncodedPairs


@dataclass(frozen=True)
class BudgetedBatches:
    """The batches of `budgeted_batches`, as `labelled.ExampleBatches` has them."""

    encoded: EncodedPairs
    batch_tokens: int
    num_parts: int = 1
    is_filled_up: bool = True

    @functools.cached_property
    def _num_batches(self) -> int:
        return budget_plan(self.encoded, batch_tokens=self.batch_tokens).num_batches

    @property
    def batch_size(self) -> int:
        """Pairs of a batch on average."""
        return max(round(len(self.encoded) / self._num_batches), 1)

    def num_steps(self, num_epochs: float) -> int:
        return math.ceil(num_epochs * self._num_batches)

    def training(self, *, seed: int, start_step: int, **worker: int) -> tf.data.Dataset:
        return self._batches(is_training=True, seed=seed, start_step=start_step, **worker)

    def one_pass(self, **worker: int) -> tf.data.Dataset:
        return self._batches(is_training=False, **worker)

    def _batches(self, **options: Any) -> tf.data.Dataset:
        return budgeted_batches(
            self.encoded, batch_tokens=self.batch_tokens, num_parts=self.num_parts, **options
        )


def budgeted_batches(
    encoded: EncodedPairs,
    *,
    batch_tokens: int,
    is_training: bool,
    seed: int | None = None,
    start_step: int = 0,
    num_parts: int = 1,
    num_workers: int = 1,
    worker_index: int = 0,
) -> tf.data.Dataset:
    """Batches of at most `batch_tokens` padded tokens of the longer side: see `token_budget`.

    Training: endless, every pair once an epoch in an order that is a function of (seed, epoch); the
    first batch is that of `start_step`. Otherwise one pass, the longest first. A worker gets its
    rows of every batch, padded to the longest of these.

    Args:
        num_parts: replicas times micro-batches: copies of weight 0 fill a batch up to a multiple.

    Elements: what `encoded.features` gives, `label_weights` 0 in copies; `weights`, float32 (B), 0
    of copies; `rows`, int32 (B), which pairs.

    Raises:
        ValueError: training has no seed, a pair does not fit in a batch, or the batch cannot be
            dealt to the workers.
    """
    plan = budget_plan(encoded, batch_tokens=batch_tokens)
    if not is_training:
        batches = token_budget.evaluation_batches(plan)
    elif seed is None:
        raise ValueError("training batches need a seed. Received: None. Give seed=….")
    else:
        batches = token_budget.training_batches(plan, seed=seed, start_step=start_step)
    dealt = {"num_parts": num_parts, "num_workers": num_workers, "worker_index": worker_index}

    @tf.autograph.experimental.do_not_convert  # takes longer than all else to build
    def make_batch(rows: tf.Tensor, epoch: tf.Tensor) -> dict[str, tf.Tensor]:
        rows, weights = token_budget.deal_rows(rows, **dealt)
        features = encoded.features(rows, epoch)
        features["label_weights"] *= weights[:, tf.newaxis]
        return features | {"weights": weights, "rows": rows}

    batches = batches.map(make_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.prefetch(tf.data.AUTOTUNE)


def budget_plan(encoded: EncodedPairs, *, batch_tokens: int) -> token_budget.BudgetPlan:
    """The batches of an epoch of `budgeted_batches`: how many there are, and their shapes.

    Raises:
        ValueError: a pair does not fit in a batch.
    """
    return token_budget.plan_batches(
        *encoded.padded_lengths(), batch_tokens=batch_tokens, where=encoded.where
    )
