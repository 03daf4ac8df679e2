"""One promotion of a model at a time, wherever the processes run.

MLflow moves an alias without looking at what it was. But of two that make a registered model of one
name, one is told that it exists: so a model `.promoting.NAME` is the lock. It is removed when the
promotion is done; one that a killed process left is taken over after a minute.
"""

import contextlib
import os
import platform
import time
from collections.abc import Iterator
from typing import Any

PREFIX = ".promoting."
_ABANDONED_AFTER_SECONDS = 60.0
_HOLDER_TAG = "bert_tf.held_by"


@contextlib.contextmanager
def locked(client: Any, name: str) -> Iterator[None]:
    """Raises ValueError where another process promotes a version of `name`, and says which."""
    from mlflow.exceptions import MlflowException

    lock = PREFIX + name
    holder = f"process {os.getpid()} on {platform.node()}"
    try:
        client.create_registered_model(lock, tags={_HOLDER_TAG: holder})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        _take_over(client, lock, holder)
    try:
        yield
    finally:
        with contextlib.suppress(MlflowException):  # another took it over
            client.delete_registered_model(lock)


def _take_over(client: Any, lock: str, holder: str) -> None:
    """A lock that is old is removed and made again."""
    from mlflow.exceptions import MlflowException

    try:
        held = client.get_registered_model(lock)
        age_seconds = time.time() - held.creation_timestamp / 1000
        by, is_old = held.tags.get(_HOLDER_TAG), age_seconds > _ABANDONED_AFTER_SECONDS
    except MlflowException:  # it was given back meanwhile
        by, is_old = "another process", False
    if is_old:
        with contextlib.suppress(MlflowException):
            client.delete_registered_model(lock)
            client.create_registered_model(lock, tags={_HOLDER_TAG: holder})
            return
    raise ValueError(
        f"{lock.removeprefix(PREFIX)}: one promotion at a time. Received: another one, by {by}. "
        "Look at the aliases, then try again."
    )
