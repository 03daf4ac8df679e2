"""Which checkpoints there are, which stay, and that only whole and finite ones appear."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import OptimizerConfig
from bert_tf.training.engine.checkpoints import Checkpoints, checkpoint_steps
from bert_tf.training.engine.loss_scale import LossScale
from bert_tf.training.optimizers import make_optimizer


def make_checkpoints(directory, *, keep=2, value=1.0, **options):
    """Checkpoints of a model whose weights are all `value`."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="dense")], name="model")
    model.set_weights([np.full((3, 4), value), np.full(4, value)])
    optimizer = make_optimizer(model, config=OptimizerConfig(), num_steps=10)
    return model, Checkpoints(directory, model=model, optimizer=optimizer, keep=keep, **options)


def test_the_newest_and_those_of_every_kth_step_stay(tmp_path):
    _, checkpoints = make_checkpoints(tmp_path, keep_every_steps=4)
    for step in range(1, 11):
        checkpoints.save(step)
    assert checkpoint_steps(tmp_path) == [4, 8, 9, 10]
    _, checkpoints = make_checkpoints(tmp_path, keep=1)
    assert checkpoints.restore_newest() == 10
    checkpoints.save(11)
    assert checkpoint_steps(tmp_path) == [11], "another process, another policy"


@pytest.mark.parametrize(
    ("name", "best_step"),
    [("loss", 2), ("masked_lm_perplexity", 2), ("classification_accuracy", 3)],
)
def test_the_best_by_a_metric_stays(tmp_path, name, best_step):
    values = {1: 0.5, 2: 0.4, 3: 0.6, 4: float("nan"), 5: 0.5, 6: 0.6, 7: 0.4}
    for step, value in values.items():
        # Each by a process of its own.
        _, checkpoints = make_checkpoints(tmp_path, keep=1, keep_best=name)
        checkpoints.save(step)
        checkpoints.note_metrics({name: value}, step=step)
    assert checkpoint_steps(tmp_path) == [best_step, 7]
    best = json.loads((tmp_path / "best.json").read_text())
    assert best == {"metric": name, "step": best_step, "value": values[best_step]}
    _, checkpoints = make_checkpoints(tmp_path, keep=1, keep_best="other")
    checkpoints.note_metrics({"other": 0.0}, step=7)
    assert json.loads((tmp_path / "best.json").read_text())["step"] == 7, "another metric"


def test_a_metric_that_the_evaluation_does_not_have_is_refused(tmp_path):
    _, checkpoints = make_checkpoints(tmp_path, keep_best="accuracy")
    with pytest.raises(ValueError, match=r"Received: 'accuracy'. Use one of loss, other_loss."):
        checkpoints.note_metrics({"loss": 1.0, "other_loss": 1.0}, step=1)


def test_a_checkpoint_is_found_by_its_files_alone(tmp_path):
    for step in (1, 2):
        make_checkpoints(tmp_path, value=step)[1].save(step)
    assert not list(tmp_path.glob("*.tmp")), "nothing is left aside"
    # What a kill may leave: files aside, data without an index, an index without data.
    (tmp_path / ".step-3.tmp").mkdir()
    (tmp_path / "step-3.data-00000-of-00001").touch()
    (tmp_path / "step-4.index").touch()
    model, checkpoints = make_checkpoints(tmp_path, value=0)
    assert checkpoints.restore_newest() == 2
    assert (model.get_weights()[0] == 2).all()
    checkpoints.save(5)
    checkpoints.save(6)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert {name.split(".")[0] for name in names} == {"step-5", "step-6"}, "and it is cleared away"


def test_damaged_checkpoints_do_not_push_whole_ones_out(tmp_path):
    for step in (1, 2, 3, 4):
        make_checkpoints(tmp_path, keep=4)[1].save(step)
    for step in (3, 4):
        (tmp_path / f"step-{step}.index").write_bytes(b"damaged")
    _, checkpoints = make_checkpoints(tmp_path, keep=2)
    assert checkpoints.restore_newest() == 2
    checkpoints.save(3)
    assert checkpoint_steps(tmp_path) == [2, 3, 4]
    assert make_checkpoints(tmp_path)[1].restore_newest() == 3


def test_a_state_that_is_not_finite_is_never_saved(tmp_path):
    model, checkpoints = make_checkpoints(tmp_path)
    checkpoints.save(1)
    model.set_weights([np.full((3, 4), np.inf), np.zeros(4)])
    with pytest.raises(FloatingPointError, match=r"other numbers in dense.kernel, weight, after s"):
        checkpoints.save(2)
    assert checkpoint_steps(tmp_path) == [1]


def test_the_loss_scale_is_part_of_the_state(tmp_path):
    scale = LossScale()
    scale.scale.assign(64.0)
    scale.num_good_steps.assign(5)
    make_checkpoints(tmp_path, loss_scale=scale)[1].save(1)
    restored = LossScale()
    make_checkpoints(tmp_path, loss_scale=restored)[1].restore_newest()
    assert (float(restored.scale), int(restored.num_good_steps)) == (64.0, 5)


def weights_of(model):
    return model.get_weights()[0][0, 0]


def test_what_is_written_in_the_background_is_the_state_when_it_was_saved(tmp_path):
    scale = LossScale()
    scale.scale.assign(64.0)
    model, checkpoints = make_checkpoints(tmp_path, value=1.0, loss_scale=scale, keep=3)
    with checkpoints:
        for step in (1, 2, 3):
            model.set_weights([np.full((3, 4), step), np.full(4, step)])
            checkpoints.save_in_background(step)
            model.set_weights([np.full((3, 4), -1.0), np.full(4, -1.0)])  # training goes on
            scale.scale.assign(scale.scale / 2)
    assert checkpoint_steps(tmp_path) == [1, 2, 3]
    assert not list(tmp_path.glob(".*")), "nothing is left aside"
    for step in (3, 2, 1):
        restored = LossScale()
        model, checkpoints = make_checkpoints(tmp_path, value=0, loss_scale=restored, keep=3)
        assert checkpoints.restore_newest() == step
        assert weights_of(model) == step
        assert float(restored.scale) == 128.0 / 2**step
        (tmp_path / f"step-{step}.index").write_bytes(b"damaged")


def test_one_checkpoint_at_a_time_is_written_and_the_best_is_noted_of_a_whole_one(tmp_path):
    _, checkpoints = make_checkpoints(tmp_path, keep=1, keep_best="loss", saves_in_background=True)
    with checkpoints:
        for step, loss in ((1, 3.0), (2, 1.0), (3, 2.0)):
            checkpoints.save_in_background(step)
            checkpoints.note_metrics({"loss": loss}, step=step)
            assert step in checkpoint_steps(tmp_path), "waited for"
        assert checkpoints.save(4).name == "step-4"
        assert checkpoint_steps(tmp_path) == [2, 4]


def test_a_write_that_failed_is_raised_at_the_next_opportunity(tmp_path, caplog):
    (tmp_path / ".step-0.tmp").touch()  # what is left over is a folder: this cannot be cleared away
    for act in (
        lambda checkpoints: checkpoints.save_in_background(2),
        lambda checkpoints: checkpoints.save(2),
        lambda checkpoints: checkpoints.note_metrics({"loss": 1.0}, step=1),
        lambda checkpoints: checkpoints.__exit__(None, None, None),
    ):
        _, checkpoints = make_checkpoints(tmp_path, keep_best="loss")
        checkpoints.save_in_background(1)
        with pytest.raises(NotADirectoryError):
            act(checkpoints)
    _, checkpoints = make_checkpoints(tmp_path)

    def run() -> None:
        with checkpoints:
            checkpoints.save_in_background(1)
            raise FloatingPointError("the run's own")

    with pytest.raises(FloatingPointError, match="the run's own"):
        run()
    assert "The last checkpoint was not written: " in caplog.text
    assert checkpoint_steps(tmp_path) == []


def test_a_state_that_is_not_finite_is_not_saved_in_the_background_either(tmp_path):
    model, checkpoints = make_checkpoints(tmp_path)
    model.set_weights([np.full((3, 4), np.nan), np.zeros(4)])
    with pytest.raises(FloatingPointError, match="must be finite"):
        checkpoints.save_in_background(2)
    checkpoints.wait()
    assert checkpoint_steps(tmp_path) == []


KILLED = """
import os, pathlib, signal, sys, threading, time
import numpy as np
from tests.training.test_checkpoints import make_large

def kill_while_writing():
    while not list((directory / ".step-2.tmp").glob("*")):
        time.sleep(0.0005)
    os.kill(os.getpid(), signal.SIGKILL)

directory = pathlib.Path(sys.argv[1])
model, checkpoints = make_large(directory)
checkpoints.save(1)
model.set_weights([np.full((2000, 2000), 2.0)])
threading.Thread(target=kill_while_writing, daemon=True).start()
checkpoints.save_in_background(2)
checkpoints.wait()
time.sleep(10)
"""


def make_large(directory):
    """Checkpoints of 48 MB, whose weights are 1."""
    layer = keras.layers.Dense(2000, name="dense", kernel_initializer="ones", use_bias=False)
    model = keras.Sequential([keras.Input((2000,)), layer], name="model")
    optimizer = make_optimizer(model, config=OptimizerConfig(), num_steps=10)
    return model, Checkpoints(directory, model=model, optimizer=optimizer, keep=2)


def test_a_process_killed_while_it_writes_loses_that_checkpoint_only(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    root = Path(__file__).parents[2]
    killed = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=240)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert checkpoint_steps(tmp_path) == [1]
    assert (tmp_path / ".step-2.tmp").is_dir()
    model, checkpoints = make_large(tmp_path)
    model.set_weights([np.zeros((2000, 2000))])
    assert checkpoints.restore_newest() == 1
    assert weights_of(model) == 1.0
    checkpoints.save(2)
    assert checkpoint_steps(tmp_path) == [1, 2]
    assert not (tmp_path / ".step-2.tmp").exists(), "cleared away"


def test_checkpoints_that_tensorflows_manager_wrote_are_read(tmp_path):
    _, checkpoints = make_checkpoints(tmp_path)
    checkpoints.step.assign(3)
    manager = tf.train.CheckpointManager(
        checkpoints._checkpoint, str(tmp_path), max_to_keep=2, checkpoint_name="step"
    )
    manager.save(checkpoint_number=3)
    assert make_checkpoints(tmp_path)[1].restore_newest() == 3
