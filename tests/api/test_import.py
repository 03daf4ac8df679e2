"""`import bert_tf`: what it costs, what it shows, what a wrong setting is told."""

import importlib.resources
import pydoc
import subprocess
import sys

import pytest

import bert_tf


def test_importing_the_package_and_making_settings_imports_no_tensorflow():
    program = (
        "import sys, bert_tf\n"
        "assert not {'tensorflow', 'keras', 'mlflow', 'pandas', 'numpy'} & set(sys.modules)\n"
        "bert_tf.Config(), bert_tf.load_config(), bert_tf.finetune, bert_tf.load, bert_tf.Task\n"
        "print(sorted({'tensorflow', 'keras', 'mlflow', 'pandas'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "[]\n"


def test_help_and_completion_show_everything_that_is_public():
    shown = pydoc.render_doc(bert_tf, renderer=pydoc.plaintext)
    for name in (
        "benchmark",
        "prepare",
        "pretrain",
        "finetune",
        "evaluate",
        "export",
        "load",
        "vocab",
    ):
        assert f"\n    {name}(" in shown, f"{name} is missing in help(bert_tf)"
        assert getattr(bert_tf, name).__doc__, f"{name} has no docstring"
    assert dir(bert_tf) == sorted(bert_tf.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'bert_tf' has no attribute 'fine_tune'"):
        bert_tf.fine_tune  # noqa: B018


def test_type_checkers_are_told_that_the_package_is_typed():
    assert (importlib.resources.files("bert_tf") / "py.typed").is_file()


def test_a_wrong_setting_of_a_configuration_is_told_the_nearest_one():
    with pytest.raises(ValueError, match=r"modle is not a setting. Did you mean model?"):
        bert_tf.Config(modle={"size": "mini"})
    with pytest.raises(ValueError, match=r"Did you mean model\.hidden_size\?"):
        bert_tf.Config(model={"hidden_siz": 32})
