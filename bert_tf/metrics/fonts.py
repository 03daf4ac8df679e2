"""Fonts of a picture for names in any script."""

import logging
from collections.abc import Sequence

from bert_tf.system.listing import listed

log = logging.getLogger(__name__)

DEFAULT_FONT = "DejaVu Sans"
_MAX_LENGTH = 32


def drawable(names: Sequence[str], numbered: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names and the fonts that have their characters; `numbered` in their place if none has.

    A name of more than 32 characters ends in "…".
    """
    from matplotlib import font_manager

    names = [_shortened(name) for name in names]
    needed = {ord(character) for name in names for character in name}
    missing = needed - _characters(font_manager.findfont(DEFAULT_FONT))
    if not missing:
        return names, [DEFAULT_FONT]
    for font in font_manager.fontManager.ttflist:
        if not font.name.startswith("Last Resort") and missing <= _characters(font.fname):
            return names, [DEFAULT_FONT, font.name]
    log.warning(
        "The picture shows numbers for names: a font with the characters of %s must be installed. "
        "Received: none. Install one, such as Noto Sans CJK.",
        listed(names),
    )
    return list(numbered), [DEFAULT_FONT]


def _shortened(name: str) -> str:
    return name if len(name) <= _MAX_LENGTH else name[: _MAX_LENGTH - 1] + "…"


def _characters(font_path: str) -> set[int]:
    from matplotlib.ft2font import FT2Font

    return set(FT2Font(font_path).get_charmap())
