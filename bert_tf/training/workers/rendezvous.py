"""Waits until every worker of a cluster has been started, with a time limit.

TensorFlow waits as well, but for an hour, silently, and through any signal. So each worker first
listens at its own address until it has reached all others', and only then is TensorFlow started.
"""

import contextlib
import logging
import socket
import time
from collections.abc import Callable

from bert_tf.training.workers.tf_config import Worker

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 600.0
_PAUSE_SECONDS = 0.1
_TELL_AFTER_SECONDS = 5.0


class StoppedWaitingError(Exception):
    """The process was asked to stop before the others had come."""


def wait_for_workers(
    worker: Worker,
    *,
    is_stop_requested: Callable[[], bool] = lambda: False,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> None:
    """Return once every worker of the cluster has listened at its address.

    Start TensorFlow's server there next: others may not have reached this worker yet.

    Raises:
        StoppedWaitingError: a stop was requested.
        OSError: the worker's own port cannot be listened at.
        TimeoutError: a worker has not come.
    """
    if worker.num_workers == 1:
        return
    missing = {number for number in range(worker.num_workers) if number != worker.number}
    began_at, is_told = time.monotonic(), False
    with _listening(worker):
        while missing := {number for number in missing if not _answers(worker, number)}:
            if is_stop_requested():
                raise StoppedWaitingError("Stopped while waiting for the other workers.")
            seconds = time.monotonic() - began_at
            names = ", ".join(map(worker.name_of, sorted(missing)))
            if seconds > timeout_seconds:
                raise TimeoutError(
                    f"All {worker.num_workers} workers must be started within {timeout_seconds:.0f}"
                    f" seconds. Received: no answer from {names}. Start the same command there, "
                    "and let the workers reach each other's ports."
                )
            if seconds > _TELL_AFTER_SECONDS and not is_told:
                log.warning("Waiting for %s.", names)
                is_told = True
            time.sleep(_PAUSE_SECONDS)


def _listening(worker: Worker) -> contextlib.AbstractContextManager[socket.socket]:
    """A socket at the worker's own port; connections wait in its queue, nobody accepts them."""
    address = worker.addresses[worker.number]
    port = int(address.rpartition(":")[2])
    try:
        return contextlib.closing(socket.create_server(("", port), backlog=worker.num_workers))
    except OSError as error:
        raise OSError(
            f"The port of {address}, this worker's address in TF_CONFIG, must be free. Received: "
            f"{error.strerror}. End what uses it, or give the worker another port on all machines."
        ) from error


def _answers(worker: Worker, number: int) -> bool:
    host, _, port = worker.addresses[number].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1.0).close()
    except OSError:
        return False
    return True
