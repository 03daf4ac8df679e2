"""Texts in the forms that people have them in."""

import numpy as np
import pandas as pd
import pytest

from bert_tf.api.texts import as_frame

ONE = {"text": "comment"}
PAIR = {"text": "comment", "text_pair": "answer"}


@pytest.mark.parametrize(
    "texts",
    [
        ["a", "b"],
        ("a", "b"),
        (letter for letter in "ab"),
        [("a",), ("b",)],
        np.array(["a", "b"]),
        pd.Series(["a", "b"]),
        pd.Series(["a", "b"], dtype="string"),
        pd.DataFrame({"comment": ["a", "b"], "other": [1, 2]}),
    ],
)
def test_texts_are_taken_in_every_usual_form(texts):
    frame = as_frame(texts, fields=ONE)
    assert frame.to_dict("list") == {"text": ["a", "b"]}


@pytest.mark.parametrize(
    "texts",
    [
        [("a", "c"), ("b", "d")],
        [["a", "c"], ["b", "d"]],
        pd.DataFrame({"answer": ["c", "d"], "comment": ["a", "b"]}),
    ],
)
def test_pairs_are_taken_as_tuples_and_as_columns(texts):
    assert as_frame(texts, fields=PAIR).to_dict("list") == {
        "text": ["a", "b"],
        "text_pair": ["c", "d"],
    }


def test_the_index_of_series_and_frames_stays():
    series = pd.Series(["a", "b"], index=["x", "y"])
    assert list(as_frame(series, fields=ONE).index) == ["x", "y"]
    assert list(as_frame(series.to_frame("comment"), fields=ONE).index) == ["x", "y"]


def test_a_column_can_be_both_texts_of_a_pair():
    frame = as_frame(pd.DataFrame({"a": ["x"]}), fields={"text": "a", "text_pair": "a"})
    assert frame.to_dict("list") == {"text": ["x"], "text_pair": ["x"]}


@pytest.mark.parametrize("texts", [[], pd.Series([], dtype=object), pd.DataFrame({"comment": []})])
def test_no_texts_are_a_frame_without_rows(texts):
    frame = as_frame(texts, fields=ONE)
    assert (len(frame), list(frame.columns)) == (0, ["text"])


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("a", r"texts must be a list of texts. Received: 'a'. Put it in \[\]"),
        (["a", None], "row 1, text: a text must be a string. Received: None. Fill it in"),
        (["a", float("nan")], "row 1, text: a text must be a string. Received: nan"),
        ([3], "row 0, text: a text must be a string. Received: 3"),
        ([("a", "b")], r"row 0: the model takes text, so a row must be a string. Received: \('a'"),
        (
            pd.DataFrame({"comment": ["a", None]}, index=[7, 9]),
            "row 9, text: a text must be a string. Received: (None|nan)",
        ),
        (
            pd.DataFrame({"review": ["a"]}),
            "must have the column 'comment'. Received: review. Name the right one with text_field",
        ),
        (
            pd.DataFrame({"c\u043emment": ["a"]}),
            r"must have the column 'comment'.*U\+043E \(CYRILLIC SMALL LETTER O\) in the second",
        ),
        (
            pd.DataFrame([["a", "b"]], columns=["comment", "comment"]),
            "every column needs a name of its own.*'comment' more than once",
        ),
        (
            pd.DataFrame({"The plot is thin": ["Great fun for all", "Not bad"], "0": [1, 0]}),
            "what looks like a record, since .*'0' is a number that occurs again below",
        ),
    ],
)
def test_what_is_no_text_is_refused_with_its_row(texts, message):
    with pytest.raises(ValueError, match=message):
        as_frame(texts, fields=ONE)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a"], "row 0: the model takes text and text_pair, so a row must be a tuple of text, "),
        ([("a", "b"), ("c",)], r"row 1: the model takes text and text_pair.*Received: \('c',\)"),
        ([("a", None)], "row 0, text_pair: a text must be a string. Received: None"),
        (pd.DataFrame({"comment": ["a"]}), "column 'answer'.*Name the right one with text_pair_f"),
    ],
)
def test_what_is_no_pair_is_refused_with_its_row(texts, message):
    with pytest.raises(ValueError, match=message):
        as_frame(texts, fields=PAIR)
