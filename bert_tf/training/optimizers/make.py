"""The optimizer that a configuration names."""

import keras

from bert_tf.config import OptimizerConfig
from bert_tf.training.optimizers.adamw import AdamW
from bert_tf.training.optimizers.base import Optimizer
from bert_tf.training.optimizers.lamb import Lamb
from bert_tf.training.optimizers.parameters import parameters_of
from bert_tf.training.optimizers.schedules import Schedule, make_schedule


def make_optimizer(
    model: keras.Model,
    *,
    config: OptimizerConfig,
    num_steps: int,
    schedule: Schedule | None = None,
) -> Optimizer:
    """An optimizer of the model's trainable variables; call it in the strategy's scope.

    Args:
        schedule: instead of the one that `config` describes.

    Moving averages, where there are any, begin with the weights as they are now.

    Raises:
        ValueError: the model has a vector or a structure that the rules do not know.
    """
    kind = {"adamw": AdamW, "lamb": Lamb}[config.name]
    return kind(
        parameters_of(model, config=config),
        config=config,
        schedule=schedule or make_schedule([(config, num_steps)]),
    )
