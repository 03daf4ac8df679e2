"""A tiny pretraining run on random batches, for tests of the training engine."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bert_tf.config import OptimizerConfig, TrainingConfig
from bert_tf.models.description import ModelDescription
from bert_tf.models.flops import classifier_flops
from bert_tf.models.tensors import weights_by_name
from bert_tf.tasks.models import build_model
from bert_tf.training.engine.loop import Phase, Run, train
from bert_tf.training.engine.objective import PretrainingObjective
from bert_tf.training.engine.strategy import make_strategy
from tests.references import ARCHITECTURE

BATCH, LENGTH, PREDICTIONS = 8, 12, 3
HEAD_FLOPS = classifier_flops(ARCHITECTURE, num_outputs=2)
"""Of the pooler and the next-sentence head."""


def random_batches(step: int) -> tf.data.Dataset:
    """Endless batches, each a function of its step; some predictions have weight 0."""

    def make(index: tf.Tensor) -> dict[str, tf.Tensor]:
        def draw(shape: tuple[int, ...], high: int, salt: int) -> tf.Tensor:
            seed = [salt, tf.cast(index, tf.int32)]
            return tf.random.stateless_uniform(shape, seed, 0, high, tf.int32)

        lengths = 6 + draw((BATCH, 1), LENGTH - 6, 7)
        return {
            "input_ids": draw((BATCH, LENGTH), 60, 1),
            "input_mask": tf.cast(tf.range(LENGTH)[tf.newaxis] < lengths, tf.int32),
            "segment_ids": draw((BATCH, LENGTH), 2, 2),
            "masked_lm_positions": draw((BATCH, PREDICTIONS), 6, 3),
            "masked_lm_ids": draw((BATCH, PREDICTIONS), 60, 4),
            "masked_lm_weights": tf.cast(draw((BATCH, PREDICTIONS), 3, 5) > 0, tf.float32),
            "next_sentence_labels": draw((BATCH,), 2, 6),
            "next_sentence_weights": tf.ones((BATCH,)),
        }

    return tf.data.Dataset.range(step, 10_000).map(make)


def make_run(
    output_dir: Path,
    *,
    num_replicas: int | None = 1,
    accumulation_steps: int = 1,
    num_steps: int = 4,
    dropout: float = 0.0,
    dtype: str = "float32",
    **options: Any,
) -> Run:
    """A run that begins from the same weights every time."""
    architecture = ARCHITECTURE.model_copy(
        update={
            "num_hidden_layers": 1,  # most of the time is spent building graphs
            "hidden_dropout_prob": dropout,
            "attention_probs_dropout_prob": dropout,
        }
    )
    strategy = make_strategy(num_logical_devices=num_replicas)
    keras.utils.set_random_seed(7)
    with strategy.scope():
        model = build_model(
            ModelDescription(kind="pretraining", architecture=architecture, max_seq_length=LENGTH),
            dtype=dtype,
        )
    training: dict[str, Any] = {
        "batch_size": BATCH,
        "accumulation_steps": accumulation_steps,
        "log_every_steps": 1,
        "checkpoint_every_steps": 2,
        "optimizer": OptimizerConfig(learning_rate=1e-2, max_grad_norm=0.5),
    }
    config = TrainingConfig(**(training | options.pop("training", {})))
    phase = Phase(
        num_steps=num_steps,
        batch_size=config.batch_size,
        accumulation_steps=config.accumulation_steps,
        train_batches=options.pop("train_batches", random_batches),
        eval_batches=options.pop("eval_batches", lambda: random_batches(5000).take(3)),
    )
    return Run(
        **{
            "model": model,
            "objective": PretrainingObjective(),
            "strategy": strategy,
            "config": config,
            "phases": (phase,),
            "seed": 3,
            "output_dir": output_dir,
            "head_flops": HEAD_FLOPS,
            **options,
        }
    )


def train_and_read(run: Run) -> tuple[list[dict[str, float]], dict[str, np.ndarray]]:
    """Train; metrics of every step, and the final weights by name."""
    seen: list[dict[str, float]] = []

    def note(metrics: dict[str, float], step: int) -> None:
        if "train/loss" in metrics:
            seen.append({"step": step, **metrics})

    object.__setattr__(run, "log_metrics", note)
    train(run)
    return seen, {name: np.asarray(w.value) for name, w in weights_by_name(run.model).items()}
