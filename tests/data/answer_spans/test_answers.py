"""Where an answer stands in its context."""

import random

import pytest

from bert_tf.data.answer_spans.answers import (
    UNITS,
    Answer,
    Written,
    find_at_start,
    find_near_start,
    parts_characters,
)

CONTEXT = "\U0001f600 서울은 서울이다 a"


def test_an_answer_stands_at_its_start_in_code_points() -> None:
    assert find_at_start(Written("서울", 2), CONTEXT) == Answer(2, 4)
    assert find_at_start(Written("a", len(CONTEXT) - 1), CONTEXT) == Answer(11, 12)
    for start in (0, 3, -10, len(CONTEXT), 1 << 70, None, True, 2.0, "2"):
        assert find_at_start(Written("서울", start), CONTEXT) is None
    assert find_at_start(Written("", 0), CONTEXT) is None


@pytest.mark.parametrize(("unit", "encoding", "size"), [(unit, *UNITS[unit]) for unit in UNITS])
def test_starts_in_other_units_are_those_of_the_encoded_text(
    unit: str, encoding: str, size: int
) -> None:
    draw = random.Random(0)
    for _ in range(300):
        context = "".join(draw.choices("ab 가나é\U0001f600\U0001f468\u200d", k=30))
        start = draw.randrange(30)
        text = context[start : start + 5]
        offset = len(context[:start].encode(encoding)) // size
        expected = Answer(start, start + len(text))
        assert find_at_start(Written(text, offset), context, unit=unit) == expected


def test_a_start_inside_of_a_code_point_is_none() -> None:
    assert find_at_start(Written("서", 1), "\U0001f600서", unit="UTF-16 units") is None
    assert find_at_start(Written("서", 4), "\U0001f600서", unit="UTF-8 bytes") == Answer(1, 2)
    assert find_at_start(Written("서", 5), "\U0001f600서", unit="UTF-8 bytes") is None
    assert find_at_start(Written("서", 99), "\U0001f600서", unit="UTF-8 bytes") is None


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("서울", 3, (2, 4)),
        ("서울", 5, (6, 8)),
        ("서울", 4, (2, 4)),  # as far from both
        ("서울", 12, (6, 8)),
        (" 서울이다\n", 7, (6, 10)),  # without white space
        ("서울 ", 3, (2, 4)),
        (" 서울", 6, (6, 8)),
        (" 서울", 4, (5, 8)),  # with it, which is there
        ("서울이", -1, (6, 9)),
        ("서울이", None, (6, 9)),
        ("서울", -1, None),  # several, and none is nearer
        ("서울", 99, None),
        ("부산", 3, None),
        (" ", 1, (1, 2)),
        ("", 1, None),
    ],
)
def test_the_nearest_place_is_found(
    text: str, start: int | None, expected: tuple[int, int] | None
) -> None:
    found = find_near_start(Written(text, start), CONTEXT)
    assert found == (None if expected is None else Answer(*expected))


def test_an_end_inside_of_a_character_is_seen() -> None:
    context = "cafe\u0301 \U0001f468\u200d\U0001f469"
    parting = [
        (start, end)
        for start in range(len(context))
        for end in range(start + 1, len(context) + 1)
        if parts_characters(Answer(start, end), context)
    ]
    assert (0, 4) in parting
    assert (6, 7) in parting
    assert not {(0, 5), (0, 3), (6, 9), (0, 6)} & set(parting)
