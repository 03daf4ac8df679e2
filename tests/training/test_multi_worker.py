"""`bert-tf pretrain` and `finetune` on several workers, as real processes on loopback."""

import json
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from bert_tf.config import validate_config, write_config
from bert_tf.data.preparation.prepare import prepare_records
from bert_tf.data.text.vocabulary import CLS, MASK, PAD, SEP, UNK
from bert_tf.training.checkpoints import checkpoint_steps
from bert_tf.training.pretraining import pretrain
from tests.training.letters import WORDS, write_documents
from tests.training.worker_processes import finish, start_workers

NUM_STEPS = 6


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records, and labelled texts of two classes."""
    folder = tmp_path_factory.mktemp("workers")
    draw = random.Random(0)
    write_documents(folder / "text.txt", draw)
    (folder / "vocab.txt").write_text("\n".join([PAD, UNK, CLS, SEP, MASK, *WORDS]) + "\n")
    rows = ["text\tlabel", *(f"{' '.join(draw.choices(WORDS, k=5))}\t{i % 2}" for i in range(36))]
    (folder / "labelled.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    prepare_records(validate_config(make_tree(folder)), folder / "records")
    return folder


def make_tree(work: Path, *, num_steps: int = NUM_STEPS, **training: Any) -> dict[str, Any]:
    common = {"batch_size": 8, "precision": "float32", "log_every_steps": 1}
    common |= {"checkpoint_every_steps": 2, "optimizer": {"learning_rate": 0.01}} | training
    return {
        "corpus": {"paths": [str(work / "text.txt")], "held_out_share": 0.2},
        "tokenizer": {"vocabulary": str(work / "vocab.txt")},
        "examples": {"max_seq_length": 16},
        "records": {"num_shards": 1, "num_workers": 1},
        "masking": {"max_predictions_per_seq": 3},
        "model": {
            "num_hidden_layers": 1,
            "hidden_size": 8,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "max_position_embeddings": 16,
            # Each replica draws its own masks: without dropout all splits compute the same.
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
        "pretraining": {
            "records": str(work / "records"),
            "num_train_steps": num_steps,
            "training": {"evaluate_every_steps": 3, **common},
        },
        "finetuning": {
            "from_scratch": True,
            "train_path": str(work / "labelled.tsv"),
            "eval_path": str(work / "labelled.tsv"),
            "num_epochs": 1,
            "max_seq_length": 16,
            "group_by_length": True,
            "classifier_dropout_prob": 0.0,
            "training": common,
        },
        "tracking": {"enabled": False},
    }


def start(work: Path, output_dir: Path, tree: dict[str, Any], command: str = "pretrain") -> Any:
    config = write_config(validate_config(tree), work)
    return start_workers([command, "--config", str(config), "--output-dir", str(output_dir)])


def read_weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


def test_two_workers_end_with_the_weights_and_metrics_of_one(work: Path, tmp_path: Path) -> None:
    tree = make_tree(work, num_steps=3)
    chief, other = finish(start(work, tmp_path / "two", tree))
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


@pytest.mark.slow
def test_finetuning_on_two_workers_is_that_on_one(work: Path, tmp_path: Path) -> None:
    from bert_tf.training.finetuning import finetune

    tree = make_tree(work)
    chief, other = finish(start(work, tmp_path / "two", tree, "finetune"))
    assert (chief[0], other[0]) == (0, 0), chief[2] + other[2]
    expected = finetune(validate_config(tree), tmp_path / "one")
    metrics = json.loads((tmp_path / "two" / "metrics.json").read_text())
    assert metrics == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [0, 1])
def test_a_stop_of_one_worker_stops_all_at_one_step_and_the_run_goes_on(
    work: Path, tmp_path: Path, stopped: int
) -> None:
    tree = make_tree(work, num_steps=100_000, evaluate_every_steps=None)
    processes = start(work, tmp_path / "two", tree)
    wait_for_step(tmp_path / "two", processes)
    processes[stopped].send_signal(signal.SIGTERM)
    ended = finish(processes)
    assert [code for code, _, _ in ended] == [143, 143]
    assert "Run the same command to go on." in ended[0][2]
    (*_, newest) = checkpoint_steps(tmp_path / "two" / "checkpoints")
    assert f"Stopped after step {newest} of 100000" in ended[1 - stopped][2]


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_lost_worker_ends_the_job_and_the_restart_ends_as_if_never_lost(
    work: Path, tmp_path: Path, killed: int
) -> None:
    tree = make_tree(work, num_steps=400, evaluate_every_steps=None)
    processes = start(work, tmp_path / "two", tree)
    wait_for_step(tmp_path / "two", processes)
    processes[killed].kill()
    killed_at = time.monotonic()
    code, _, errors = finish(processes)[1 - killed]
    assert code == 1, errors
    assert time.monotonic() - killed_at < 60
    assert "All 2 workers must stay until the run is over. Received: one was lost" in errors
    assert "goes on from its newest checkpoint" in errors
    again = finish(start(work, tmp_path / "two", tree))
    assert [code for code, _, _ in again] == [0, 0], again
    assert "Going on at step" in again[0][2]
    assert [code for code, _, _ in finish(start(work, tmp_path / "whole", tree))] == [0, 0]
    for name, value in read_weights(tmp_path / "whole").items():
        np.testing.assert_array_equal(read_weights(tmp_path / "two")[name], value, err_msg=name)


def wait_for_step(output_dir: Path, processes: list[Any], *, seconds: float = 200) -> None:
    """Until the first checkpoint is there."""
    end = time.monotonic() + seconds
    while not checkpoint_steps(output_dir / "checkpoints"):
        assert time.monotonic() < end, finish(processes, seconds=1)
        assert all(process.poll() is None for process in processes), finish(processes)
        time.sleep(0.1)
