"""What must hold of labelled spans."""

import unicodedata

import pytest

from bert_tf.data.token_labels.spans import ExampleError, Span, check_spans, parts_character

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


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


@pytest.mark.parametrize(
    "character",
    [
        "e\u0301",
        unicodedata.normalize("NFD", "한"),
        unicodedata.normalize("NFD", "하"),
        "하\u11ab",
        FAMILY,
        "\u2764\ufe0f",
        "1\ufe0f\u20e3",
        "\U0001f44d\U0001f3fd",
        "\U0001f1f0\U0001f1f7",
        "\U0001f3f4\U000e0067\U000e0062\U000e007f",
        "\u0915\u093f",  # a consonant of Devanagari with a vowel sign
        "\u0d9a\u0dca\u200d\u0dbb",  # two consonants of Sinhala that are joined
        "\u0e19\u0e49\u0e33",
        "葛\U000e0100",
        "\r\n",
    ],
)
def test_no_span_parts_what_is_one_character_to_the_eye(character: str) -> None:
    text = f"a{character}b"
    inside = [place for place in range(len(text) + 1) if parts_character(text, place)]
    assert inside == list(range(2, len(character) + 1))
    check_spans([Span(1, len(text) - 1, "X")], text=text)
    with pytest.raises(ExampleError, match="must not part a character"):
        check_spans([Span(0, 2, "X")], text=text)
    with pytest.raises(ExampleError, match=r"one character to the eye\. Move the span's end"):
        check_spans([Span(len(text) - 2, len(text), "X")], text=text)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("\U0001f1f0\U0001f1f7\U0001f1fa\U0001f1f8", 2),  # two flags
        ("\u1103유리", 1),  # letters beside syllables, of KLUE-NER
        ("글자\u1173", 2),
        ("ㅋㅋ", 1),
        ("한글", 1),
        ("می\u200cخواهم", 2),  # the zero-width non-joiner parts words
        ("می\u200cخواهم", 3),
        ("ه\u200d بود", 2),
        ("\n\u0301", 1),
        ("e\u0301a", 2),
    ],
)
def test_characters_of_their_own_are_parted(text: str, position: int) -> None:
    assert not parts_character(text, position)
