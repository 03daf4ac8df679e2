"""Joins or starts a Ray cluster, for preparation and training; imports Ray only then."""

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

from bert_tf.system.signals import sigterm_kept

LOCAL = "local"


def import_ray() -> Any:
    """The package, with its calls home turned off.

    Raises:
        ImportError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ImportError(
            "The engine `ray` needs the package ray. Received: it is not installed. "
            "Install bert_tf with the extra `cluster`, or use the engine `local`."
        ) from error
    return ray


@contextlib.contextmanager
def connected(
    ray: Any, *, address: str, num_cpus: int, log_to_driver: bool = False
) -> Iterator[None]:
    """Use the cluster of this process if it has one; else join or start one, and leave it.

    Args:
        address: of a cluster (`ray://HOST:10001`, `HOST:6379`, `auto`), or `local` to start one
            of `num_cpus` on this machine's loopback.
        log_to_driver: show what workers write to their standard error.
    """
    if ray.is_initialized():
        yield
        return
    quiet = {
        "log_to_driver": log_to_driver,
        "logging_level": logging.ERROR,
        "configure_logging": False,
    }
    with sigterm_kept():
        if address == LOCAL:
            ray.init(
                address=LOCAL,
                num_cpus=num_cpus,
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                **quiet,
            )
        else:
            ray.init(address=address, **quiet)
    try:
        yield
    finally:
        ray.shutdown()
