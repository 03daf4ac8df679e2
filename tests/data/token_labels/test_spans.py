"""What must hold of labelled spans."""

import pytest

from bert_tf.data.tables.faults import ExampleError
from bert_tf.data.token_labels.spans import Span, check_spans


def test_spans_are_given_in_the_order_of_the_text() -> None:
    spans = [Span(4, 6, "B"), Span(0, 2, "A"), Span(2, 3, "A")]
    assert check_spans(spans, text="서울에 간다") == (spans[1], spans[2], spans[0])
    assert check_spans([], text="") == ()


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([(0, 0)], r"inside of its text, with start < end <= 6\. Received: start 0, end 0 \(X\)"),
        ([(3, 2)], "Received: start 3, end 2"),
        ([(-1, 2)], "Received: start -1, end 2"),
        ([(5, 7)], "Received: start 5, end 7"),
        ([(0, 3), (2, 4)], r"must not overlap\. Received: '서울에' at 0 to 3 \(X\), and '에 '"),
        ([(0, 6), (2, 4)], "must not overlap"),
        ([(0, 2), (0, 2)], "must not overlap"),
    ],
)
def test_spans_that_do_not_fit_the_text_are_refused(
    spans: list[tuple[int, int]], message: str
) -> None:
    with pytest.raises(ExampleError, match=message):
        check_spans([Span(*span, "X") for span in spans], text="서울에 간다")


def test_a_span_without_a_label_is_refused() -> None:
    with pytest.raises(ExampleError, match=r"a span must have a label\. Received: none at 0 to 1"):
        check_spans([Span(0, 1, "")], text="ab")


@pytest.mark.parametrize("character", ["e\u0301", "\U0001f44d\U0001f3fd", "\r\n"])
def test_no_span_parts_what_is_one_character_to_the_eye(character: str) -> None:
    text = f"a{character}b"
    check_spans([Span(1, len(text) - 1, "X")], text=text)
    with pytest.raises(ExampleError, match="must not part a character"):
        check_spans([Span(0, 2, "X")], text=text)
    with pytest.raises(ExampleError, match=r"one character to the eye\. Move the span's end"):
        check_spans([Span(len(text) - 2, len(text), "X")], text=text)
