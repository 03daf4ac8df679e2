"""Token offsets, one character after the other, with Python's own Unicode tables; hostile texts."""

import functools
import itertools
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from bert_tf.data.text.offsets import TokenOffsets
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.wordpiece import WordPieceTokenizer

CHINESE = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)

HOSTILE = [
    "", " ", " \t\r\n\u3000", "\u200b\x00\ufeff", "\u0301", "\u0301a", " \u0301a", "a \u0301 b",
    "Cafe\u0301, CAFÉ!", "e\u0301\u0302\u0316\u0323x", "q\u0302\u0323q", "a\u0302\u0316\u0301",
    "，\u0302\u0323a", "中\u0302\u0323文\u0301", "\u00a0\u0302\u0323a\u2000\u0323", "\u2000a\u00a0",
    "e\u0301\u0345\u0302", "x\u0340\u0341\u0344y", "\u0958\u093e\u0915\u094d\u0937",
    "\u212b\u2126\u212a", "İstanbul I\u0307 ıİİ", "ΟΔΟΣ ΑΣ\u00ad ΣΑΣ. Σ ΑΣ'Α", "ẞß ſ ǅ",
    "İ\u0301\u0323a", "ﬁn ﬃx ㎏①² ｱﾞｶﾞ", "ﷺ a ﷺb", "…‥ ´¨a ½", "Ａ！［ＭＡＳＫ］ [MASK]",
    "한글 각각", unicodedata.normalize("NFD", "한글 각각ㄱ"), "가\u11a8\u0301각\u0340",
    "ㄱㅏㅋㅋ ﾡￂ한", "👩\u200d🔧 ok", "👨\u200d👩\u200d👧!", "🏳\ufe0f\u200d🌈a 1\ufe0f\u20e3",
    "👍🏽🇰🇷🏴\U000e0067\U000e007f", "שָׁלוֹם־עוֹלָם׃ \ufb2a\u05b8", "السَّلامُ، ﻻ \u200fabc\u202e",
    "नमस्ते।", "ก็\u0e33น้ำ", "\U0001d15e\U0001d16d\U0001d165", "un\u200bwant\u00aded a\u200d\u0301b",
    "a\x0bb\x1c\x85c", "a\ufffdb\ufffd", "don't-stop#(now)",
    "w" * 8 + " " + "w" * 9 + "é" * 9 + "-" + "각" * 9, "中" * 12,
    "\u0301" * 12 + "e" * 8, "한" * 8 + "\u200b한",
]  # fmt: skip
FORMS = ("NFC", "NFKC", "none")
CASES = [
    {"unicode_normalization": form, "lower_case": lower_case, "strip_accents": strip_accents}
    for form in FORMS
    for lower_case, strip_accents in ((False, False), (True, False), (True, True))
]
CASED, UNCASED, CASED_NFKC, UNCASED_NFKC = (CASES[i] for i in (0, 2, 3, 5))
LIMIT = 8
"""Characters of a word, in place of 200."""


class Character(NamedTuple):
    """One of the text at some stage, and the part of the user's text that it was made of."""

    character: str
    start: int
    end: int


class Token(NamedTuple):
    piece: str
    start: int
    end: int
    begins_word: bool


def reference_tokens(
    text: str,
    *,
    vocabulary: set[str],
    unicode_normalization: str = "NFC",
    lower_case: bool = False,
    strip_accents: bool = False,
    max_word_characters: int = 200,
) -> list[Token]:
    """What `Tokenizer.tokenize_with_offsets` must give for a text."""
    characters = [Character(c, place, place + 1) for place, c in enumerate(text)]
    if unicode_normalization != "none":
        characters = in_form(characters, unicode_normalization)
    characters = [it for it in characters if not is_control(it.character)]
    if lower_case:
        characters = lowered(characters)
    if strip_accents:
        characters = without_marks(in_form(characters, "NFD"))
    tokens = []
    for word in words(characters):
        tokens += pieces(word, vocabulary=vocabulary, limit=max_word_characters)
    return tokens


def in_form(characters: list[Character], form: str) -> list[Character]:
    """Cut wherever both sides can be normalised alone: what is between two cuts is one part."""
    text = "".join(it.character for it in characters)
    whole = unicodedata.normalize(form, text)
    cuts = [0]
    for cut in range(1, len(text)):
        halves = (unicodedata.normalize(form, half) for half in (text[:cut], text[cut:]))
        if "".join(halves) == whole:
            cuts.append(cut)
    result = []
    for begin, end in zip(cuts, [*cuts[1:], len(text)], strict=True):
        for character in unicodedata.normalize(form, text[begin:end]):
            result.append(Character(character, characters[begin].start, characters[end - 1].end))
    assert "".join(it.character for it in result) == whole
    return result


def lowered(characters: list[Character]) -> list[Character]:
    """The whole text's lower case, as it knows which sigma is a word's last."""
    whole = "".join(it.character for it in characters).lower()
    result = []
    for it in characters:
        for _ in it.character.lower():
            result.append(it._replace(character=whole[len(result)]))
    assert len(result) == len(whole)
    return result


def without_marks(characters: list[Character]) -> list[Character]:
    result: list[Character] = []
    for it in characters:
        if unicodedata.category(it.character) != "Mn":
            result.append(it)
        elif result:
            result[-1] = result[-1]._replace(end=it.end)
    return result


def words(characters: list[Character]) -> list[list[Character]]:
    result: list[list[Character]] = [[]]
    for it in characters:
        if is_white_space(it.character):
            result.append([])
        elif is_alone(it.character):
            result += [[it], []]
        else:
            result[-1].append(it)
    return [word for word in result if word]


def pieces(word: list[Character], *, vocabulary: set[str], limit: int) -> list[Token]:
    """The longest piece that matches, and so on; [UNK] for all of the word where none does."""
    unknown = [Token("[UNK]", word[0].start, word[-1].end, True)]
    if len(word) > limit:
        return unknown
    tokens: list[Token] = []
    begin = 0
    while begin < len(word):
        for end in range(len(word), begin, -1):
            piece = "##" * bool(begin) + "".join(it.character for it in word[begin:end])
            if piece in vocabulary:
                break
        else:
            return unknown
        tokens.append(Token(piece, word[begin].start, word[end - 1].end, begin == 0))
        begin = end
    return tokens


def is_control(character: str) -> bool:
    return character == "\ufffd" or (
        unicodedata.category(character) in ("Cc", "Cf") and character not in "\t\n\r"
    )


def is_white_space(character: str) -> bool:
    return character in "\t\n\r" or unicodedata.category(character).startswith("Z")


def is_alone(character: str) -> bool:
    """Punctuation and Chinese characters."""
    is_symbol = character.isascii() and character.isprintable() and not character.isalnum()
    is_chinese = any(first <= ord(character) <= last for first, last in CHINESE)
    return is_symbol or is_chinese or unicodedata.category(character).startswith("P")


def make_tokens(texts: list[str]) -> list[str]:
    """Pieces of one and two characters of all that the texts become, but for some characters."""
    forms = {form for text in texts for form in (text, text.lower())}
    for form in ("NFC", "NFKC", "NFD", "NFKD"):
        forms |= {unicodedata.normalize(form, text) for text in forms}
    pairs = {a + b for text in forms for a, b in itertools.pairwise(text)}
    found = sorted(set("".join(forms))) + sorted(pairs)[::3]
    found = [
        piece
        for number, piece in enumerate(found)
        if number % 11 and not any(is_control(c) or is_white_space(c) for c in piece)
    ]
    return [*CONTROL_TOKENS, *found, *(f"##{piece}" for piece in found)]


@functools.cache
def hostile_tokenizer(number: int) -> Tokenizer:
    """Of a number of `CASES`."""
    return make_tokenizer(CASES[number], tokens=HOSTILE_TOKENS)


def make_tokenizer(case: dict, *, tokens: list[str], limit: int = LIMIT) -> Tokenizer:
    return WordPieceTokenizer(tokens, max_word_characters=limit, **case)


def tokens_of(tokenizer: Tokenizer, texts: list[str] | list[bytes]) -> list[list[Token]]:
    """What the tokenizer gives; its ids are those of `tokenize`."""
    found, ids = graph_of(tokenizer)(tf.constant(texts, tf.string))
    assert found.ids.to_list() == ids.to_list()
    assert [values.dtype for values in found] == [tf.int32, tf.int32, tf.int32, tf.bool]
    rows = zip(*(values.to_list() for values in found), strict=True)
    return [
        [Token(tokenizer.vocabulary[token[0]], *token[1:]) for token in zip(*row, strict=True)]
        for row in rows
    ]


@functools.cache
def graph_of(tokenizer: Tokenizer) -> Callable:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def both(texts: tf.Tensor) -> tuple[TokenOffsets, tf.RaggedTensor]:
        return tokenizer.tokenize_with_offsets(texts), tokenizer.tokenize(texts)

    return both


HOSTILE_TOKENS = make_tokens(HOSTILE)
CHARACTERS = sorted(set("".join(HOSTILE)))
