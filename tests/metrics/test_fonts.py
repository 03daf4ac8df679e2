"""Names that a font can draw, and those that none can."""

from bert_tf.metrics.fonts import DEFAULT_FONT, drawable


def test_names_in_the_default_font_are_kept():
    names = ["good", "schön", "плохо"]
    assert drawable(names, ["0", "1", "2"]) == (names, [DEFAULT_FONT])


def test_names_that_no_font_can_draw_are_numbered_with_a_warning(caplog):
    names, fonts = drawable(["plain", "\U000e0fff"], ["class 0", "class 7"])
    assert names == ["class 0", "class 7"]
    assert fonts == [DEFAULT_FONT]
    assert "a font with the characters of plain" in caplog.text


def test_a_long_name_is_shortened():
    (name,), _ = drawable(["x" * 33], ["class 0"])
    assert name == "x" * 31 + "…"
    assert drawable(["x" * 32], ["class 0"])[0] == ["x" * 32]
