"""Finding a task: in the table, from an installed package, in a module of one's own."""

import sys

import pytest

from bert_tf.config import FinetuningConfig, ModelConfig, load_config
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.classification import Classification
from bert_tf.tasks.table import find_task, in_order, open_task, task_names, task_of
from tests.tasks.agreement import Agreement


def test_a_name_of_the_table_and_a_module_s_class_are_found():
    assert find_task("classification") is Classification
    assert find_task("tests.tasks.agreement:Agreement") is Agreement


def test_the_first_text_of_a_signature_is_the_task_s_first():
    shape = ModelConfig(vocab_size=9)
    of_choices = ModelDescription(kind="multiple_choice", architecture=shape, max_seq_length=16)
    assert in_order(["choices", "text"], of_choices) == ("text", "choices")
    assert in_order(["text"], of_choices) == ("text",)
    for description in (None, of_choices.model_copy(update={"kind": "regression"})):
        assert in_order(["text_pair", "text"], description) == ("text", "text_pair")
        assert in_order(["z", "a"], description) == ("a", "z")


def test_a_module_in_the_working_folder_is_found(tmp_path, monkeypatch):
    source = "from bert_tf.tasks.classification import Classification\n"
    (tmp_path / "own_task.py").write_text(source + "class Mine(Classification):\n    pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    found = find_task("own_task:Mine")
    assert issubclass(found, Classification)
    assert open_task(FinetuningConfig(task={"name": "own_task:Mine"})).name == "own_task:Mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("clasification", r"must be one of .*Received: 'clasification'. Did you mean classif"),
        ("no.such.module:Task", r"no module 'no.such.module'"),
        ("tests.tasks.agreement:Nobody", r"must name a class made from .*Received: None"),
        ("tests.tasks.agreement:Path", r"must name a class made from"),
    ],
)
def test_what_is_no_task_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        find_task(name)


def test_an_installed_package_can_add_a_task(monkeypatch):
    import importlib.metadata as metadata

    entry = metadata.EntryPoint("agreement", "tests.tasks.agreement:Agreement", "bert_tf.tasks")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [entry])
    assert "agreement" in task_names()
    assert find_task("agreement") is Agreement


def test_a_model_s_own_settings_hold_unless_others_are_given():
    name = "tests.tasks.agreement:Agreement"
    description = ModelDescription(
        kind=name,
        architecture=ModelConfig(size="tiny", vocab_size=10),
        max_seq_length=8,
        task_state={"settings": {"percent": True}},
    )
    assert task_of(description).settings.percent is True
    given = FinetuningConfig(task={"name": name, "percent": False})
    assert task_of(description, given).settings.percent is False
    assert task_of(description.model_copy(update={"kind": "pretraining"})) is None


def test_a_name_alone_and_a_section_are_the_same_and_settings_are_added():
    for overrides in (["finetuning.task=regression"], ["finetuning.task.name=regression"]):
        overrides = [*overrides, "finetuning.task.range=[0, 5]"]
        task = open_task(load_config(overrides=overrides).finetuning)
        assert (task.name, task.settings.range) == ("regression", (0.0, 5.0))


def test_the_option_of_the_command_keeps_settings_that_were_given_without_a_name():
    given = load_config(overrides=["finetuning.task.range=[0, 5]"]).finetuning.task
    assert given.renamed("regression").options == {"range": [0, 5]}
    named = load_config(overrides=["finetuning.task=multi_label", "finetuning.task.separator=;"])
    assert named.finetuning.task.renamed("regression").options == {}
