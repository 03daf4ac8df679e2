"""Texts, ids and scores are not taken for classes; few examples of a class are."""

import logging

import pytest

from bert_tf.config import FinetuningConfig
from bert_tf.data.tables.label_kinds import check_classes, check_labels
from bert_tf.data.tables.table import Table
from bert_tf.data.tables.values import labels_of
from bert_tf.tasks.table import open_task
from tests.labelled import make_examples

KEY = "finetuning.label_field"


def section(task: object = "classification", **settings: object) -> FinetuningConfig:
    return FinetuningConfig.model_validate({"task": task, **settings})


def table(labels: list) -> Table:
    return Table.from_columns({"text": [f"text {n}" for n in range(len(labels))], "label": labels})


def read(labels: list, task: object = "classification") -> list:
    opened = open_task(section(task))
    return list(opened.read(table(labels), section(task)).targets)


def learn(targets: list, task: object = "classification") -> object:
    return open_task(section(task)).learn(make_examples(["x"] * len(targets), targets))


SCORES = [f"{number / 8}" for number in range(41)]
TEXTS = [f"this is review number {number}" for number in range(12)]
IDS = [f"id{number}" for number in range(30)]


def test_scores_are_asked_about():
    with pytest.raises(ValueError, match=r"41 numbers with fractions.*task=regression\?"):
        read(SCORES * 100)
    with pytest.raises(ValueError, match=r"did you mean finetuning\.task=regression\?"):
        read([float(score) for score in SCORES])
    assert len(read(SCORES, {"name": "classification", "check_labels": False})) == 41


def test_equal_numbers_of_scores_ask_too():
    with pytest.raises(ValueError, match="same number") as told:
        read(["0", "0.00", "3.5", "0.000"])
    assert "numbers with fractions" in str(told.value)
    with pytest.raises(ValueError, match="same number") as told:
        read(["0", "0.0", "1"])
    assert "regression" not in str(told.value)


def test_few_scores_are_told_and_taken(caplog: pytest.LogCaptureFixture):
    assert read(["0.5", "1.0", "1.5"] * 10)
    assert "did you mean finetuning.task=regression?" in caplog.text


@pytest.mark.parametrize("task", ["classification", "multi_label"])
@pytest.mark.parametrize("labels", [TEXTS, TEXTS * 4, IDS, list(map(str, range(30)))])
def test_texts_and_ids_are_no_classes(labels: list[str], task: str):
    targets = [(label,) for label in labels] if task == "multi_label" else labels
    with pytest.raises(ValueError, match=r"fewer than a tenth .*check_labels=false"):
        learn(targets, task)
    assert learn(targets, {"name": task, "check_labels": False})


@pytest.mark.parametrize(
    "labels",
    [
        ["a", "b", "c"] * 2,
        ["a", "b", "c", "d"],
        ["yes, I agree with all of that", "no, I do not agree with it"] * 3,
        [f"intent_{number}" for number in range(77)] * 5,
        ["1", "2", "3", "4", "5"] * 10,
    ],
)
def test_classes_with_few_examples_are_learnt(labels: list[str]):
    assert learn(labels)


def test_more_classes_than_a_tenth_are_told(caplog: pytest.LogCaptureFixture):
    check_labels(["a", "b", "c", "d"] * 10, key=KEY)
    assert not caplog.text
    check_labels(["a", "b", "c", "d", "e"] * 9, key=KEY)
    assert "5 classes of 45 labels, such as 'a', 'b', 'c'" in caplog.text
    assert "refuses" not in caplog.text
    check_classes(["a", "b", "c", "d", "e"] * 9, key=KEY)
    check_labels(IDS[:24], key=KEY)
    assert "24 classes of 24 labels" in caplog.text
    assert "A training refuses them." in caplog.text


@pytest.mark.parametrize(
    "task",
    [
        "classification",
        "regression",
        "multi_label",
        {"name": "multi_label", "label_fields": ["label", "text"]},
    ],
)
def test_the_column_of_texts_is_none_of_labels(task: object):
    given = section(task, label_field="text")
    with pytest.raises(ValueError, match=r"another column than the texts'\. Received: 'text'"):
        open_task(given).read(table(["1", "0"]), given)


def test_labels_that_are_all_unknown_ask_for_the_column():
    opened = open_task(section())
    description = type("Description", (), {"class_names": ("neg", "pos")})
    with pytest.raises(ValueError, match=r"Is finetuning\.label_field the right column\?"):
        opened.check(make_examples(["x", "y"], ["good film", "bad"]), description)
    with pytest.raises(ValueError, match=r"U\+043E") as told:
        opened.check(make_examples(["x", "y"], ["p\u043es", "neg"]), description)
    assert "right column" not in str(told.value)


def test_labels_of_two_scripts_that_print_alike_are_told(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)
    assert labels_of(table(["A", "\u0410", "b"]), "label", key=KEY) == ["A", "\u0410", "b"]
    assert "Labels that print alike stay two" in caplog.text
    assert "U+0410 (CYRILLIC CAPITAL LETTER A)" in caplog.text
