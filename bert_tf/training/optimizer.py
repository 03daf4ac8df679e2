"""AdamW with linear warm-up and decay, applied once a step to gradients that are already reduced.

Keras' own optimizers reduce over replicas and clip inside `apply_gradients`, in the wrong order
for a gradient of the whole batch; this one does neither.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from bert_tf.config import OptimizerConfig


def learning_rate_at(step: tf.Tensor, *, config: OptimizerConfig, num_steps: int) -> tf.Tensor:
    """The learning rate of a step, counted from 0: up from zero, then linearly down to zero.

    Source: google-research/bert, optimization.py.
    """
    step = tf.cast(step, tf.float32)
    num_warmup_steps = int(num_steps * config.warmup_share)
    rising = (step + 1) / max(num_warmup_steps, 1)
    falling = (num_steps - step) / max(num_steps - num_warmup_steps, 1)
    return config.learning_rate * tf.clip_by_value(tf.minimum(rising, falling), 0.0, 1.0)


def variables_without_decay(model: keras.Model) -> list[keras.Variable]:
    """LayerNorm's weights and all biases, found by layer, not by name.

    Raises:
        ValueError: a vector would be decayed or a matrix left out: a layer of an unknown kind.
    """
    excluded = []
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.LayerNormalization):
            excluded += layer.trainable_variables
        elif isinstance(getattr(layer, "bias", None), keras.Variable):
            excluded.append(layer.bias)
    expected = {variable.path for variable in model.trainable_variables if len(variable.shape) == 1}
    if {variable.path for variable in excluded} != expected:
        raise ValueError(
            "Weight decay must leave out exactly the vectors (biases and LayerNorm). Received: "
            f"{sorted({v.path for v in excluded} ^ expected)} on one side only."
        )
    return excluded


class AdamW(tf.Module):
    """Adam with decoupled weight decay over a model's trainable variables.

    Source: Loshchilov and Hutter 2019, algorithm 2; without bias correction google-research/bert,
    optimization.py. The denominator is sqrt(v) + epsilon before bias correction, as in Kingma
    and Ba 2015, section 2, and in TensorFlow's fused kernel.
    """

    def __init__(
        self,
        variables: Sequence[keras.Variable],
        *,
        config: OptimizerConfig,
        num_steps: int,
        without_decay: Sequence[keras.Variable],
    ):
        super().__init__(name="adamw")
        self.config = config
        self.num_steps = num_steps
        excluded = {id(variable) for variable in without_decay}
        self._decays = [id(variable) not in excluded for variable in variables]
        self.variables_ = [variable.value for variable in variables]
        self.first_moments = [_slot(variable, "m") for variable in variables]
        self.second_moments = [_slot(variable, "v") for variable in variables]

    def apply(self, gradients: Sequence[tf.Tensor], *, step: tf.Tensor) -> tf.Tensor:
        """Update every variable from dense float32 gradients, the same on all replicas.

        Called in replica context. Returns the learning rate used.
        """
        config = self.config
        rate = learning_rate_at(step, config=config, num_steps=self.num_steps)
        count = tf.cast(step + 1, tf.float32)
        powers = [
            tf.pow(beta, count) if config.bias_correction else tf.zeros_like(count)
            for beta in (config.beta_1, config.beta_2)
        ]

        def update(strategy: Any, gradients: Any, rate: Any, powers: Any) -> None:
            for slot in zip(
                self.variables_,
                self.first_moments,
                self.second_moments,
                gradients,
                self._decays,
                strict=True,
            ):
                variable, first, second, gradient, decays = slot
                strategy.extended.update(
                    variable,
                    self._update_one,
                    args=(first, second, gradient, rate, powers[0], powers[1], decays),
                    group=False,
                )

        context = tf.distribute.get_replica_context()
        context.merge_call(update, args=(list(gradients), rate, powers))
        return rate

    def _update_one(
        self,
        variable: tf.Variable,
        first: tf.Variable,
        second: tf.Variable,
        gradient: tf.Tensor,
        rate: tf.Tensor,
        power_1: tf.Tensor,
        power_2: tf.Tensor,
        decays: bool,
    ) -> None:
        if decays and self.config.weight_decay_rate:
            variable.assign_sub(rate * self.config.weight_decay_rate * variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=first.handle,
            v=second.handle,
            beta1_power=power_1,
            beta2_power=power_2,
            lr=rate,
            beta1=self.config.beta_1,
            beta2=self.config.beta_2,
            epsilon=self.config.epsilon,
            grad=gradient,
        )


def _slot(variable: keras.Variable, name: str) -> tf.Variable:
    return tf.Variable(
        tf.zeros(variable.shape, tf.float32),
        trainable=False,
        name=f"{variable.path}/{name}",
    )
