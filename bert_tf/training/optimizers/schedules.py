"""The learning rate as a function of the step."""

import functools
import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from bert_tf.config import OptimizerConfig

Schedule = Callable[[tf.Tensor], tf.Tensor]
"""Step, an integer tensor, to learning rate, float32 of its shape."""


def make_schedule(parts: Sequence[tuple[OptimizerConfig, int]]) -> Schedule:
    """One schedule after another: each part is `learning_rate_at` over its number of steps."""

    def rate_at(step: tf.Tensor) -> tf.Tensor:
        ends_at = 0
        rates, ends = [], []
        for config, num_steps in parts:
            rates.append(learning_rate_at(step - ends_at, config=config, num_steps=num_steps))
            ends_at += num_steps
            ends.append(ends_at)
        # From the last part back: a step belongs to the first part that it is not past.
        joined = zip(reversed(ends[:-1]), reversed(rates[:-1]), strict=True)
        return functools.reduce(
            lambda later, part: tf.where(step < part[0], part[1], later), joined, rates[-1]
        )

    return rate_at


def learning_rate_at(step: tf.Tensor, *, config: OptimizerConfig, num_steps: int) -> tf.Tensor:
    """The learning rate of a step, counted from 0: linearly up to the peak, then down.

    With W warm-up steps, C constant ones and N in all, the rate is a share of the peak:
    (s + 1) / W in the warm-up, so that step W - 1 is the first at the peak; then 1 up to step
    W + C; then f((N - s) / (N - W - C)), which is 1 there. Nothing jumps. The end value belongs to
    step N, the first that is not taken: step N - 1 is one step above it.

        linear, constant   f(x) = x
        polynomial         f(x) = x ** power
        cosine             f(x) = (1 - cos(pi x)) / 2

    `inverse_sqrt` is sqrt(W / (s + 1)) after the warm-up, whatever N. With a peak of
    (hidden_size * W) ** -0.5 it is that of Vaswani et al. 2017, equation 3, whose step is s + 1.

    Google's 2018 code and NVIDIA's LAMB measure the decay from step 0 on, so theirs jumps down
    where the warm-up ends.

    Args:
        step: an integer tensor of any shape.

    Returns float32 of the shape of `step`.

    Source: google-research/bert, optimization.py (linear); NVIDIA DeepLearningExamples, BERT,
    optimization.py (polynomial of power 0.5 for LAMB); Loshchilov and Hutter 2017, equation 5.
    """
    step = tf.cast(step, tf.float32)
    num_warmup_steps = int(num_steps * config.warmup_share)
    num_falling_steps = num_steps - num_warmup_steps - int(num_steps * config.constant_share)
    rising = (step + 1) / max(num_warmup_steps, 1)
    if config.schedule == "inverse_sqrt":
        # At least 1: of several phases the later ones are asked for steps before their first.
        fallen = tf.sqrt(max(num_warmup_steps, 1) / tf.maximum(step + 1, 1.0))
        return config.learning_rate * tf.clip_by_value(tf.minimum(rising, fallen), 0.0, 1.0)
    left = tf.clip_by_value((num_steps - step) / max(num_falling_steps, 1), 0.0, 1.0)
    if config.schedule == "polynomial":
        left = left**config.schedule_power
    elif config.schedule == "cosine":
        left = (1.0 - tf.cos(math.pi * left)) / 2.0
    falling = config.end_learning_rate + (1.0 - config.end_learning_rate) * left
    return config.learning_rate * tf.clip_by_value(tf.minimum(rising, falling), 0.0, 1.0)
