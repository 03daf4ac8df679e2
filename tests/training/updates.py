"""Three variables, random gradients, and the updates an optimizer makes of them, for tests."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from bert_tf.config import OptimizerConfig
from bert_tf.training.engine.strategy import make_strategy
from bert_tf.training.optimizers import AdamW, Lamb, Optimizer, Parameter, make_schedule

SHAPES = {"kernel": (3, 4), "bias": (4,), "query_key_value": (5, 12)}
CONSTANT = {"learning_rate": 0.01, "warmup_share": 0.0, "schedule": "constant"} | {
    "constant_share": 1.0
}
"""The same learning rate at every step."""


def initial_values() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(np.float32) for shape in SHAPES.values()]


def gradients_of(step: int) -> list[tf.Tensor]:
    rng = np.random.default_rng(step + 1)
    return [tf.constant(rng.normal(size=shape), tf.float32) for shape in SHAPES.values()]


@dataclass
class Updates:
    """An optimizer in a strategy, and a compiled step of it."""

    strategy: tf.distribute.Strategy
    optimizer: Optimizer

    def make(self, steps: Sequence[int], *, is_finite: bool | None = None) -> None:
        @tf.function
        def apply(gradients, step, is_finite):
            self.strategy.run(
                lambda *args: self.optimizer.apply(args[0], step=args[1], is_finite=args[2]),
                (gradients, step, is_finite),
            )

        flag = None if is_finite is None else tf.constant(is_finite)
        for step in steps:
            apply(gradients_of(step), tf.constant(step, tf.int64), flag)

    def weights(self) -> list[np.ndarray]:
        return [parameter.variable.value.numpy() for parameter in self.optimizer.parameters]

    def state(self) -> dict[str, np.ndarray]:
        """Everything that an update may change, on every replica."""
        local = self.strategy.experimental_local_results
        state = {"num_updates": self.optimizer.num_updates}
        for name, weight, slots in zip(
            SHAPES, self.optimizer.weights, self.optimizer.slots, strict=True
        ):
            state |= {name: weight} | {f"{name}/{slot}": value for slot, value in slots.items()}
        return {
            f"{name}@{replica}": part.numpy()
            for name, variable in state.items()
            for replica, part in enumerate(local(variable))
        }


def make_updates(*, num_replicas: int = 1, rate_factor: float = 1.0, **settings) -> Updates:
    """Nothing is updated yet; `settings` are those of `OptimizerConfig`."""
    config = OptimizerConfig(**{**CONSTANT, **settings})
    strategy = make_strategy(num_logical_devices=num_replicas)
    with strategy.scope():
        parameters = [
            Parameter(
                keras.Variable(value, name=name),
                decays=name != "bias",
                rate_factor=rate_factor,
                num_blocks=3 if name == "query_key_value" else 1,
            )
            for name, value in zip(SHAPES, initial_values(), strict=True)
        ]
        kind = {"adamw": AdamW, "lamb": Lamb}[config.name]
        return Updates(
            strategy, kind(parameters, config=config, schedule=make_schedule([(config, 10**6)]))
        )


def weights_after(num_steps: int, **settings) -> list[np.ndarray]:
    updates = make_updates(**settings)
    updates.make(range(num_steps))
    return updates.weights()
