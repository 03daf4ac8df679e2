"""Every test process has four logical CPU devices, made before TensorFlow starts."""

import collections
import gc
import logging
import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

SHARED_DATA = Path(__file__).parents[1].parent / "shared" / "data"

LOG_LEVELS = {name: logging.getLogger(name).level for name in ("", "bert_tf", "pipelines")}


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # till all is imported, of which nothing is garbage
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return  # This process runs no test: it hands them to others.
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(4)]
    )


@pytest.hookimpl(trylast=True)  # after those that are not asked for were left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of few tests first: their tests are the long ones, which no process is to wait for."""
    num_tests = collections.Counter(item.path for item in items)
    items.sort(key=lambda item: num_tests[item.path])


def pytest_collection_finish() -> None:
    """From here on the collector passes over what is imported and collected.

    Looking at these half a million objects again and again took a third of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    gc.enable()


@pytest.fixture(autouse=True)
def log_levels() -> None:
    """Every test begins with them: a command that another ran in this process has set its own."""
    for name, level in LOG_LEVELS.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def shared_data() -> Path:
    """Real texts, which are no part of the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real texts are not here: {SHARED_DATA}")
    return SHARED_DATA
