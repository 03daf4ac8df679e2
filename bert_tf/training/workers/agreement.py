"""Makes the workers of one run agree on settings, first step and stopping; names a lost worker.

Every worker runs the same program; only the chief writes. All decisions follow from reduced values
or from the step, so they are the same everywhere, but for four: the run's settings, the step at
which it begins, whether an evaluation there is still due, and whether to stop. At the end the
workers wait for the chief, which still writes.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.config.comparison import differences
from bert_tf.system.listing import AS_LINES, listed
from bert_tf.training.workers.tf_config import Worker

# What collectives end with where another worker is gone.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)
_SIGNS_OF_LOSS = ("Collective ops is aborted", "unhealthy", "heartbeat", "Connection reset")


class LostWorkerError(RuntimeError):
    """Another worker of the run has gone."""


def agreed_stop(
    is_stop_requested: Callable[[], bool], strategy: tf.distribute.Strategy, worker: Worker
) -> Callable[[], bool]:
    """`is_stop_requested`, but of all workers: true once any of them was asked, for all at once.

    Every worker has to ask after every step. With several workers a call returns the result of
    the call before, so that no worker waits for the step that is under way.
    """
    if worker.num_workers == 1:
        return is_stop_requested
    count = _make_sum(strategy, worker)
    asked: list[tf.Tensor] = []

    def is_any_stopping() -> bool:
        asked.append(count(tf.constant([is_stop_requested()], tf.float64)))
        return len(asked) > 1 and float(asked.pop(0)[0]) > 0

    return is_any_stopping


def check_same_settings(
    settings: Mapping[str, Any], strategy: tf.distribute.Strategy, worker: Worker
) -> None:
    """Raise ValueError on every worker unless all were started with the same settings, as JSON."""
    if worker.num_workers == 1:
        return
    with lost_workers_named(worker):
        texts = _gather_texts(json.dumps(settings), strategy, worker)
    of_chief, *of_others = (json.loads(text) for text in texts)
    different = [
        f"{key}: the chief has {expected!r}, {worker.name_of(number)} has {received!r}"
        for number, of_other in enumerate(of_others, start=1)
        for key, (expected, received) in differences(of_chief, of_other).items()
    ]
    if different:
        raise ValueError(
            "All workers must be started with the same command, configuration and package. "
            "Received:\n  " + listed(different, **AS_LINES) + "\nNothing was written."
        )


def check_same_step(step: int, strategy: tf.distribute.Strategy, worker: Worker) -> None:
    """Raise ValueError unless all workers begin at one step: they must see one folder."""
    if worker.num_workers == 1:
        return
    steps = _gather([step], strategy, worker)[:, 0].astype(int).tolist()
    if set(steps) != {step}:
        begins = [f"{worker.name_of(number)} at step {at}" for number, at in enumerate(steps)]
        raise ValueError(
            "All workers must see the same checkpoints. Received: they would begin differently, "
            f"{', '.join(begins)}. Give --output-dir on storage that all of them see."
        )


def holds_for_any(is_so: bool, strategy: tf.distribute.Strategy, worker: Worker) -> bool:
    """Whether `is_so` of any worker: the same answer for all."""
    return is_so if worker.num_workers == 1 else bool(_gather([is_so], strategy, worker).any())


def wait_for_all(strategy: tf.distribute.Strategy, worker: Worker) -> None:
    """Return once every worker has come here: what the chief wrote before is there.

    Raises:
        LostWorkerError: one will not come.
    """
    if worker.num_workers > 1:
        with lost_workers_named(worker):
            _gather([0], strategy, worker)


@contextlib.contextmanager
def lost_workers_named(worker: Worker) -> Iterator[None]:
    """While workers train: the errors of a collective that lost a worker become one that says so.

    Raises:
        LostWorkerError: instead of those.
    """
    try:
        yield
    except tf.errors.OpError as error:
        is_loss = isinstance(error, _LOST) or any(sign in error.message for sign in _SIGNS_OF_LOSS)
        if worker.num_workers == 1 or not is_loss:
            raise
        lines = [line for line in error.message.splitlines() if "Collective ops" in line]
        detail = (lines or error.message.splitlines())[0][:200]
        raise LostWorkerError(
            f"All {worker.num_workers} workers must stay until the run is over. Received: one was "
            f"lost ({detail}). Start the same command on all of them: the run goes on from its "
            "newest checkpoint."
        ) from error


def _gather_texts(text: str, strategy: tf.distribute.Strategy, worker: Worker) -> list[str]:
    """The texts of all workers, in their order."""
    own = np.frombuffer(text.encode(), np.uint8)
    lengths = _gather([len(own)], strategy, worker)[:, 0].astype(int)
    padded = np.zeros(lengths.max())
    padded[: len(own)] = own
    rows = _gather(padded, strategy, worker).astype(np.uint8)
    return [row[:length].tobytes().decode() for row, length in zip(rows, lengths, strict=True)]


def _gather(
    numbers: np.ndarray | list[int], strategy: tf.distribute.Strategy, worker: Worker
) -> np.ndarray:
    """(workers, numbers): those of all workers, which have as many each."""
    rows = np.zeros([worker.num_workers, len(numbers)])
    rows[worker.number] = numbers
    total = _make_sum(strategy, worker)(tf.constant(rows.ravel(), tf.float64))
    return np.asarray(total).reshape(rows.shape)


def _make_sum(strategy: tf.distribute.Strategy, worker: Worker) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function of numbers, float64, that gives the sums of all workers' numbers.

    Floating point, since collectives of GPUs have no whole numbers.
    """
    num_own_replicas = strategy.num_replicas_in_sync // worker.num_workers

    def reduce(numbers: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        # A tensor of this replica: one that is handed in has no device, which a collective needs.
        own = tf.identity(numbers)
        return context.all_reduce(tf.distribute.ReduceOp.SUM, own) / num_own_replicas

    @tf.function(autograph=False)
    def total(numbers: tf.Tensor) -> tf.Tensor:
        return strategy.experimental_local_results(strategy.run(reduce, args=(numbers,)))[0]

    return total
