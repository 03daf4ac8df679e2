"""Locks a registered model, so that one process at a time promotes a version of it.

MLflow moves an alias without looking at what it was. But of two that make a registered model of one
name, one is told that it exists: so a model `.promoting.NAME.1` is the lock, removed when the
promotion is done. One that a killed process left is worth nothing after a minute: the next
promotion takes number 2, which only one can make, and removes it.
"""

import contextlib
import os
import platform
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

PREFIX = ".promoting."
_ABANDONED_AFTER_SECONDS = 60.0
_HOLDER_TAG = "bert_tf.held_by"


class _Lock(NamedTuple):
    number: int
    is_abandoned: bool
    holder: str


@contextlib.contextmanager
def locked(client: Any, name: str) -> Iterator[None]:
    """Raises ValueError where another process promotes a version of `name`, and says which."""
    from mlflow.exceptions import MlflowException

    before = _locks(client, name)
    _refuse([lock for lock in before if not lock.is_abandoned], name)
    own = max([lock.number for lock in before], default=0) + 1
    holder = f"process {os.getpid()} on {platform.node()}"
    try:
        client.create_registered_model(lock_name(name, own), tags={_HOLDER_TAG: holder})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        _refuse(_locks(client, name) or [_Lock(own, False, "another process")], name)
    try:
        # A process that took a lower number between the look and the making was first.
        lower = [lock for lock in _locks(client, name) if lock.number < own]
        _refuse([lock for lock in lower if not lock.is_abandoned], name)
        for lock in lower:
            _remove(client, name, lock.number)
        yield
    finally:
        _remove(client, name, own)


def lock_name(name: str, number: int) -> str:
    """Of the registered model that is the lock."""
    return f"{PREFIX}{name}.{number}"


def _locks(client: Any, name: str) -> list[_Lock]:
    locks = []
    begin = f"{PREFIX}{name}."
    # A promotion takes seconds and there is one a model: all locks are on one page.
    for model in client.search_registered_models(filter_string=f"name LIKE '{PREFIX}%'"):
        number = model.name.removeprefix(begin)
        if model.name.startswith(begin) and number.isdecimal():
            age_seconds = time.time() - model.creation_timestamp / 1000
            is_abandoned = age_seconds > _ABANDONED_AFTER_SECONDS
            locks.append(_Lock(int(number), is_abandoned, model.tags.get(_HOLDER_TAG, "unknown")))
    return locks


def _refuse(locks: list[_Lock], name: str) -> None:
    if locks:
        raise ValueError(
            f"{name}: one promotion at a time. Received: another one, by {locks[0].holder}. "
            "Look at the aliases, then try again."
        )


def _remove(client: Any, name: str, number: int) -> None:
    from mlflow.exceptions import MlflowException

    with contextlib.suppress(MlflowException):  # another removed it
        client.delete_registered_model(lock_name(name, number))
