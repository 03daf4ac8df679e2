"""Where one character, as people see it, goes on."""

import unicodedata

import pytest

from bert_tf.data.text.characters import parts_character

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


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
def test_one_character_to_the_eye_is_not_parted(character: str) -> None:
    text = f"a{character}b"
    inside = [place for place in range(len(text) + 1) if parts_character(text, place)]
    assert inside == list(range(2, len(character) + 1))


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
