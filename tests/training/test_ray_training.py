"""`bert-tf pretrain --engine ray` on a Ray of two workers, started on loopback."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bert_tf.config import validate_config, write_config
from bert_tf.training.engine.checkpoints import checkpoint_steps
from bert_tf.training.stages.pretraining import pretrain
from tests.training.cluster_runs import make_tree, wait_for_step
from tests.training.worker_processes import finish

pytest.importorskip("ray")
pytestmark = [pytest.mark.flows, pytest.mark.timeout(600)]


def start(config: Path, output_dir: Path, *, cwd: Path | None = None) -> subprocess.Popen[str]:
    arguments = ["pretrain", "--config", str(config), "--output-dir", str(output_dir)]
    return subprocess.Popen(
        [sys.executable, "-m", "bert_tf.cli", *arguments, "--engine=ray", "--num-workers=2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
    )


def test_two_workers_of_ray_end_with_the_metrics_of_one(cluster_data: Path, tmp_path: Path) -> None:
    tree = make_tree(cluster_data, num_steps=3)
    ((code, out, errors),) = finish(
        [start(write_config(validate_config(tree), cluster_data), tmp_path / "two")], seconds=400
    )
    assert code == 0, errors
    expected = pretrain(validate_config(tree), tmp_path / "one")
    assert json.loads((tmp_path / "two" / "metrics.json").read_text()) == pytest.approx(
        expected, rel=1e-4
    )
    assert json.loads(out)["loss"] == pytest.approx(expected["loss"], abs=1e-5)
    assert "pretrain: 3 of 3" in errors


def test_a_stop_is_passed_on_and_an_error_is_the_workers_own(
    cluster_data: Path, tmp_path: Path
) -> None:
    tree = make_tree(cluster_data, num_steps=100_000, evaluate_every_steps=None)
    config = write_config(validate_config(tree), cluster_data)
    process = start(config, tmp_path / "two")
    wait_for_step(tmp_path / "two", [process])
    process.send_signal(signal.SIGTERM)
    ((code, _, errors),) = finish([process])
    assert code == 143, errors
    (*_, newest) = checkpoint_steps(tmp_path / "two" / "checkpoints")
    assert f"Stopped after step {newest} of 100000" in errors
    assert not (tmp_path / "two" / "ray" / "stop").exists()
    tree["seed"] = 7
    config = write_config(validate_config(tree), cluster_data)
    ((code, _, errors),) = finish([start(config, tmp_path / "two")])
    assert code == 1
    assert "Error: " in errors
    assert "seed: was 42, is 7" in errors


def test_ctrl_c_stops_the_run_of_a_relative_path(cluster_data: Path, tmp_path: Path) -> None:
    tree = make_tree(cluster_data, num_steps=100_000, evaluate_every_steps=None)
    config = write_config(validate_config(tree), cluster_data)
    process = start(config, Path("two"), cwd=tmp_path)
    wait_for_step(tmp_path / "two", [process])
    process.send_signal(signal.SIGINT)
    ((code, _, errors),) = finish([process])
    assert code == 130, errors
    assert "Run the same command to go on." in errors


def test_a_killed_worker_ends_the_run_and_the_same_command_goes_on(
    cluster_data: Path, tmp_path: Path
) -> None:
    tree = make_tree(cluster_data, num_steps=400, evaluate_every_steps=None)
    config = write_config(validate_config(tree), cluster_data)
    process = start(config, tmp_path / "two")
    wait_for_step(tmp_path / "two", [process])
    workers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "RayTrainWorker" in " ".join(child.cmdline())
    ]
    assert len(workers) == 2
    workers[1].kill()
    ((code, _, errors),) = finish([process])
    assert code == 1, errors
    assert "goes on from its newest checkpoint" in errors
    ((code, _, errors),) = finish([start(config, tmp_path / "two")], seconds=400)
    assert code == 0, errors
    assert "pretrain: 400 of 400" in errors


def test_more_workers_than_the_cluster_has_room_for_are_refused(
    cluster_data: Path, tmp_path: Path
) -> None:
    import ray

    from bert_tf.system.ray_cluster import connected
    from bert_tf.training.workers.ray_train import train_on_ray

    config = validate_config(make_tree(cluster_data))
    with (
        connected(ray, address="local", num_cpus=1),
        pytest.raises(ValueError, match="2 workers, a"),
    ):
        train_on_ray("pretrain", config, tmp_path / "two", num_workers=2)
