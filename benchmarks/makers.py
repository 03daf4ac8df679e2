"""What the step benchmarks time: our training step on a new model, keras-nlp's backbone."""

import functools
from typing import Any, NamedTuple

import tensorflow as tf

from bert_tf.config import ModelConfig, OptimizerConfig
from bert_tf.models.description import ModelDescription
from bert_tf.models.objective import Objective
from bert_tf.tasks.models import build_model
from bert_tf.training.engine.step import TrainStep, make_train_step
from bert_tf.training.engine.strategy import make_strategy
from bert_tf.training.measuring.workload import workload
from bert_tf.training.optimizers import Optimizer, make_optimizer

DROPOUT = 0.1


class OurStep(NamedTuple):
    """The package's step of a new model, and what it is made of."""

    train_step: TrainStep
    strategy: tf.distribute.Strategy
    model: Any
    optimizer: Optimizer


def our_train_step(
    description: ModelDescription,
    objective: Objective,
    *,
    policy: str,
    learning_rate: float,
    head_flops: float,
    rematerialize: bool = False,
) -> OurStep:
    """The step as the commands run it; its strategy splits the batches."""
    strategy = make_strategy()
    with strategy.scope():
        model = build_model(description, dtype=policy, rematerialize=rematerialize)
        optimizer = make_optimizer(
            model, config=OptimizerConfig(learning_rate=learning_rate), num_steps=10_000
        )
    step = make_train_step(
        model,
        objective,
        optimizer,
        strategy=strategy,
        num_parts=1,
        max_grad_norm=1.0,
        seed=0,
        measure=functools.partial(workload, model, head_flops=head_flops),
    )
    return OurStep(step, strategy, model, optimizer)


def keras_nlp_backbone(config: ModelConfig, *, policy: str) -> Any:
    """keras-nlp's encoder of the same size."""
    import keras_nlp

    return keras_nlp.models.BertBackbone(
        vocabulary_size=config.vocab_size,
        num_layers=config.num_hidden_layers,
        num_heads=config.num_attention_heads,
        hidden_dim=config.hidden_size,
        intermediate_dim=config.intermediate_size,
        dropout=DROPOUT,
        max_sequence_length=config.max_position_embeddings,
        dtype=policy,
    )
