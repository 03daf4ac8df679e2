"""Metrics of a model on held-out batches, and its outputs on them."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bert_tf.data.batches.labelled import concatenated
from bert_tf.data.batches.ranges import faults_named
from bert_tf.models.objective import Objective, measured
from bert_tf.training.engine.checked_batches import checked
from bert_tf.training.engine.objective import perplexities, summarize
from bert_tf.training.engine.step import make_eval_step
from bert_tf.training.engine.strategy import split_batches

Rate = Callable[[Any], dict[str, float]]
"""The model's outputs on all held-out examples, in the order of `rows` -> metrics of them."""

Predict = Callable[[keras.Model, Mapping[str, tf.Tensor]], Any]
"""Of the model and a batch what is predicted, (batch, ...), in the graph."""


class Evaluation:
    """Metrics over all of `batches`, each prediction counted once (see `objective.summarize`).

    Calling it makes one pass; the graph is built at the first call only.

    Args:
        rate: gets the outputs, arrays (examples, ...), and gives further metrics. Batches must have
            `rows` and `weights` then.
        predict: model and batch -> what `rate` gets in the place of the model's outputs.
    """

    def __init__(
        self,
        model: keras.Model,
        objective: Objective,
        batches: Callable[..., tf.data.Dataset],
        *,
        strategy: tf.distribute.Strategy,
        rate: Rate | None = None,
        predict: Predict | None = None,
    ):
        self._batches = checked(batches, model)
        self._strategy = strategy
        self._rate = rate
        self._eval_step = make_eval_step(
            model,
            measured(objective),
            strategy,
            keeps=None
            if rate is None
            else lambda batch, outputs: predict(model, batch) if predict else outputs,
        )

    @faults_named()
    def __call__(self) -> dict[str, float]:
        totals = None
        kept: list[Any] = []
        iterator = iter(split_batches(self._batches, self._strategy))
        while True:
            try:
                *sums, outputs = self._eval_step(iterator)
            except (StopIteration, tf.errors.OutOfRangeError):
                break
            totals = sums if totals is None else tf.nest.map_structure(tf.add, totals, sums)
            if self._rate is not None:
                kept.append(tf.nest.map_structure(lambda value: value.numpy(), outputs))
        if totals is None:
            raise ValueError("Evaluation needs at least one batch. Received: none.")
        metrics = summarize(*totals)
        metrics |= perplexities(metrics)
        return metrics if self._rate is None else metrics | self._rate(_in_order(kept))


def _in_order(kept: list[Any]) -> Any:
    """The outputs of each example once, in the order of the examples."""
    weights = np.concatenate([of_batch["weights"] for of_batch in kept])
    rows = np.concatenate([of_batch["rows"] for of_batch in kept])
    real = np.flatnonzero(weights > 0)
    order = real[np.argsort(rows[real], kind="stable")]
    parts = [of_batch["outputs"] for of_batch in kept]
    return tf.nest.map_structure(lambda *values: concatenated(values)[order], *parts)
