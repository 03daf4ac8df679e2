"""A text and a position in, whether people see one character there out.

"e\\u0301a", 1  ->  True        "e\\u0301a", 2  ->  False
"""

import unicodedata

ZERO_WIDTH_JOINER = "\u200d"
VIRAMA = 9
"""Canonical_Combining_Class of Unicode."""


def parts_character(text: str, position: int) -> bool:
    """Whether one character, as people see it, goes on at `position`.

    It does at a combining mark, a variation selector, a modifier of an emoji, a zero-width joiner
    and the emoji or the Indic letter that it joins, inside of a flag of two letters, of a Hangul
    syllable that is written in letters (NFD), and between a carriage return and its line feed.

    Source: Unicode Standard Annex 29, section 3.1.1, without what people's spans do part: the
    zero-width non-joiner between parts of a Persian word, prepended marks, and letters of Hangul
    that stand alone beside whole syllables, as in "ᄃᄃ유리" and "글자ᅳᅳ".
    """
    if not 0 < position < len(text):
        return False
    before, after = text[position - 1], text[position]
    if before.isascii() and after.isascii():
        return (before, after) == ("\r", "\n")
    if unicodedata.category(before) in ("Cc", "Zl", "Zp"):
        return False
    if _is_extending(after):
        return True
    if before == ZERO_WIDTH_JOINER:
        return _is_joined(text[position - 2 : position - 1], after)
    if _is_flag_letter(before) and _is_flag_letter(after):
        letters = text[:position]
        return (len(letters) - len(letters.rstrip(_FLAG_LETTERS))) % 2 == 1
    return _is_inside_syllable(before, after)


_FLAG_LETTERS = "".join(map(chr, range(0x1F1E6, 0x1F200)))


def _is_joined(before: str, after: str) -> bool:
    """Whether a joiner joins two emoji, or a letter to one with a virama: Persian ends with one."""
    is_virama = bool(before) and unicodedata.combining(before) == VIRAMA
    return unicodedata.category(after) == "So" or (is_virama and after.isalpha())


def _is_extending(character: str) -> bool:
    return (
        unicodedata.category(character) in ("Mn", "Mc", "Me")
        or character in (ZERO_WIDTH_JOINER, "\u0e33", "\u0eb3")  # vowels of Thai and Lao
        or "\U0001f3fb" <= character <= "\U0001f3ff"  # tones of skin
        or "\U000e0020" <= character <= "\U000e007f"  # letters of flags of regions
    )


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _is_inside_syllable(before: str, after: str) -> bool:
    """Of Hangul: a leading consonant before a vowel, or a vowel before a trailing consonant."""
    pair = (_hangul_kind(before), _hangul_kind(after))
    return pair in (("L", "V"), ("V", "T"), ("LV", "T"))


def _hangul_kind(character: str) -> str:
    """Hangul_Syllable_Type of Unicode, of those that may go on; empty of others."""
    code = ord(character)
    if 0x1100 <= code <= 0x115F or 0xA960 <= code <= 0xA97C:
        return "L"
    if 0x1160 <= code <= 0x11A7 or 0xD7B0 <= code <= 0xD7C6:
        return "V"
    if 0x11A8 <= code <= 0x11FF or 0xD7CB <= code <= 0xD7FB:
        return "T"
    if 0xAC00 <= code <= 0xD7A3:
        return "" if (code - 0xAC00) % 28 else "LV"
    return ""
