"""`bert-tf pretrain --engine ray` on a Ray of two workers, started on loopback."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bert_tf.config import validate_config, write_config
from bert_tf.training.checkpoints import checkpoint_steps
from bert_tf.training.pretraining import pretrain
from tests.training.test_multi_worker import make_tree, wait_for_step, work  # noqa: F401
from tests.training.worker_processes import finish

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def start(config: Path, output_dir: Path, *, command: str = "pretrain") -> subprocess.Popen[str]:
    arguments = [command, "--config", str(config), "--output-dir", str(output_dir)]
    return subprocess.Popen(
        [sys.executable, "-m", "bert_tf.cli", *arguments, "--engine=ray", "--num-workers=2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_workers_of_ray_end_with_the_metrics_of_one(work: Path, tmp_path: Path) -> None:  # noqa: F811
    tree = make_tree(work, num_steps=3)
    ((code, out, errors),) = finish(
        [start(write_config(validate_config(tree), work), tmp_path / "two")], seconds=400
    )
    assert code == 0, errors
    expected = pretrain(validate_config(tree), tmp_path / "one")
    assert json.loads((tmp_path / "two" / "metrics.json").read_text()) == pytest.approx(
        expected, rel=1e-4
    )
    assert json.loads(out)["loss"] == pytest.approx(expected["loss"], abs=1e-5)
    assert "pretrain: 3 of 3" in errors


def test_a_stop_is_passed_on_and_an_error_is_the_workers_own(work: Path, tmp_path: Path) -> None:  # noqa: F811
    tree = make_tree(work, num_steps=100_000, evaluate_every_steps=None)
    config = write_config(validate_config(tree), work)
    process = start(config, tmp_path / "two")
    wait_for_step(tmp_path / "two", [process])
    process.send_signal(signal.SIGTERM)
    ((code, _, errors),) = finish([process])
    assert code == 143, errors
    (*_, newest) = checkpoint_steps(tmp_path / "two" / "checkpoints")
    assert f"Stopped after step {newest} of 100000" in errors
    assert not (tmp_path / "two" / "ray" / "stop").exists()
    tree["seed"] = 7
    config = write_config(validate_config(tree), work)
    ((code, _, errors),) = finish([start(config, tmp_path / "two")])
    assert code == 1
    assert "Error: " in errors
    assert "seed: was 42, is 7" in errors
