"""Tells whether the hardware has units for bfloat16 products."""

import contextlib
import contextvars
import functools
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

# Intel AMX, or AVX-512 with its bfloat16 extension.
_CPU_FLAGS = {"amx_bf16", "avx512_bf16"}


_are_assumed = contextvars.ContextVar("bfloat16_units_assumed", default=False)


def has_bfloat16_units() -> bool:
    """Whether matrix products in bfloat16 run on units of their own (GPU: Ampere or newer)."""
    return _are_assumed.get() or _are_here()


@contextlib.contextmanager
def units_assumed() -> Iterator[None]:
    """What is traced in the block is for hardware that has them."""
    token = _are_assumed.set(True)
    try:
        yield
    finally:
        _are_assumed.reset(token)


@functools.cache
def _are_here() -> bool:
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return all(detail.get("compute_capability", (0, 0)) >= (8, 0) for detail in details)
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return False
    flags = next(
        (line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), ""
    )
    return bool(_CPU_FLAGS & set(flags.split()))
