"""What every tokenizer does to text before it is split: Unicode form, control characters, case.

The stages are told one after the other, each with the texts after it, so that `offsets` can follow
a code point through all of them.
"""

from collections.abc import Iterator

import tensorflow as tf
import tensorflow_text as tf_text

from bert_tf.config import TokenizerConfig
from bert_tf.data.text import offsets, vocabulary

ASCII_BREAKS = r"\x00-\x20!-/:-@\[-`{-~"
CHINESE = (
    r"\x{3400}-\x{4dbf}\x{4e00}-\x{9fff}\x{f900}-\x{faff}\x{20000}-\x{2a6df}"
    r"\x{2a700}-\x{2b73f}\x{2b740}-\x{2b81f}\x{2b820}-\x{2ceaf}\x{2f800}-\x{2fa1f}"
)
WORD_BREAKS = rf"{ASCII_BREAKS}\p{{Z}}\p{{P}}{CHINESE}"
"""White space, punctuation and Chinese characters, as Google's `BasicTokenizer` has them."""


def normalizing_stages(texts: tf.Tensor, config: TokenizerConfig) -> Iterator[offsets.Stage]:
    """Valid UTF-8 in the Unicode form, without control characters, lower-cased if asked.

    tensorflow-text's own lower-casing is not used: it folds "ß" to "ss" and "…" to "...", which
    Google's does not.

    `texts`: string, (batch), with `offsets.END` at their ends or without.
    """
    if config.unicode_normalization != "none":
        texts = tf_text.normalize_utf8(texts, config.unicode_normalization)
        yield offsets.Stage(config.unicode_normalization, texts)
    texts = tf.strings.regex_replace(texts, vocabulary.CONTROL_CHARACTERS, "")
    yield offsets.Stage("control", texts)
    if config.lower_case:
        texts = tf.strings.lower(texts, encoding="utf-8")
        yield offsets.Stage("lower", texts)
    if config.strip_accents:
        texts = tf_text.normalize_utf8(texts, "NFD")
        yield offsets.Stage("NFD", texts)
        texts = tf.strings.regex_replace(texts, offsets.MARKS, "")
        yield offsets.Stage("marks", texts)


def one_space(texts: tf.Tensor) -> tf.Tensor:
    """White space in a row as one space, at the beginning none.

    `texts`: string, (batch), of `offsets.with_ends`: at the end the one stands for `offsets.END`.
    """
    texts = tf.strings.regex_replace(texts, f"{offsets.WHITE_SPACE}+", " ")
    return tf.strings.regex_replace(texts, "(?s)^ (.)", r"\1")


def with_prefix(texts: tf.Tensor) -> tf.Tensor:
    """A space before each text that is not empty: string, (batch), of `offsets.with_ends`."""
    return tf.strings.regex_replace(texts, "(?s)^(..)", r" \1")


def without_ends(texts: tf.Tensor) -> tf.Tensor:
    """What is before `offsets.END`, or the space that stands for it: string, (batch)."""
    return tf.strings.substr(texts, tf.zeros_like(texts, tf.int32), tf.strings.length(texts) - 1)
