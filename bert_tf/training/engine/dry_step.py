"""Before the first step, computes a dry one, which changes nothing: does it fit in memory and run?

The first batch comes three times: for its shapes, for the dry step, and for the first step of the
run. The step is traced and compiled once, for both. The run's numbers are those of a run without a
dry step.
"""

import contextlib
import functools
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from bert_tf.config import TrainingConfig
from bert_tf.models.sequence_to_sequence import DECODER_INPUT
from bert_tf.training.engine.checked_batches import checked
from bert_tf.training.engine.strategy import split_batches
from bert_tf.training.measuring.memory import StepShape, available_bytes, step_bytes

log = logging.getLogger(__name__)

NUM_TRIALS = 2
"""How often the first batch comes besides: for its shapes, and for the dry step."""

# Not all that run out of memory says so by its type: cuBLAS and XLA do not.
_OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "out of memory", "Out of memory", "ALLOC_FAILED")


class OutOfMemoryError(RuntimeError):
    """A step does not fit into memory. The checkpoints that were written are whole."""


def with_trials(make_batches: Callable[..., tf.data.Dataset]) -> Callable[..., tf.data.Dataset]:
    """`make_batches`, whose first batch comes `NUM_TRIALS` times more."""

    def repeat_first(index: tf.Tensor, batch: Any) -> tf.data.Dataset:
        count = tf.where(index == 0, tf.constant(1 + NUM_TRIALS, tf.int64), 1)
        return tf.data.Dataset.from_tensors(batch).repeat(count)

    return lambda **worker: make_batches(**worker).enumerate().flat_map(repeat_first)


def tried_batches(
    make_batches: Callable[..., tf.data.Dataset],
    train_step: Callable[..., Any],
    *,
    model: keras.Model,
    config: TrainingConfig,
    strategy: tf.distribute.Strategy,
    step: int,
    is_tried: bool = False,
) -> Iterator[Any]:
    """Batches of a run from `step` on, dealt to replicas, after a dry step on the first one.

    Batches with out-of-range numbers raise errors, see `data.batches.ranges`.

    Args:
        make_batches: see `split_batches`.
        is_tried: the dry step on these batches has been done before and is left out.
        train_step: of `make_train_step`.
        config: of the phase that begins.

    Raises:
        OutOfMemoryError: on a CPU by the estimate of `memory.step_bytes`, before anything is
            computed; on GPUs when it happens.
    """
    make_batches = checked(make_batches, model)
    if is_tried:
        return iter(split_batches(make_batches, strategy, is_endless=True))
    batches = iter(split_batches(with_trials(make_batches), strategy, is_endless=True))
    locals_ = strategy.experimental_local_results(next(batches))
    shape = _largest([_shape(batch, num_parts=config.accumulation_steps) for batch in locals_])
    need = functools.partial(_need, model, num_replicas=len(locals_), config=config)
    gpus = [name for name in strategy.extended.worker_devices if "GPU" in name]
    if not gpus and need(shape) > (left := available_bytes()):
        raise OutOfMemoryError(
            f"{_title(shape, config)} must fit into memory. Received: about "
            f"{_gib(need(shape))} needed besides weights and moments, {_gib(left)} left. "
            + _advice(config, shape, need, left=left)
        )
    started_at = time.perf_counter()
    # Reading a number waits for the step.
    with memory_faults_named(config):
        float(train_step(batches, tf.constant(step, tf.int64), is_dry=True)[2]["gradient_norm"])
    log.info(
        "%s runs; tracing, compiling and trying it took %.1f s. %s",
        _title(shape, config),
        time.perf_counter() - started_at,
        _peak_of(gpus) if gpus else f"It takes about {_gib(need(shape))}.",
    )
    return batches


@contextlib.contextmanager
def memory_faults_named(config: TrainingConfig) -> Iterator[None]:
    """Where memory does not suffice for a step, the error says what to do. Also a decorator."""
    try:
        yield
    except tf.errors.OpError as error:
        is_exhausted = isinstance(error, tf.errors.ResourceExhaustedError)
        if not is_exhausted and not any(sign in error.message for sign in _OUT_OF_MEMORY):
            raise
        raise OutOfMemoryError(
            "A step must fit into memory. Received: "
            f"{_first_line_with_words(error.message)} {_advice(config)} "
            "What is in the run's checkpoints is whole."
        ) from error


def _shape(batch: Mapping[str, tf.Tensor], *, num_parts: int) -> StepShape:
    *rows, length = batch["input_ids"].shape
    num_rows = math.prod(rows)  # of texts in windows all of them, as if each had the most
    predictions, target = batch.get("masked_lm_positions"), batch.get(DECODER_INPUT)
    return StepShape(
        num_rows // num_parts,
        length,
        0 if predictions is None else predictions.shape[1],
        0 if target is None else target.shape[1],
    )


def _largest(shapes: list[StepShape]) -> StepShape:
    return max(shapes, key=lambda shape: shape.num_tokens)


def _need(
    model: Any,
    shape: StepShape,
    *,
    num_replicas: int,
    config: TrainingConfig,
    rematerialize: bool | None = None,
) -> int:
    """Bytes of all replicas that share the machine's memory."""
    of_one = step_bytes(
        model.config,
        shape,
        num_weights=sum(weight.value.shape.num_elements() for weight in model.trainable_variables),
        bytes_a_number=tf.as_dtype(model.compute_dtype).size,
        rematerialize=config.rematerialize if rematerialize is None else rematerialize,
        is_accumulating=config.accumulation_steps > 1,
    )
    return num_replicas * of_one


def _title(shape: StepShape, config: TrainingConfig) -> str:
    parts = f", {config.accumulation_steps} times," if config.accumulation_steps > 1 else ""
    target = f" and {shape.num_rows} x {shape.target_length}" if shape.target_length else ""
    return f"A step on {shape.num_rows} x {shape.length}{target} tokens a replica{parts}"


def _advice(
    config: TrainingConfig,
    shape: StepShape | None = None,
    need: Callable[..., int] | None = None,
    *,
    left: int = 0,
) -> str:
    """What to change, the first that suffices by the estimate with its number."""
    fewer = f"raise training.accumulation_steps (now {config.accumulation_steps})"
    again = "set training.rematerialize=true"
    if shape is not None and need is not None:
        for factor in (n for n in range(2, shape.num_rows + 1) if shape.num_rows % n == 0):
            part = need(shape._replace(num_rows=shape.num_rows // factor))
            if part <= left:
                steps = config.accumulation_steps * factor
                fewer += f": {steps} would take about {_gib(part)}"
                break
        again += f": about {_gib(need(shape, rematerialize=True))}"
    smaller = f"lower training.batch_size (now {config.batch_size})"
    if shape is not None and shape.target_length:
        smaller = "lower finetuning.task.batch_tokens"
    parts = [fewer, smaller, "shorten the sequences"]
    if not config.rematerialize:
        parts.append(again)
    sentence = "; ".join([*parts, "or take a smaller model"])
    return sentence[0].upper() + sentence[1:] + "."


def _peak_of(gpus: list[str]) -> str:
    names = [device.rpartition("device:")[2] for device in gpus]
    peaks = [tf.config.experimental.get_memory_info(name)["peak"] for name in names]
    return f"GPU memory at its peak: {_gib(max(peaks))}."


def _first_line_with_words(message: str) -> str:
    """What TensorFlow says of the allocation, without its preamble."""
    lines = [line.strip() for line in message.splitlines()]
    telling = [line for line in lines if any(s in line for s in ("OOM", "llocat", *_OUT_OF_MEMORY))]
    return (telling or lines)[0][:300].rstrip(".") + "."


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"
