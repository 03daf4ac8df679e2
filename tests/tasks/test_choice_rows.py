"""Choices and labels of a table's rows: in whatever form they are, and what is wrong with them."""

import json
import logging

import pytest

from bert_tf.config import FinetuningConfig, TableConfig
from bert_tf.data.tables.reading import read_table
from bert_tf.data.tables.table import Table
from bert_tf.tasks.choice_lines import join_choices, split_choices
from bert_tf.tasks.examples import TextFields
from bert_tf.tasks.multiple_choice import MultipleChoice
from bert_tf.tasks.table import find_task

SWAG = "\n".join(
    [
        ",video-id,fold-ind,startphrase,sent1,sent2,gold-source,"
        "ending0,ending1,ending2,ending3,label",
        "0,a,3416,x,Members of the procession walk down the street.,They,gold,"
        'passes by.,are waiting.,"turn, then stop.",hear music.,2',
        "1,b,3417,x,A drum line passes.,It,gold,play.,stops.,is red.,sings.,0",
        "",
    ]
)


def make_task(**settings) -> MultipleChoice:
    return find_task("multiple_choice").with_options(settings, name="multiple_choice")


def read(columns, *, label_field="label", **settings):
    rows = len(next(iter(columns.values())))
    table = Table.from_columns({"text": ["a text"] * rows, **columns})
    return make_task(**settings).read(table, FinetuningConfig(label_field=label_field))


def choices_and_targets(examples):
    return [lines.split("\n") for lines in examples.inputs["choices"]], examples.targets


def test_swag_is_read_as_it_is_published(tmp_path):
    (tmp_path / "train.csv").write_text(SWAG)
    table = read_table(str(tmp_path / "train.csv"), config=TableConfig(), key="k")
    task = make_task(
        choice_fields=["ending0", "ending1", "ending2", "ending3"], choice_prefix_field="sent2"
    )
    examples = task.read(table, FinetuningConfig(text_field="sent1"))
    assert examples.inputs["text"][1] == "A drum line passes."
    choices, targets = choices_and_targets(examples)
    assert choices[0] == [
        "They passes by.",
        "They are waiting.",
        "They turn, then stop.",
        "They hear music.",
    ]
    assert targets == [2, 0]


@pytest.mark.parametrize(
    "cells",
    [
        [["red", "green"], ["a", "b c", "d"]],
        [json.dumps(["red", "green"]), json.dumps(["a", "b c", "d"])],
        ["red\ngreen\n", "a\r\nb c\r\nd"],
        [["red ", "green"], ["a", "b\n c", "d"]],
    ],
)
def test_choices_are_a_list_json_or_a_line_each(cells):
    choices, targets = choices_and_targets(read({"choices": cells, "label": [1, 2]}))
    assert [[" ".join(it.split()) for it in row] for row in choices] == [
        ["red", "green"],
        ["a", "b c", "d"],
    ]
    assert targets == [1, 2]


def test_columns_that_end_empty_are_fewer_choices():
    columns = {"a": ["x", "x"], "b": ["y", "y"], "c": ["z", None], "d": ["", float("nan")]}
    settings = {"choice_fields": ["a", "b", "c", "d"]}
    choices, _ = choices_and_targets(read({**columns, "label": [2, 0]}, **settings))
    assert choices == [["x", "y", "z"], ["x", "y"]]
    with pytest.raises(ValueError, match=r"every choice must be text\. Received: '', number 1"):
        read({**columns, "b": ["", "y"], "label": [0, 0]}, **settings)


@pytest.mark.parametrize(
    ("labels", "targets", "told"),
    [
        ([1, 2], [1, 2], "numbers from 0"),
        (["1", " 2 "], [1, 2], "numbers from 0"),
        ([1.0, 2.0], [1, 2], "numbers from 0"),
        (["B", "C"], [1, 2], "letters from A"),
        (["b", "c"], [1, 2], "letters from A"),
        (["green", "d"], [1, 2], "texts of choices"),
    ],
)
def test_what_labels_are_is_seen_in_them_and_told(labels, targets, told, caplog):
    caplog.set_level(logging.INFO)
    cells = [["red", "green"], ["x", "y", "d"]]
    _, found = choices_and_targets(read({"choices": cells, "label": labels}))
    assert found == targets
    assert f"Labels in 'label' are {told}." in caplog.text


def test_labels_that_may_be_two_things_have_to_be_said():
    columns = {"choices": [["2", "1", "0"], ["0", "1", "2"]], "label": ["2", "0"]}
    with pytest.raises(ValueError, match=r"numbers from 0 or texts of choices\. Set finetuning"):
        read(columns)
    assert read(columns, label_is="number").targets == [2, 0]
    assert read(columns, label_is="text").targets == [0, 0]
    assert read({**columns, "label": [3, 1]}, label_is="number_from_1").targets == [2, 0]


def test_labels_that_count_from_1_are_suspected(caplog):
    columns = {"choices": [["a", "b", "c", "d"]] * 30, "label": [1, 2, 3] * 10}
    read(columns)
    assert "No label in 'label' is 0" in caplog.text
    assert "label_is=number_from_1" in caplog.text


@pytest.mark.parametrize(
    ("cell", "label", "message"),
    [
        (["one"], 0, "an example must have from 2 to 4 choices. Received: 1"),
        ([], 0, "must have from 2 to 4 choices. Received: 0"),
        (list("abcde"), 0, "must have from 2 to 4 choices. Received: 5.*max_choices"),
        (["a", "b", " "], 0, "every choice must be text. Received: ' ', number 2"),
        (["a", None], 0, "every choice must be text. Received: None, number 1"),
        (["a", "b", "a "], 0, "choices must differ. Received: 'a' as numbers 0 and 2"),
        (["e\u0301", "\u00e9"], 0, "choices must differ"),
        (7, 0, "choices in 'choices' must be a list, JSON, or text with a choice a line"),
        (["a", "b"], 2, "a label in 'label' must be a number from 0 to 1. Received: 2"),
        (["a", "b"], -1, "must be a number from 0 to 1. Received: -1"),
        (["a", "b"], None, "must be a number from 0 to 1. Received: None"),
    ],
)
def test_a_row_at_fault_is_named_or_left_out(cell, label, message, caplog):
    columns = {"choices": [["x", "y"], cell, ["z", "w"]], "label": [0, label, 1]}
    columns["id"] = [7, 8, 9]
    with pytest.raises(ValueError, match=rf"\(id 8\): .*{message}"):
        read(columns, max_choices=4)
    left = read(columns, max_choices=4, faults="skip")
    assert choices_and_targets(left) == ([["x", "y"], ["z", "w"]], [0, 1])
    assert left.table.columns["id"] == [7, 9]
    assert "Rows at fault, left out: 1." in caplog.text


def test_files_are_named_with_their_line(tmp_path):
    rows = [{"text": "t", "choices": ["a", "b"], "label": 0}, {**{"text": "t", "label": 0}}]
    rows[1]["choices"] = ["a", "a"]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = read_table(str(path), config=TableConfig(), key="k")
    with pytest.raises(ValueError, match=r"a\.jsonl:2: choices must differ"):
        make_task().read(table, FinetuningConfig())


def test_what_is_asked_about_a_table_needs_no_labels():
    table = Table.from_columns({"q": ["one"], "o": [["a", "b\nc"]], "lines": ["d\ne"]})
    task = make_task(choices_field="o")
    fields = TextFields("q", None, ("--text-field", "--text-pair-field"))
    assert task.read_inputs(table, None, fields=fields) == {"text": ["one"], "choices": ["a\nb c"]}
    named = fields.__class__("q", "lines", fields.keys)
    assert task.read_inputs(table, None, fields=named)["choices"] == ["d\ne"]
    with pytest.raises(ValueError, match="--text-pair-field"):
        task.read_inputs(table, None, fields=TextFields("q", "none", fields.keys))


def test_joined_choices_come_apart_as_they_were():
    rows = [["a", "b"], ["c d", "e\u2028f", "g\x0bh", "\u00e9"], ["1"] + ["x"] * 99]
    found = split_choices([join_choices(row) for row in rows], max_choices=100)
    assert [[it.decode() for it in row] for row in found.choices.to_list()] == rows
    assert set(found.status.numpy()) == {b"OK"}
    assert join_choices(["a\r\nb ", "\nc"]) == "a b\nc"


def test_parts_of_a_line_are_a_text_and_its_choices():
    task = make_task()
    assert task.texts_of_parts(("a", "b", "c")) == ("a", "b\nc")
    assert task.texts_of_parts((b"a", b"b", b"c")) == (b"a", b"b\nc")
    assert task.texts_of_parts(("a",)) == ("a",)
