"""Trains a small model on given batches, as the package does, and measures it on held-out ones."""

import gc
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bert_tf.config import OptimizerConfig
from bert_tf.models.objective import Objective
from bert_tf.training.engine.evaluation_pass import Evaluation
from bert_tf.training.engine.step import make_train_step
from bert_tf.training.engine.strategy import make_strategy, split_batches
from bert_tf.training.optimizers import make_optimizer

Batches = Callable[[], tf.data.Dataset]
NUM_EVALUATIONS = 4
LOST = 1e9
"""The loss of a training that has left the numbers."""


def train(
    make_model: Callable[[], keras.Model],
    objective: Objective,
    *,
    term: str,
    train_batches: Batches,
    eval_batches: Batches,
    settings: Mapping[str, Any],
    seed: int,
) -> dict[str, float]:
    """Metrics of `num_steps` steps of AdamW, float32, without dropout.

    `loss_at_N`: held-out loss a prediction of `term` after N steps, a quarter of them each;
    `accuracy`; `first_gradient` and `largest_gradient`: norms before clipping, of the mean over the
    first tenth of the steps and the largest; `skipped_steps`: whose loss or gradient was not
    finite; `parameters`; `ms_a_step`: the median, evaluation left out.
    """
    gc.collect()  # the model before this one
    num_steps = settings["num_steps"]
    optimizing = OptimizerConfig(
        learning_rate=settings["learning_rate"],
        warmup_share=settings["warmup_share"],
        beta_2=0.98,
    )
    strategy = make_strategy()
    with strategy.scope():
        model = make_model()
        optimizer = make_optimizer(model, config=optimizing, num_steps=num_steps)
    step = make_train_step(
        model,
        objective,
        optimizer,
        strategy=strategy,
        num_parts=1,
        max_grad_norm=optimizing.max_grad_norm,
        seed=seed,
    )
    evaluate = Evaluation(model, objective, eval_batches, strategy=strategy)
    batches = iter(split_batches(train_batches, strategy, is_endless=True))
    every = math.ceil(num_steps / NUM_EVALUATIONS)
    metrics: dict[str, float] = {"parameters": float(model.count_params())}
    norms, seconds, num_skipped, found = [], [], 0, {}
    for number in range(num_steps):
        started_at = time.perf_counter()
        _, _, extras = step(batches, tf.constant(number, tf.int64))
        norms.append(float(extras["gradient_norm"]))
        seconds.append(time.perf_counter() - started_at)
        num_skipped += int(extras["is_skipped"])
        if (number + 1) % every == 0 or number + 1 == num_steps:
            found = evaluate()
            loss = found[f"{term}_loss"]
            metrics[f"loss_at_{number + 1}"] = loss if math.isfinite(loss) else LOST
    finite = [norm for norm in norms if math.isfinite(norm)] or [LOST]
    return metrics | {
        "loss": metrics[f"loss_at_{num_steps}"],
        **{name: value for name, value in found.items() if name.endswith("_accuracy")},
        "first_gradient": float(np.mean(finite[: max(1, num_steps // 10)])),
        "largest_gradient": max(finite),
        "skipped_steps": float(num_skipped),
        "ms_a_step": 1000 * float(np.median(seconds)),
    }
