"""AdamW, on TensorFlow's fused kernel."""

import tensorflow as tf

from bert_tf.layers.tensorflow.compiled import compiled
from bert_tf.training.optimizers.base import Optimizer, Scalars, Slots
from bert_tf.training.optimizers.parameters import Parameter


class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    Source: Loshchilov and Hutter 2019, algorithm 2; without bias correction google-research/bert,
    optimization.py. The denominator is sqrt(v) + epsilon before bias correction, as in Kingma
    and Ba 2015, section 2, and in TensorFlow's fused kernel.
    """

    def _move(
        self,
        weight: tf.Variable,
        slots: Slots,
        gradient: tf.Tensor,
        *,
        scalars: Scalars,
        parameter: Parameter,
    ) -> tf.Operation:
        config = self.config
        if parameter.decays and config.weight_decay_rate:
            weight.assign_sub(scalars.rate * config.weight_decay_rate * weight)
        return tf.raw_ops.ResourceApplyAdam(
            var=weight.handle,
            m=slots["first_moment"].handle,
            v=slots["second_moment"].handle,
            beta1_power=scalars.power_1,
            beta2_power=scalars.power_2,
            lr=scalars.rate,
            beta1=config.beta_1,
            beta2=config.beta_2,
            epsilon=config.epsilon,
            grad=_scaled(gradient, scalars.factor),
        )


@compiled
def _scaled(gradient: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    return tf.cast(gradient, tf.float32) * factor
