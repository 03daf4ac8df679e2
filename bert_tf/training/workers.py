"""What the workers of one run have to agree on, and what is said when one of them is lost.

Every worker runs the same program; only the chief writes. All decisions follow from reduced values
or from the step, so they are the same everywhere, but for two: whether to stop, and where to begin.
"""

import contextlib
from collections.abc import Callable, Iterator

import tensorflow as tf

from bert_tf.training.tf_config import Worker

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

    Every worker has to ask after every step. With several, an answer is that to the question
    before, so that nobody waits for the step that is under way.
    """
    if worker.num_workers == 1:
        return is_stop_requested
    count = _make_sum(strategy, worker)
    asked: list[tf.Tensor] = []

    def is_any_stopping() -> bool:
        asked.append(count(tf.constant(is_stop_requested(), tf.int32)))
        return len(asked) > 1 and int(asked.pop(0)) > 0

    return is_any_stopping


def check_same_step(step: int, strategy: tf.distribute.Strategy, worker: Worker) -> None:
    """Raise ValueError unless all workers begin at one step: they must see one folder."""
    if worker.num_workers == 1:
        return
    total = int(_make_sum(strategy, worker)(tf.constant(step, tf.int32)))
    if total != step * worker.num_workers:
        raise ValueError(
            "All workers must see the same checkpoints. Received: this one would begin at step "
            f"{step}, the {worker.num_workers} workers on average at "
            f"{total / worker.num_workers:.1f}. Give --output-dir on storage that all of them see."
        )


@contextlib.contextmanager
def loss_named(worker: Worker) -> Iterator[None]:
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


def _make_sum(strategy: tf.distribute.Strategy, worker: Worker) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function of a number that gives the sum of all workers' numbers, int32."""
    num_own_replicas = strategy.num_replicas_in_sync // worker.num_workers

    def reduce(number: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        # A tensor of this replica: one that is handed in has no device, which a collective needs.
        own = tf.identity(number)
        return context.all_reduce(tf.distribute.ReduceOp.SUM, own) // num_own_replicas

    @tf.function(autograph=False)
    def total(number: tf.Tensor) -> tf.Tensor:
        return strategy.experimental_local_results(strategy.run(reduce, args=(number,)))[0]

    return total
