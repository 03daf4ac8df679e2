"""What a resumed run must share with the one that began."""

import json
import logging

import pytest

from bert_tf.config import OptimizerConfig
from bert_tf.training.engine.settings import bind_settings, defaults_of


@pytest.fixture
def output_dir(tmp_path):
    """A folder with something that passes for a checkpoint."""
    (tmp_path / "checkpoints").mkdir()
    for suffix in ("index", "data-00000-of-00001"):
        (tmp_path / "checkpoints" / f"step-7.{suffix}").touch()
    return tmp_path


def test_other_settings_are_refused_with_the_difference(output_dir):
    bind_settings(output_dir, {"optimizer": {"learning_rate": 0.3}, "sizes": (1, 2)})
    bind_settings(output_dir, {"optimizer": {"learning_rate": 0.3}, "sizes": (1, 2)})
    with pytest.raises(ValueError, match=r"optimizer.learning_rate: was 0.3, is 0.2"):
        bind_settings(output_dir, {"optimizer": {"learning_rate": 0.2}, "sizes": (1, 2)})


def test_before_the_first_checkpoint_all_may_change(tmp_path):
    bind_settings(tmp_path, {"optimizer": {"learning_rate": 0.1}})
    (tmp_path / "checkpoints" / "step-1.data-00000-of-00001").touch()  # killed while it was moved
    bind_settings(tmp_path, {"optimizer": {"learning_rate": 0.3}})


@pytest.mark.parametrize("name", ["num_train_steps", "num_steps"])
def test_steps_may_become_more_and_the_log_says_what_that_means(output_dir, caplog, name):
    bind_settings(output_dir, {name: 10})
    with caplog.at_level(logging.INFO):
        bind_settings(output_dir, {name: 20})
    assert f"{name} is 20, and was 10: from here on the learning rate follows" in caplog.text
    with pytest.raises(ValueError, match=rf"{name}: was 20, is 10"):
        bind_settings(output_dir, {name: 10})


def test_a_run_from_before_a_setting_existed_goes_on_if_the_setting_changes_nothing(output_dir):
    settings = {"optimizer": OptimizerConfig().model_dump(mode="json"), "group_by_length": False}
    older = {"optimizer": dict(settings["optimizer"])}
    for name in ("name", "schedule", "layer_decay"):
        del older["optimizer"][name]
    path = output_dir / "checkpoints" / "settings.json"
    path.write_text(json.dumps(older))
    implied = {"optimizer": defaults_of(OptimizerConfig), "group_by_length": False}
    with pytest.raises(ValueError, match=r"group_by_length: was False, is True"):
        bind_settings(output_dir, settings | {"group_by_length": True}, implied=implied)
    lamb = OptimizerConfig(name="lamb").model_dump(mode="json")
    with pytest.raises(ValueError, match=r"optimizer.name: was 'adamw', is 'lamb'"):
        bind_settings(output_dir, settings | {"optimizer": lamb}, implied=implied)
    bind_settings(output_dir, settings, implied=implied)
    assert json.loads(path.read_text()) == settings, "from now on all of them count"
