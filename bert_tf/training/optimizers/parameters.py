"""Says of each trainable variable how it is updated: with or without decay, at which rate."""

from collections.abc import Iterable
from dataclasses import dataclass

import keras

from bert_tf.config import OptimizerConfig
from bert_tf.layers.attention import MultiHeadAttention
from bert_tf.training.optimizers.decay import layer_rate_factors, variables_without_decay


@dataclass(frozen=True)
class Parameter:
    """A trainable variable and how it is updated."""

    variable: keras.Variable
    decays: bool
    """Weight decay and LAMB's trust ratio are for matrices."""
    rate_factor: float = 1.0
    """Its learning rate as a multiple of the step's."""
    num_blocks: int = 1
    """Matrices that stand side by side in it, on the last axis."""


def parameters_of(model: keras.Model, *, config: OptimizerConfig) -> list[Parameter]:
    """The model's trainable variables, in its order.

    Raises:
        ValueError: the model has a vector or a structure that the rules do not know.
    """
    without_decay = _ids(variables_without_decay(model))
    factors = layer_rate_factors(model, layer_decay=config.layer_decay)
    stacked = _ids(
        layer.query_key_value.kernel
        for layer in model._flatten_layers()
        if isinstance(layer, MultiHeadAttention)
    )
    return [
        Parameter(
            variable,
            decays=id(variable) not in without_decay,
            rate_factor=factors[id(variable)],
            num_blocks=3 if id(variable) in stacked else 1,
        )
        for variable in model.trainable_variables
    ]


def _ids(variables: Iterable[keras.Variable]) -> set[int]:
    return {id(variable) for variable in variables}
