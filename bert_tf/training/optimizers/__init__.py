"""Gradients to weights: AdamW and LAMB, their learning rates, decay and moving averages."""

from bert_tf.training.optimizers.adamw import AdamW
from bert_tf.training.optimizers.base import Optimizer
from bert_tf.training.optimizers.decay import layer_rate_factors, variables_without_decay
from bert_tf.training.optimizers.description import describe_decay
from bert_tf.training.optimizers.lamb import Lamb
from bert_tf.training.optimizers.make import make_optimizer
from bert_tf.training.optimizers.parameters import Parameter, parameters_of
from bert_tf.training.optimizers.schedules import Schedule, learning_rate_at, make_schedule

__all__ = [
    "AdamW",
    "Lamb",
    "Optimizer",
    "Parameter",
    "Schedule",
    "describe_decay",
    "layer_rate_factors",
    "learning_rate_at",
    "make_optimizer",
    "make_schedule",
    "parameters_of",
    "variables_without_decay",
]
