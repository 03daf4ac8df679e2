"""Chooses the devices that compute and the number type, and deals batches to replicas."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from bert_tf.layers.tensorflow.bfloat16 import has_bfloat16_units
from bert_tf.system.signals import sigterm_kept
from bert_tf.training.workers.tf_config import ALONE, Worker


def make_strategy(
    *, num_logical_devices: int | None = None, worker: Worker = ALONE
) -> tf.distribute.Strategy:
    """MirroredStrategy over all visible GPUs, or over the CPU, whole or in logical devices.

    Of several workers each has its own, and together they are a MultiWorkerMirroredStrategy; it
    waits for all of them.

    On GPUs, operations are made deterministic and float32 products exact (no TF32): a run can be
    repeated bit by bit, and float32 means float32. `bfloat16` is the fast type.

    Raises:
        RuntimeError: logical devices are asked for after TensorFlow has started with others.
        ValueError: logical devices are asked for with several workers.
    """
    num_gpus = len(tf.config.list_physical_devices("GPU"))
    if num_gpus:
        tf.config.experimental.enable_op_determinism()
        tf.config.experimental.enable_tensor_float_32_execution(False)
    if worker.num_workers > 1:
        return _make_multi_worker_strategy(worker, num_logical_devices=num_logical_devices)
    if num_gpus and num_logical_devices is None:
        return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(num_gpus)])
    if num_logical_devices is not None:
        _split_cpu(num_logical_devices)
    return tf.distribute.MirroredStrategy(
        [f"CPU:{i}" for i in range(num_logical_devices or 1)],
        # One process may hold strategies of several sizes; TensorFlow's collectives may not.
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )


def _make_multi_worker_strategy(
    worker: Worker, *, num_logical_devices: int | None
) -> tf.distribute.MultiWorkerMirroredStrategy:
    if num_logical_devices is not None:
        raise ValueError(
            "num_logical_devices is for one worker. Received: "
            f"num_logical_devices={num_logical_devices}, {worker.num_workers} workers. Leave it "
            "out, or start more workers."
        )
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({job: list(addresses) for job, addresses in worker.jobs}),
        task_type=worker.job,
        task_id=worker.task,
        rpc_layer="grpc",
        # Without it TensorFlow takes the CPU.
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
    )
    with sigterm_kept():
        return tf.distribute.MultiWorkerMirroredStrategy(resolver)


def make_single_device_strategy() -> tf.distribute.MirroredStrategy:
    """MirroredStrategy over the first GPU, or the CPU: any batch size will do."""
    device = "GPU:0" if tf.config.list_physical_devices("GPU") else "CPU:0"
    return tf.distribute.MirroredStrategy([device])


def check_batch_size(
    batch_size: int, accumulation_steps: int, strategy: tf.distribute.Strategy
) -> None:
    """Raise ValueError unless the global batch can be dealt to replicas and micro-batches."""
    parts = strategy.num_replicas_in_sync * accumulation_steps
    if batch_size % parts:
        raise ValueError(
            "batch_size must be a multiple of replicas x accumulation_steps. Received: "
            f"batch_size={batch_size}, {strategy.num_replicas_in_sync} replicas x "
            f"{accumulation_steps}. Use a multiple of {parts}."
        )


def dtype_policy(precision: str) -> str:
    """The Keras dtype policy for a `precision` of the configuration; `auto` asks the hardware."""
    if precision == "auto":
        precision = "bfloat16" if has_bfloat16_units() else "float32"
    return precision if precision == "float32" else f"mixed_{precision}"


def split_batches(
    make_batches: Callable[..., tf.data.Dataset],
    strategy: tf.distribute.Strategy,
    *,
    is_endless: bool = False,
) -> tf.distribute.DistributedDataset:
    """Global batches dealt to the replicas in order: replica r gets rows [r*b, (r+1)*b).

    `make_batches` is called without arguments and gives the global batches. Where there are several
    input pipelines, each calls it with its `num_workers` and `worker_index` and gets its rows only.
    Every tensor's first dimension is the batch, a multiple of the number of replicas.

    Args:
        is_endless: the batches never end. Else workers ask each other before each one who has any.
    """

    def worker_batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
        num_workers = context.num_input_pipelines
        worker = {"num_workers": num_workers, "worker_index": context.input_pipeline_id}
        dealt = _deal(
            make_batches(**worker) if num_workers > 1 else make_batches(),
            num_replicas=context.num_replicas_in_sync // num_workers,
        )
        endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        return dealt.apply(endless) if is_endless else dealt

    return strategy.distribute_datasets_from_function(worker_batches)


def _deal(batches: tf.data.Dataset, *, num_replicas: int) -> tf.data.Dataset:
    """Batches of a worker, those of its replicas one after the other."""

    def deal(batch: Any) -> Any:
        return tf.nest.map_structure(
            lambda x: tf.reshape(
                x, tf.concat([[num_replicas, tf.shape(x)[0] // num_replicas], tf.shape(x)[1:]], 0)
            ),
            batch,
        )

    if num_replicas > 1:
        spec = tf.nest.map_structure(
            lambda s: tf.TensorSpec([None, *s.shape[1:]], s.dtype), batches.element_spec
        )
        batches = batches.map(deal).unbatch()
        batches = batches.map(
            lambda batch: tf.nest.map_structure(
                lambda x, s: tf.ensure_shape(x, s.shape), batch, spec
            )
        )
    return batches.prefetch(2 * num_replicas)


def _split_cpu(count: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    if len(tf.config.get_logical_device_configuration(cpu) or [cpu]) >= count:
        return
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
        )
    except RuntimeError as error:
        raise RuntimeError(
            "Logical devices must be made before TensorFlow starts. Received: "
            f"{count} wanted, {len(tf.config.list_logical_devices('CPU'))} there. "
            "Start a new process."
        ) from error
