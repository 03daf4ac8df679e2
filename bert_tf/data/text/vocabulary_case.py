"""Whether a vocabulary is of lower-cased text, and warnings where it is read otherwise.

A vocabulary that is read with the wrong case gives [UNK] for most of its own words: nothing fails,
and the model knows nothing.
"""

import logging
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from bert_tf.data.text.vocabulary import CONTROL_TOKENS

if TYPE_CHECKING:
    from bert_tf.data.text.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

WHOLE_HANGUL = re.compile("[\uac00-\ud7a3]")
"""Syllables, which `strip_accents` takes apart: an uncased vocabulary has jamo instead."""
MAX_UNKNOWN_SHARE = 0.03
_MAX_SAMPLE = 1000


def is_uncased(tokens: Iterable[str], *, strip_accents: bool = True) -> bool:
    """Whether no token would be another one without capitals and, if stripped, accents.

    That is so in an uncased vocabulary: no text gives a token that its normaliser would change.
    A cased one has capitals, accents or whole Hangul syllables. Control tokens do not count:
    `[CLS]`, `[unused1]`, and `<S>` of Google's Chinese model.
    """

    def uncased(token: str) -> str:
        return _without_accents(token.lower()) if strip_accents else token.lower()

    return not any(uncased(token) != token for token in tokens if not _is_control(token))


def warn_of_lower_cased_hangul(
    tokens: Iterable[str], *, lower_case: bool, strip_accents: bool, source: str
) -> None:
    """Warn where a vocabulary with Hangul syllables is read lower-cased."""
    if not lower_case or not any(map(WHOLE_HANGUL.search, tokens)):
        return
    logger.warning(
        "%s: a vocabulary with Hangul should not be read lower-cased: Hangul has no case. "
        "Received: lower_case=true, %s. Set tokenizer.lower_case=false, or convert with "
        "--no-lower-case, unless its model was trained so.",
        source,
        "and strip_accents=true, which takes every syllable apart into jamo, so that its words "
        "become [UNK]"
        if strip_accents
        else "with strip_accents=false, which keeps Hangul whole",
    )


def warn_of_unknown_words(tokenizer: "Tokenizer", *, source: str) -> None:
    """Warn where more than a few per cent of a vocabulary's own words become [UNK] as text."""
    words = sample_words(tokenizer.vocabulary)
    if not words:
        return
    ids = tokenizer.tokenize(tf.constant(words))
    is_unknown = tf.reduce_any(tf.equal(ids, tokenizer.unk_id), axis=1).numpy()
    if is_unknown.mean() > MAX_UNKNOWN_SHARE:
        unknown = [word for word, is_one in zip(words, is_unknown, strict=True) if is_one]
        logger.warning(
            "%s: a vocabulary's own words should be known to its tokenizer. Received: %d of a "
            "sample of %d words become [UNK], such as %s, with %s. Its text may have another case "
            "or form: see lower_case, strip_accents and unicode_normalization.",
            *(source, len(unknown), len(words), ", ".join(map(repr, unknown[:3]))),
            ", ".join(f"{name}={value}" for name, value in tokenizer.settings.items()),
        )


def sample_words(tokens: Sequence[str]) -> list[str]:
    """Tokens that begin words, evenly drawn; neither control tokens nor continuations."""
    words = [
        token
        for token in tokens
        if not _is_control(token) and not (token.startswith("##") and len(token) > 2)
    ]
    return words[:: -(-len(words) // _MAX_SAMPLE) or 1]


def _is_control(token: str) -> bool:
    return token in CONTROL_TOKENS or (token[:1], token[-1:]) in (("[", "]"), ("<", ">"))


def _without_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(c for c in decomposed if unicodedata.category(c) != "Mn")
