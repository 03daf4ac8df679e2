"""`bert-tf pretrain` and `finetune` on several workers, as real processes on loopback."""

import json
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from bert_tf.config import validate_config, write_config
from bert_tf.training.engine.checkpoints import checkpoint_steps
from bert_tf.training.stages.pretraining import pretrain
from tests.training.cluster_runs import make_tree, wait_for_step
from tests.training.letters import WORDS
from tests.training.worker_processes import finish, start_workers


def start(
    cluster_data: Path,
    output_dir: Path,
    tree: dict[str, Any],
    command: str = "pretrain",
    *,
    more: tuple[Sequence[str], Sequence[str]] = ((), ()),
) -> list[subprocess.Popen[str]]:
    """Two workers; `more`: arguments of each."""
    config = write_config(validate_config(tree), cluster_data)
    return start_workers(
        [command, "--config", str(config), "--output-dir", str(output_dir)], more=more
    )


def read_weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


def test_two_workers_end_with_the_weights_and_metrics_of_one(
    cluster_data: Path, tmp_path: Path
) -> None:
    tree = make_tree(cluster_data, num_steps=3)
    chief, other = finish(start(cluster_data, tmp_path / "two", tree))
    assert (chief[0], other[0]) == (0, 0), chief[2] + other[2]
    expected = pretrain(validate_config(tree), tmp_path / "one")
    metrics = json.loads((tmp_path / "two" / "metrics.json").read_text())
    for name, value in expected.items():
        assert metrics[name] == pytest.approx(value, rel=1e-4), name
    assert json.loads(chief[1])["loss"] == pytest.approx(expected["loss"], abs=1e-5)
    for name, value in read_weights(tmp_path / "one").items():
        np.testing.assert_allclose(
            read_weights(tmp_path / "two")[name], value, atol=1e-4, err_msg=name
        )
    assert "pretrain: 3 of 3" in chief[2]
    assert other[1] == "", "only the chief tells"
    assert "pretrain:" not in other[2]
    names = {path.name for path in (tmp_path / "two").iterdir()}
    assert names == {path.name for path in (tmp_path / "one").iterdir()}
    assert len(list((tmp_path / "two" / "tensorboard").iterdir())) == 1


def test_workers_that_were_started_otherwise_are_refused(
    cluster_data: Path, tmp_path: Path
) -> None:
    otherwise = ["--set", "pretraining.training.log_every_steps=2", "--set", "seed=7"]
    tree = make_tree(cluster_data)
    processes = start(cluster_data, tmp_path / "two", tree, more=((), otherwise))
    for code, _, errors in finish(processes):
        assert code == 1
        assert "must be started with the same command, configuration and package" in errors
        assert "pretraining.training.log_every_steps: the chief has 1, worker 1 (127" in errors
        assert "seed: the chief has 42, worker 1" in errors
    assert not (tmp_path / "two" / "checkpoints").exists()


@pytest.mark.flows
def test_finetuning_on_two_workers_is_that_on_one(cluster_data: Path, tmp_path: Path) -> None:
    from bert_tf.training.stages.finetuning import finetune

    tree = make_tree(cluster_data)
    chief, other = finish(start(cluster_data, tmp_path / "two", tree, "finetune"))
    assert (chief[0], other[0]) == (0, 0), chief[2] + other[2]
    expected = finetune(validate_config(tree), tmp_path / "one")
    metrics = json.loads((tmp_path / "two" / "metrics.json").read_text())
    assert metrics == pytest.approx(expected, rel=1e-4)


@pytest.mark.flows
def test_negatives_of_two_workers_are_those_of_one(cluster_data: Path, tmp_path: Path) -> None:
    """Each worker's pairs are candidates of the other's."""
    from bert_tf.training.stages.finetuning import finetune

    draw = random.Random(0)
    rows = [[" ".join(draw.choices(WORDS, k=5)) for _ in range(2)] for _ in range(32)]
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("\n".join(["text\tother", *map("\t".join, rows)]) + "\n", encoding="utf-8")
    tree = make_tree(cluster_data)
    tree["finetuning"] |= {
        "task": {"name": "embedding", "is_symmetric": True},
        "train_path": str(pairs),
        "eval_path": str(pairs),
        "text_pair_field": "other",
    }
    chief, other = finish(start(cluster_data, tmp_path / "two", tree, "finetune"))
    assert (chief[0], other[0]) == (0, 0), chief[2] + other[2]
    expected = finetune(validate_config(tree), tmp_path / "one")
    metrics = json.loads((tmp_path / "two" / "metrics.json").read_text())
    assert metrics == pytest.approx(expected, rel=1e-4)
    assert expected["embedding_loss"] > 0.1


@pytest.mark.parametrize(
    "stopped",
    [pytest.param(0, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.flows)],
)
def test_a_stop_of_one_worker_stops_all_at_one_step_and_the_run_goes_on(
    cluster_data: Path, tmp_path: Path, stopped: int
) -> None:
    tree = make_tree(cluster_data, num_steps=100_000, evaluate_every_steps=None)
    processes = start(cluster_data, tmp_path / "two", tree)
    wait_for_step(tmp_path / "two", processes)
    processes[stopped].send_signal(signal.SIGTERM)
    ended = finish(processes)
    assert [code for code, _, _ in ended] == [143, 143]
    assert "Run the same command to go on." in ended[0][2]
    (*_, newest) = checkpoint_steps(tmp_path / "two" / "checkpoints")
    assert f"Stopped after step {newest} of 100000" in ended[1 - stopped][2]


@pytest.mark.parametrize(
    "killed",
    [pytest.param(0, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.flows)],
)
def test_a_lost_worker_ends_the_job_and_the_restart_ends_as_if_never_lost(
    cluster_data: Path, tmp_path: Path, killed: int
) -> None:
    tree = make_tree(cluster_data, num_steps=400, evaluate_every_steps=None)
    processes = start(cluster_data, tmp_path / "two", tree)
    wait_for_step(tmp_path / "two", processes)
    processes[killed].kill()
    killed_at = time.monotonic()
    code, _, errors = finish(processes)[1 - killed]
    assert code == 1, errors
    assert time.monotonic() - killed_at < 60
    assert "All 2 workers must stay until the run is over. Received: one was lost" in errors
    assert "goes on from its newest checkpoint" in errors
    again = finish(start(cluster_data, tmp_path / "two", tree))
    assert [code for code, _, _ in again] == [0, 0], again
    assert "Going on at step" in again[0][2]
    assert [code for code, _, _ in finish(start(cluster_data, tmp_path / "whole", tree))] == [0, 0]
    for name, value in read_weights(tmp_path / "whole").items():
        np.testing.assert_array_equal(read_weights(tmp_path / "two")[name], value, err_msg=name)
