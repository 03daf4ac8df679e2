"""Scales a loss so that its float16 gradients neither vanish nor overflow."""

import keras
import tensorflow as tf

START = 2.0**15
MINIMUM = 1.0
MAXIMUM = 2.0**24
STEPS_TO_DOUBLE = 2000


class LossScale(tf.Module):
    """A power of two: halved after an overflow, doubled after 2000 steps in a row without one.

    Make it in the strategy's scope. Its state is `scale`, float32, and `num_good_steps`, int64.

    Source: Micikevicius et al. 2018, section 3.2; the numbers are Keras' (LossScaleOptimizer).
    """

    def __init__(self) -> None:
        super().__init__(name="loss_scale")
        self.scale = _variable(START, tf.float32)
        self.num_good_steps = _variable(0, tf.int64)

    @property
    def state(self) -> dict[str, tf.Variable]:
        """What a checkpoint keeps."""
        return {"scale": self.scale, "num_good_steps": self.num_good_steps}

    def update(self, is_finite: tf.Tensor, *, is_dry: bool | tf.Tensor = False) -> tf.Tensor:
        """Adapt to a step's gradient; called in replica context, the same on all replicas.

        Args:
            is_dry: leave the state as it is.

        Returns whether the step overflowed: whether a lower scale may mend it.
        """
        scale = self.scale.read_value()
        before = self.num_good_steps.read_value()
        num_good_steps = before + 1
        is_to_double = num_good_steps >= STEPS_TO_DOUBLE
        raised = tf.where(is_to_double, tf.minimum(2.0 * scale, MAXIMUM), scale)
        adapted = tf.where(is_finite, raised, tf.maximum(0.5 * scale, MINIMUM))
        count = tf.where(is_finite & ~is_to_double, num_good_steps, tf.zeros_like(before))
        self.scale.assign(tf.where(is_dry, scale, adapted))
        self.num_good_steps.assign(tf.where(is_dry, before, count))
        return ~is_finite & (scale > MINIMUM)


def make_loss_scale(model: keras.Model) -> LossScale | None:
    """The scale that a model needs: none unless it computes in float16."""
    return LossScale() if model.compute_dtype == "float16" else None


def _variable(value: float, dtype: tf.DType) -> tf.Variable:
    return tf.Variable(
        value,
        dtype=dtype,
        trainable=False,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
