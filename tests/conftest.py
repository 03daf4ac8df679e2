"""Every test process has four logical CPU devices, made before TensorFlow starts."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

SHARED_DATA = Path(__file__).parents[1].parent / "shared" / "data"


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return  # This process runs no test: it hands them to others.
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(4)]
    )


@pytest.fixture
def shared_data() -> Path:
    """Real texts, which are no part of the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real texts are not here: {SHARED_DATA}")
    return SHARED_DATA
