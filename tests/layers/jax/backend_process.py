"""Runs a program on Keras' JAX backend, in a process of its own, and compares what it computed."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np


def run_on_jax(*arguments: str, folder: Path) -> dict[str, np.ndarray]:
    """What Python, given `arguments` and the folder, leaves in the folder's `results.npz`."""
    subprocess.run(
        [sys.executable, *arguments, str(folder)],
        check=True,
        cwd=Path(__file__).parents[3],
        # Compiled in haste: what is compared is the numbers.
        env={
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "KERAS_BACKEND": "jax",
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
        },
    )
    return dict(np.load(folder / "results.npz"))


def under(results: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """The results whose names begin with `name/`, by the rest of their names."""
    prefix = f"{name}/"
    return {key.removeprefix(prefix): x for key, x in results.items() if key.startswith(prefix)}


def assert_same(ours: dict[str, Any], expected: dict[str, Any], *, tolerance: float) -> None:
    """`tolerance` is of the greatest element where that is above 1."""
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        limit = tolerance * max(1.0, float(np.abs(value).max()))
        np.testing.assert_allclose(ours[name], value, rtol=0, atol=limit, err_msg=name)
