"""Gradients of a loss that compares the examples of a whole global batch with each other.

Each replica computes what the model says of its own rows, and gets what the others say of theirs;
from all of it it computes the loss and its derivative by its own, and goes on backward from there.
So a step is the same on any number of replicas and workers. Micro-batches are computed twice: first
without what the backward pass needs, for the loss, then with it and the same dropout (Gao et al.
2021, "GradCache").
"""

from collections.abc import Callable, Mapping

import tensorflow as tf

from bert_tf.models.contrastive import WholeBatchObjective
from bert_tf.models.objective import Sums
from bert_tf.training.engine.micro_batches import MicroBatches
from bert_tf.training.engine.objective import total_loss

Batch = Mapping[str, tf.Tensor]


def whole_batch_sums(
    objective: WholeBatchObjective, representations: tf.Tensor, batch: Batch
) -> Sums:
    """The sums of the global batch on the first replica, zeros on the others; no gradients."""
    return _counted_once(
        objective.of_whole_batch(*_of_all_replicas(objective, representations, batch))
    )


def whole_batch_gradients(
    represent: Callable[[Batch, tf.Tensor], tf.Tensor],
    objective: WholeBatchObjective,
    parts: MicroBatches,
    *,
    weights: Mapping[str, tf.Tensor],
    scale: tf.Tensor | float,
    gradients_of: Callable[[tf.GradientTape, tf.Tensor, tf.Tensor], list[tf.Tensor]],
) -> tuple[list[tf.Tensor], Sums]:
    """Of a replica the gradients, whose sum over all is that of the loss, and `whole_batch_sums`.

    Args:
        represent: rows and a dropout seed -> what is compared, (rows, ...).
        parts: of the replica's rows.
        weights: of the whole global batch.
        scale: what the loss is multiplied with.
        gradients_of: tape, representations and the loss' derivative by these -> gradients.
    """

    def derivative_of(representations: tf.Tensor) -> tuple[Sums, tf.Tensor]:
        gathered, targets = _of_all_replicas(objective, representations, parts.whole)
        with tf.GradientTape() as tape:
            tape.watch(gathered)
            sums = objective.of_whole_batch(gathered, targets)
            loss = total_loss(sums.loss, weights) * scale
        own = _own_rows(tape.gradient(loss, gathered), tf.shape(representations)[0])
        return _counted_once(sums), own

    if parts.num_parts == 1:
        with tf.GradientTape() as tape:
            representations = represent(parts.whole, parts.seed(tf.constant(0)))
        sums, derivative = derivative_of(representations)
        return gradients_of(tape, representations, derivative), sums
    stacked = parts.stack(lambda index: represent(parts.rows(index), parts.seed(index)))
    sums, derivative = derivative_of(
        tf.reshape(stacked, tf.concat([[-1], tf.shape(stacked)[2:]], 0))
    )
    derivatives = tf.reshape(derivative, tf.shape(stacked))

    def backward(index: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            representations = represent(parts.rows(index), parts.seed(index))
        return gradients_of(tape, representations, derivatives[index])

    return parts.sum(backward), sums


def _own_rows(values: tf.Tensor, num_rows: tf.Tensor) -> tf.Tensor:
    """A replica's, of values of all replicas' rows."""
    first = tf.distribute.get_replica_context().replica_id_in_sync_group * num_rows
    return values[first : first + num_rows]


def _of_all_replicas(
    objective: WholeBatchObjective, representations: tf.Tensor, batch: Batch
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Representations and targets of all rows, in the order of the global batch."""
    structure = tf.stop_gradient(representations), objective.targets(batch)
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return structure
    own = tf.nest.flatten(structure)
    # One at a time: workers reduce together what is of one type.
    summed = [context.all_reduce(tf.distribute.ReduceOp.SUM, _at_own_place(it)) for it in own]
    flat = [tf.cast(values, it.dtype) for values, it in zip(summed, own, strict=True)]
    gathered: tuple[tf.Tensor, dict[str, tf.Tensor]] = tf.nest.pack_sequence_as(structure, flat)
    return gathered


def _at_own_place(value: tf.Tensor) -> tf.Tensor:
    """A replica's rows among zeros, whose sum over replicas has the rows of all.

    `ReplicaContext.all_gather` would do, but fails on several workers in a graph ("destinations can
    not be empty"). Whole numbers travel as float64, which has them exactly: they lie in the host's
    memory, and are not reduced beside others.
    """
    value = tf.cast(value, tf.float64) if value.dtype.is_integer else value
    context = tf.distribute.get_replica_context()
    index, num_rows = context.replica_id_in_sync_group, tf.shape(value)[0]
    around = [index * num_rows, (context.num_replicas_in_sync - 1 - index) * num_rows]
    placed = tf.pad(value, tf.stack([tf.stack(around), *[[0, 0]] * (value.shape.rank - 1)]))
    return tf.ensure_shape(placed, [None, *value.shape[1:]])


def _counted_once(sums: Sums) -> Sums:
    """What every replica has, so that the sum over them is it."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return sums
    is_first = tf.cast(tf.equal(context.replica_id_in_sync_group, 0), tf.float32)
    counted: Sums = tf.nest.map_structure(lambda value: value * is_first, sums)
    return counted
