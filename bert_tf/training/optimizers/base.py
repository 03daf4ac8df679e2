"""What AdamW and LAMB share: state, one update on every replica, moving averages.

Keras' own optimizers reduce over replicas and clip inside `apply_gradients`, in the wrong order
for a gradient of the whole batch; these do neither.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from bert_tf.config import OptimizerConfig
from bert_tf.training.optimizers.parameters import Parameter
from bert_tf.training.optimizers.schedules import Schedule

Slots = dict[str, tf.Variable]

UPDATES_AT_ONCE = 2
"""Variables whose updates may overlap: what one is computed with stays in cache, and its tensors
are there for two variables, not for all."""


class Scalars(NamedTuple):
    """What one update is computed with, float32."""

    rate: tf.Tensor
    power_1: tf.Tensor
    """beta_1 ** (number of the update, from 1), or 0 without bias correction."""
    power_2: tf.Tensor
    factor: tf.Tensor
    """Of the gradient: what clips it, and takes a scale of the loss away."""


class Optimizer(tf.Module):
    """Updates variables in place, from gradients that are the same on all replicas.

    Make it in the strategy's scope. Its state is `num_updates`, int64, and per variable `slots`:
    `first_moment`, `second_moment` and, with `ema_decay`, `average`, float32. An average begins
    with the weight's value at construction, so it needs no correction; after each update it moves
    by (1 - ema_decay) of the way to the weight.
    """

    def __init__(
        self, parameters: Sequence[Parameter], *, config: OptimizerConfig, schedule: Schedule
    ):
        super().__init__(name=config.name)
        self.config = config
        self.schedule = schedule
        self.parameters = tuple(parameters)
        self.weights = [parameter.variable.value for parameter in parameters]
        self.slots = [_slots(parameter, config) for parameter in parameters]
        self.num_updates = tf.Variable(
            0,
            dtype=tf.int64,
            trainable=False,
            name="num_updates",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        self._strategy = tf.distribute.get_strategy()

    def apply(
        self,
        gradients: Sequence[tf.Tensor],
        *,
        step: tf.Tensor,
        factor: float | tf.Tensor = 1.0,
        is_finite: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Update every variable from dense gradients, the same on all replicas.

        They may be of a narrower type than float32: the update reads them as they are. Called in
        replica context.

        Args:
            factor: float32 scalar, of all gradients.
            step: int64, from 0; the learning rate is a function of it. Bias correction counts the
                updates made.
            is_finite: bool, the same on all replicas. Where it is false nothing changes: no weight,
                no slot, not `num_updates`, which so counts the steps that were not skipped. Costs
                one branch for the whole update; None costs nothing.

        Returns the step's learning rate.
        """
        config = self.config
        rate = self.schedule(step)
        count = tf.cast(self.num_updates + 1, tf.float32)
        power_1, power_2 = (
            tf.pow(beta, count) if config.bias_correction else tf.zeros_like(count)
            for beta in (config.beta_1, config.beta_2)
        )
        scalars = Scalars(rate, power_1, power_2, tf.convert_to_tensor(factor, tf.float32))
        tf.distribute.get_replica_context().merge_call(
            self._update_all, args=(list(gradients), scalars, is_finite)
        )
        return rate

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """The model has the averages inside, and its own weights, bit by bit, after.

        Without `ema_decay` nothing happens. Called outside of `strategy.run`; weights and averages
        change places one by one, so no second copy is held. A checkpoint saved inside would have
        them exchanged: do not.
        """
        self._for_each_average(_exchange)
        try:
            yield
        finally:
            self._for_each_average(_exchange)

    def adopt_averages(self) -> None:
        """Give the model the averages for good: what a finished run saves."""
        self._for_each_average(lambda weight, average: weight.assign(average))

    def _update_all(
        self, strategy: Any, gradients: Any, scalars: Any, is_finite: Any | None
    ) -> None:
        def update() -> None:
            ended: list[tf.Operation] = []
            for index, gradient in enumerate(gradients):
                with tf.control_dependencies(ended[-UPDATES_AT_ONCE:][:1]):
                    is_done = strategy.extended.update(
                        self.weights[index],
                        self._update_one(self.parameters[index]),
                        args=(dict(self.slots[index]), gradient, scalars),
                    )
                ended.append(is_done)
            strategy.extended.update(
                self.num_updates, lambda count: count.assign_add(1), group=False
            )

        with tf.name_scope("optimizer"):  # by which the profiler tells it apart
            if is_finite is None:
                update()
            else:
                tf.cond(strategy.experimental_local_results(is_finite)[0], update, lambda: None)

    def _update_one(self, parameter: Parameter) -> Callable[..., Any]:
        """The update of one replica's copy of a variable, as an operation."""

        def update(weight: tf.Variable, slots: Slots, gradient: Any, scalars: Scalars) -> Any:
            if parameter.rate_factor != 1.0:
                scalars = scalars._replace(rate=scalars.rate * parameter.rate_factor)
            last = self._move(weight, slots, gradient, scalars=scalars, parameter=parameter)
            if self.config.ema_decay is not None:
                average = slots["average"]
                average.assign_sub((1.0 - self.config.ema_decay) * (average - weight))
            return last

        return update

    def _move(
        self,
        weight: tf.Variable,
        slots: Slots,
        gradient: tf.Tensor,
        *,
        scalars: Scalars,
        parameter: Parameter,
    ) -> tf.Operation:
        """Update the weight and its moments, what an optimizer is; returns the last operation."""
        raise NotImplementedError

    def _for_each_average(self, act: Callable[[tf.Variable, tf.Variable], Any]) -> None:
        if self.config.ema_decay is None:
            return
        for weight, slots in zip(self.weights, self.slots, strict=True):
            self._strategy.extended.update(weight, act, args=(slots["average"],), group=False)


def _exchange(weight: tf.Variable, average: tf.Variable) -> None:
    kept = weight.read_value()
    weight.assign(average)
    average.assign(kept)


def _slots(parameter: Parameter, config: OptimizerConfig) -> Slots:
    variable = parameter.variable
    values = {
        name: tf.zeros(variable.shape, tf.float32) for name in ("first_moment", "second_moment")
    }
    if config.ema_decay is not None:
        values["average"] = tf.convert_to_tensor(variable.value)
    return {
        name: tf.Variable(value, trainable=False, name=f"{variable.path}/{name}")
        for name, value in values.items()
    }
