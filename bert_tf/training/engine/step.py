"""One training step, whatever it is computed on.

Take the batch, give each replica its rows, cut those into micro-batches, sum the gradients of
loss / (weight of the whole batch), reduce them over the replicas once, take their global norm, and
update once, clipped in the same pass. Where loss or gradient is not finite, nothing is updated.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from bert_tf.layers.dropout import dropout_seed
from bert_tf.models.contrastive import WholeBatchObjective
from bert_tf.models.objective import Objective, Sums
from bert_tf.training.engine.gradients import before_widening, global_norm
from bert_tf.training.engine.loss_scale import LossScale
from bert_tf.training.engine.micro_batches import MicroBatches
from bert_tf.training.engine.objective import total_loss
from bert_tf.training.engine.whole_batch import whole_batch_gradients, whole_batch_sums
from bert_tf.training.optimizers import Optimizer


def make_train_step(
    model: keras.Model,
    objective: Objective,
    optimizer: Optimizer,
    *,
    strategy: tf.distribute.Strategy,
    num_parts: int,
    max_grad_norm: float,
    seed: int,
    loss_scale: LossScale | None = None,
    measure: Callable[[Any], dict[str, tf.Tensor]] | None = None,
) -> "TrainStep":
    """One step over the next global batch of a distributed iterator.

    Args:
        num_parts: micro-batches a replica's rows are cut into.
        seed: dropout masks are a function of it, the step, the replica and the micro-batch.
        loss_scale: for a model that computes in float16.
        measure: amounts of a replica's batch, float32 scalars called `num_…`; their sums over the
            replicas join what a step gives.

    Calling it with (iterator, step int64) gives the batch's `Sums`, its weights, and
    `learning_rate`, `gradient_norm` (before clipping), `is_skipped` (loss or gradient was not
    finite), `is_overflow` (skipped, but a lower scale may mend it) and, with one, `loss_scale`.
    """
    is_summed = num_parts > 1 or strategy.num_replicas_in_sync > 1
    compute = _make_gradients(model, objective, loss_scale, is_summed=is_summed)

    def replica_step(batch: Any, step: tf.Tensor, is_dry: tf.Tensor) -> tuple[Sums, Any, Any]:
        weights, extras = _reduce((objective.weights(batch), measure(batch) if measure else {}))
        parts = MicroBatches(batch, num_parts=num_parts, seed=_step_seed(seed, step))
        gradients, sums = _reduce(compute(parts, weights))
        is_overflow = tf.constant(False)
        scale = tf.constant(1.0)
        if loss_scale is not None:
            extras["loss_scale"] = scale = loss_scale.scale.read_value()
        norm = global_norm(gradients) / scale
        is_finite = tf.math.is_finite(norm) & tf.math.is_finite(total_loss(sums.loss, weights))
        factor = max_grad_norm / tf.maximum(norm, max_grad_norm) / scale
        may_update = is_finite & ~is_dry
        rate = optimizer.apply(gradients, step=step, factor=factor, is_finite=may_update)
        if loss_scale is not None:
            is_overflow = loss_scale.update(is_finite, is_dry=is_dry)
        extras |= {"learning_rate": rate, "gradient_norm": norm}
        return sums, weights, extras | {"is_skipped": ~is_finite, "is_overflow": is_overflow}

    @tf.function
    def traced_step(iterator: Any, step: tf.Tensor, is_dry: tf.Tensor) -> Any:
        return _local(strategy, strategy.run(replica_step, args=(next(iterator), step, is_dry)))

    return TrainStep(traced_step)


class TrainStep:
    """A function of (iterator, step), traced at its first call."""

    def __init__(self, traced_step: Any):
        self._traced_step = traced_step

    def __call__(self, iterator: Any, step: tf.Tensor, *, is_dry: bool = False) -> Any:
        """`is_dry`: compute all of it, but change nothing."""
        return self._traced_step(iterator, step, tf.constant(is_dry))

    def graph(self, iterator: Any, step: tf.Tensor) -> Any:
        """What is computed, as a GraphDef; names are those in the profiler's traces."""
        return self.concrete(iterator, step).graph.as_graph_def()

    def concrete(self, iterator: Any, step: tf.Tensor) -> Any:
        """The traced function."""
        return self._traced_step.get_concrete_function(iterator, step, tf.constant(False))


def make_eval_step(
    model: keras.Model,
    objective: Objective,
    strategy: tf.distribute.Strategy,
    *,
    keeps: Callable[[Any, Any], Any] | None = None,
) -> Callable[[Any], Any]:
    """The `Sums`, weights and outputs of a distributed iterator's next global batch, no dropout.

    Outputs are a dict of `outputs`, `rows` and `weights`, (global batch, ...), on every worker; an
    empty one without `keeps`, which makes the outputs of batch and the model's own, for batches
    that have `rows`.
    """

    def replica_step(batch: Any) -> Any:
        outputs = model(batch, training=False)
        if isinstance(objective, WholeBatchObjective):
            sums = whole_batch_sums(objective, objective.representations(outputs), batch)
        else:
            sums = objective.sums(outputs, batch)
        kept = {}
        if keeps is not None:
            own = {"rows": batch["rows"], "weights": batch["weights"]}
            kept = {"outputs": keeps(batch, outputs), **own}
        return _reduce((sums, objective.weights(batch))), kept

    @tf.function
    def eval_step(iterator: Any) -> Any:
        reduced, kept = strategy.run(replica_step, args=(next(iterator),))
        return *_local(strategy, reduced), _gathered(strategy, kept)

    return eval_step


def _gathered(strategy: tf.distribute.Strategy, structure: Any) -> Any:
    """The rows of all replicas, in their order, which is that of the global batch."""
    if strategy.num_replicas_in_sync == 1:
        return _local(strategy, structure)
    return tf.nest.map_structure(lambda value: _gathered_tensor(strategy, value), structure)


def _gathered_tensor(strategy: tf.distribute.Strategy, value: Any) -> tf.Tensor:
    """Of values a token the second dimension is that of the replica with the longest rows."""
    shape = strategy.experimental_local_results(value)[0].shape
    if len(shape) > 1 and shape[1] is None:
        width = tf.reduce_max(
            strategy.gather(strategy.run(lambda it: tf.shape(it)[1:2], args=(value,)), axis=0)
        )
        missing = [[0, 0]] * (len(shape) - 2)
        value = strategy.run(
            lambda it: tf.pad(it, [[0, 0], [0, width - tf.shape(it)[1]], *missing]), args=(value,)
        )
    return strategy.gather(value, axis=0)


def _make_gradients(
    model: keras.Model,
    objective: Objective,
    loss_scale: LossScale | None,
    *,
    is_summed: bool,
) -> Callable[[MicroBatches, Any], tuple[list[tf.Tensor], Sums]]:
    """Gradients (dense, times the loss scale) and sums of a replica's rows, given all weights.

    Gradients to be summed are float32, others as they were computed.
    """
    variables = model.trainable_variables

    def gradients_of(tape: tf.GradientTape, target: tf.Tensor, *by: tf.Tensor) -> list[tf.Tensor]:
        gradients = tape.gradient(target, [it.value for it in variables], *by)
        dense = [
            tf.zeros(variable.shape) if gradient is None else tf.convert_to_tensor(gradient)
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        found = dense if is_summed else [before_widening(gradient) for gradient in dense]
        for gradient, variable in zip(found, variables, strict=True):
            gradient.set_shape(variable.shape)  # that of a slice of a table is not known
        return found

    if isinstance(objective, WholeBatchObjective):
        whole = objective

        def represent(batch: Any, seed: tf.Tensor) -> tf.Tensor:
            with dropout_seed(seed):
                return whole.representations(model(batch, training=True))

        def of_whole(parts: MicroBatches, weights: Any) -> tuple[list[tf.Tensor], Sums]:
            scale = 1.0 if loss_scale is None else loss_scale.scale.read_value()
            return whole_batch_gradients(
                represent, whole, parts, weights=weights, scale=scale, gradients_of=gradients_of
            )

        return of_whole

    def of_rows(batch: Any, seed: tf.Tensor, weights: Any) -> tuple[list[tf.Tensor], Sums]:
        with dropout_seed(seed), tf.GradientTape() as tape:
            sums = objective.sums(model(batch, training=True), batch)
            loss = total_loss(sums.loss, weights)
            if loss_scale is not None:
                loss *= loss_scale.scale
        return gradients_of(tape, loss), sums

    def of_parts(parts: MicroBatches, weights: Any) -> tuple[list[tf.Tensor], Sums]:
        found: tuple[list[tf.Tensor], Sums] = parts.sum(
            lambda index: of_rows(parts.rows(index), parts.seed(index), weights)
        )
        return found

    return of_parts


def _step_seed(seed: int, step: tf.Tensor) -> tf.Tensor:
    """int32 (2,), a function of seed, step and replica."""
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    folded = tf.random.experimental.stateless_fold_in(
        tf.constant([seed, 0], tf.int32), tf.cast(step, tf.int32)
    )
    return tf.random.experimental.stateless_fold_in(folded, replica)


def _reduce(structure: Any) -> Any:
    """Sum over replicas, in replica context; of one nothing is summed or copied."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return structure
    flat = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.nest.flatten(structure))
    return tf.nest.pack_sequence_as(structure, flat)


def _local(strategy: tf.distribute.Strategy, structure: Any) -> Any:
    """The first replica's values; after `_reduce` all replicas have the same."""
    return tf.nest.map_structure(
        lambda value: strategy.experimental_local_results(value)[0], structure
    )
