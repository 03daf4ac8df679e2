"""Every shipped configuration loads, and opens with what a reader needs to know."""

from pathlib import Path

import pytest

from bert_tf.config import load_config

CONFIGS = sorted((Path(__file__).parents[2] / "pipelines" / "configs").glob("*.yaml"))


def test_there_are_configurations():
    assert CONFIGS


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_loads_and_names_hardware_duration_and_expected_result(path):
    load_config(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    first_key = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    opening = " ".join(lines[:first_key])
    for word in ("Hardware:", "Duration:", "Expected"):
        assert word in opening
    assert "bert-tf" in opening or "make" in opening
