"""Metrics of a model on held-out batches."""

from collections.abc import Callable

import keras
import tensorflow as tf

from bert_tf.data.batches.ranges import faults_named
from bert_tf.training.engine.checked_batches import checked
from bert_tf.training.engine.objective import Objective, summarize
from bert_tf.training.engine.step import make_eval_step
from bert_tf.training.engine.strategy import split_batches


class Evaluation:
    """Metrics over all of `batches`, each prediction counted once (see `metrics.summarize`).

    Calling it makes one pass; the graph is built at the first call only.
    """

    def __init__(
        self,
        model: keras.Model,
        objective: Objective,
        batches: Callable[..., tf.data.Dataset],
        *,
        strategy: tf.distribute.Strategy,
    ):
        self._batches = checked(batches, model)
        self._strategy = strategy
        self._eval_step = make_eval_step(model, objective, strategy)

    @faults_named()
    def __call__(self) -> dict[str, float]:
        totals = None
        iterator = iter(split_batches(self._batches, self._strategy))
        while True:
            try:
                sums = self._eval_step(iterator)
            except (StopIteration, tf.errors.OutOfRangeError):
                break
            totals = sums if totals is None else tf.nest.map_structure(tf.add, totals, sums)
        if totals is None:
            raise ValueError("Evaluation needs at least one batch. Received: none.")
        return summarize(*totals)
