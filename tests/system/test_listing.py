"""Lists in messages, however many names there are and however long."""

import pytest

from bert_tf.exporting.version_folders import listed_versions
from bert_tf.system.listing import AS_LINES, listed, listed_unlike, shortened


@pytest.mark.parametrize(
    ("num", "expected"),
    [(0, ""), (1, "0"), (3, "0, 1, 2"), (4, "0, 1, 2, 3"), (5, "0, 1, 2 and 2 more")],
)
def test_the_first_are_shown_and_the_rest_is_counted(num: int, expected: str) -> None:
    assert listed(range(num), max_items=3) == expected


def test_what_stands_on_lines_is_counted_on_a_line() -> None:
    lines = listed((f"missing: {n}" for n in range(2000)), **AS_LINES).split("\n  ")
    assert lines[0] == "missing: 0"
    assert lines[-1] == "and 1,980 more"
    assert len(lines) == 21


def test_a_long_name_is_shortened() -> None:
    assert shortened("a" * 80) == "a" * 80
    assert shortened("a" * 81) == "a" * 79 + "…"
    assert len(listed(["가" * 100_000] * 1000)) < 1000


def test_of_versions_the_newest_are_told() -> None:
    assert listed_versions([]) == "none"
    assert listed_versions([10, 9, 1]) == "1, 9, 10"
    assert listed_versions(range(1, 301)) == "290 older and " + ", ".join(map(str, range(291, 301)))


def test_of_many_names_those_that_the_others_lack_come_first() -> None:
    names = [f"n{number}" for number in range(40)]
    assert listed_unlike(["b", "a"], ["a"]) == "b, a"
    assert listed_unlike([*names, "other"], names).startswith("other, n0, n1, ")
