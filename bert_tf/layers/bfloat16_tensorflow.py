"""Which hardware has units for bfloat16 products."""

import functools
from pathlib import Path

import tensorflow as tf

# Intel AMX, or AVX-512 with its bfloat16 extension.
_CPU_FLAGS = {"amx_bf16", "avx512_bf16"}


@functools.cache
def has_bfloat16_units() -> bool:
    """Whether matrix products in bfloat16 run on units of their own (GPU: Ampere or newer)."""
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
