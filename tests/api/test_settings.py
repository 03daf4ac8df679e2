"""Keyword arguments of the stages, and what is said of wrong ones."""

from pathlib import Path

import pytest

import bert_tf
from bert_tf.api.settings import task_settings, with_settings
from bert_tf.tasks.multi_label import MultiLabel
from tests.tasks.agreement import Agreement, AgreementSettings


def test_arguments_win_over_the_configuration_and_leave_their_neighbours():
    config = bert_tf.Config(
        finetuning={"num_epochs": 5, "training": {"batch_size": 8, "optimizer": {"beta_1": 0.5}}}
    )
    given = {"training": {"optimizer": {"learning_rate": 0.5}}}
    section = with_settings(config, finetuning=given).finetuning
    assert (section.num_epochs, section.training.batch_size) == (5, 8)
    assert section.training.optimizer.beta_1 == 0.5
    assert section.training.optimizer.learning_rate == 0.5


def test_a_task_in_the_arguments_keeps_no_settings_of_another_one():
    config = bert_tf.Config(finetuning={"task": {"name": "regression", "range": [0, 5]}})
    task = with_settings(config, finetuning={"task": {"name": "multi_label"}}).finetuning.task
    assert (task.name, task.options) == ("multi_label", {})


def test_paths_are_taken_wherever_a_file_is_named():
    config = with_settings(None, pretraining={"records": Path("a")}, corpus={"paths": [Path("b")]})
    assert (config.pretraining.records, config.corpus.paths) == ("a", ("b",))


def test_a_wrong_argument_is_told_the_nearest_setting_or_where_it_belongs():
    with pytest.raises(ValueError, match=r"Did you mean finetuning\.num_epochs\?"):
        bert_tf.finetune(output_dir="unused", num_epoch=3)
    with pytest.raises(ValueError, match=r"a section of its own. .*bert_tf\.Config\(tracking="):
        bert_tf.finetune(output_dir="unused", tracking={"enabled": False})
    with pytest.raises(ValueError, match=r"Did you mean multi_label?"):
        bert_tf.finetune(output_dir="unused", task="multilabel")


def test_examples_that_nobody_names_are_asked_for():
    with pytest.raises(ValueError, match=r"finetuning\.train_path must be set. Received: nothing"):
        bert_tf.finetune(output_dir="unused")
    with pytest.raises(ValueError, match=r"Received: an empty list. Give one of them"):
        bert_tf.finetune(output_dir="unused", train=[], held_out=[])


def test_a_task_is_a_name_a_class_or_an_instance_of_a_module():
    name = "tests.tasks.agreement:Agreement"
    assert task_settings("regression") == {"name": "regression"}
    assert task_settings(MultiLabel) == {"name": "multi_label"}
    assert task_settings(Agreement) == {"name": name}
    task = Agreement(AgreementSettings(percent=True))
    assert task_settings(task) == {"name": name, "percent": True}


def test_a_task_of_a_notebook_s_cell_is_refused_with_what_to_do():
    class Inner(Agreement):
        pass

    in_a_cell = type("Mine", (Agreement,), {"__module__": "__main__"})
    for task, received in ((Inner, "Inner"), (in_a_cell, "__main__:Mine")):
        with pytest.raises(ValueError, match=f"can be imported.*{received}.*into a file beside"):
            bert_tf.finetune(output_dir="unused", task=task)
