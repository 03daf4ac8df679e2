"""LAMB: Adam's step, scaled matrix by matrix to the size of the weights."""

import tensorflow as tf

from bert_tf.layers.tensorflow.compiled import compiled
from bert_tf.training.optimizers.base import Optimizer, Scalars, Slots
from bert_tf.training.optimizers.parameters import Parameter


class Lamb(Optimizer):
    """A matrix W moves by -rate * |W| / |U| * U, U being Adam's step plus weight decay.

    The ratio of norms is 1 where one of them is 0. Q, K and V, which are one variable here, have
    each its own, as three variables would. Vectors (biases and LayerNorm) take Adam's step as it
    is, without decay: so do Model Garden's LAMB and ALBERT's; NVIDIA's TensorFlow 2 code scales
    them, too. The denominator is sqrt(v) + epsilon after bias correction.

    Source: You et al. 2020, algorithm 2, with phi(x) = x.
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
        first, second, update = _adam_step(
            weight.read_value(),
            slots["first_moment"].read_value(),
            slots["second_moment"].read_value(),
            gradient,
            scalars.power_1,
            scalars.power_2,
            scalars.factor,
            config.weight_decay_rate if parameter.decays else 0.0,
            beta_1=config.beta_1,
            beta_2=config.beta_2,
            epsilon=config.epsilon,
        )
        slots["first_moment"].assign(first)
        slots["second_moment"].assign(second)
        rate = scalars.rate
        if parameter.decays:
            update = tf.ensure_shape(update, weight.shape)
            ratios = _trust_ratios(weight.read_value(), update, num_blocks=parameter.num_blocks)
            if len(ratios) == 1:
                rate *= ratios[0]
            else:
                update *= tf.repeat(tf.stack(ratios), weight.shape[-1] // len(ratios))
        return tf.raw_ops.ResourceApplyGradientDescent(var=weight.handle, alpha=rate, delta=update)


# One kernel instead of a dozen passes over memory: on a CPU half the time.
@compiled
def _adam_step(
    weight: tf.Tensor,
    first: tf.Tensor,
    second: tf.Tensor,
    gradient: tf.Tensor,
    power_1: tf.Tensor,
    power_2: tf.Tensor,
    factor: tf.Tensor,
    weight_decay_rate: tf.Tensor,
    *,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The next moments, and Adam's step plus weight decay."""
    gradient = tf.cast(gradient, tf.float32) * factor
    first = beta_1 * first + (1.0 - beta_1) * gradient
    second = beta_2 * second + (1.0 - beta_2) * gradient * gradient
    denominator = tf.sqrt(second / (1.0 - power_2)) + epsilon
    update = first / (1.0 - power_1) / denominator + weight_decay_rate * weight
    return first, second, update


def _trust_ratios(weight: tf.Tensor, update: tf.Tensor, *, num_blocks: int) -> list[tf.Tensor]:
    """|W| / |U| of each block of columns."""
    pairs = zip(
        tf.split(weight, num_blocks, axis=-1),
        tf.split(update, num_blocks, axis=-1),
        strict=True,
    )
    # l2_loss, half the sum of squares, makes no copy and sums exactly enough for any size.
    losses = [(tf.nn.l2_loss(w), tf.nn.l2_loss(u)) for w, u in pairs]
    return [tf.where((w > 0.0) & (u > 0.0), tf.sqrt(w / u), 1.0) for w, u in losses]
