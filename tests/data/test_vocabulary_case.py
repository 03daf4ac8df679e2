"""A vocabulary that is read with another case than its own is warned of."""

import logging
from pathlib import Path

import pytest

from bert_tf.config import TokenizerConfig
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.vocabulary import CONTROL_TOKENS, read_vocabulary
from bert_tf.data.text.vocabulary_case import is_uncased, sample_words, warn_of_unknown_words
from bert_tf.data.text.wordpiece import WordPieceTokenizer

KOREAN = ["한국어", "영화", "##은"]


@pytest.fixture(autouse=True)
def _warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)


def make(words: list[str], **settings: bool) -> Tokenizer:
    return WordPieceTokenizer([*CONTROL_TOKENS, *words], **settings)


@pytest.mark.parametrize(
    ("words", "num_unknown"),
    [
        (["[unused1]", "<S>", "the", "The", "##e"], 0),
        ([*map(str, range(97)), "The", "A", "Of"], 0),
        ([*map(str, range(96)), "The", "A", "Of", "In"], 4),
        (["café", "cafe"], 0),
        (["café"], 1),
        (KOREAN, 2),
        (["##은"], 0),
    ],
)
def test_words_that_a_vocabulary_does_not_know_itself_are_counted(
    caplog: pytest.LogCaptureFixture, words: list[str], num_unknown: int
) -> None:
    warn_of_unknown_words(make(words, lower_case=True, strip_accents=True), source="here")
    assert ("here: a vocabulary's own words" in caplog.text) == bool(num_unknown)
    assert not num_unknown or f"Received: {num_unknown} of a sample" in caplog.text
    caplog.clear()
    warn_of_unknown_words(make(words), source="here")
    assert caplog.text == ""


def test_a_sample_of_a_large_vocabulary_is_drawn_from_all_of_it() -> None:
    words = sample_words([*CONTROL_TOKENS, *(f"w{number}" for number in range(30_000))])
    assert 900 < len(words) <= 1000
    assert (words[0], words[-1]) == ("w0", "w29970")


@pytest.mark.parametrize(("tokens", "expected"), [(["café"], True), (["Cafe"], False)])
def test_accents_do_not_count_where_they_are_kept(tokens: list[str], expected: bool) -> None:
    assert is_uncased(tokens, strip_accents=False) is expected


@pytest.mark.parametrize(
    ("words", "settings", "warning"),
    [
        (KOREAN, {"lower_case": True, "strip_accents": True}, "takes every syllable apart"),
        (KOREAN, {"lower_case": True}, "keeps Hangul whole"),
        (KOREAN, {}, None),
        (["the", "\u1112\u1161\u11ab"], {"lower_case": True, "strip_accents": True}, None),
    ],
)
def test_a_vocabulary_with_hangul_that_a_configuration_lower_cases_is_warned_of(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    words: list[str],
    settings: dict[str, bool],
    warning: str | None,
) -> None:
    file = tmp_path / "vocab.txt"
    file.write_text("\n".join([*CONTROL_TOKENS, *words]) + "\n", encoding="utf-8")
    Tokenizer.load(file, TokenizerConfig(**settings))
    assert caplog.text == "" if warning is None else warning in caplog.text


@pytest.mark.parametrize("ending", ["\n", "\n\n\n", "\r\n", " \n", "\t", " \r\n\r\n", "\n "])
def test_empty_lines_at_the_end_have_advice_of_their_own(tmp_path: Path, ending: str) -> None:
    file = tmp_path / "vocab.txt"
    file.write_text("\n".join([*CONTROL_TOKENS, "cat"]) + "\n" + ending, newline="")
    with pytest.raises(ValueError, match=r"vocab\.txt:7: .*at the end\. Remove them: that shifts"):
        read_vocabulary(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[PAD]\n\n[UNK]\n", r"vocab\.txt:2: .*it shifts the ids"),
        ("[PAD]\n\n[UNK]\n\n", r"vocab\.txt:2: .*it shifts the ids"),
        ("\n[PAD]\n", r"vocab\.txt:1: .*it shifts the ids"),
        ("", r"Received: none of \[PAD\]"),
        ("\n\n", r"Received: none of \[PAD\]"),
    ],
)
def test_other_empty_lines_have_theirs(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "vocab.txt"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_vocabulary(file)


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_last_line_with_or_without_its_end_is_a_token(tmp_path: Path, ending: str) -> None:
    file = tmp_path / "vocab.txt"
    file.write_text("\n".join([*CONTROL_TOKENS, "\u3000"]) + ending, encoding="utf-8", newline="")
    assert read_vocabulary(file) == [*CONTROL_TOKENS, "\u3000"]
