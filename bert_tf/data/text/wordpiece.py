"""Text to WordPiece ids, in the graph.

Stages: invalid UTF-8 replaced; `normalization`; too long words given up; then, by tensorflow-text,
splitting at white space, punctuation and each Chinese character, and longest-match WordPiece. Its
own limit of a word is not used: it counts bytes.

`tensorflow_text.FastBertTokenizer` keeps its model as a constant of the graph, so a SavedModel
holds it. A lookup table would be an untracked resource there; nothing here makes one.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from bert_tf.config import TokenizerConfig
from bert_tf.data.text import offsets, sentences, vocabulary
from bert_tf.data.text.normalization import ASCII_BREAKS, WORD_BREAKS, normalizing_stages
from bert_tf.data.text.tokenizer import WORDPIECE_FILE, Tokenizer, read_settings
from bert_tf.data.text.vocabulary_case import warn_of_lower_cased_hangul

SETTINGS = ("lower_case", "strip_accents", "unicode_normalization", "max_word_characters")
CONTINUATION = "##"


class WordPieceTokenizer(Tokenizer):
    """WordPiece. Text that spells a control token stays text: its brackets are split off.

    Lower-casing alone keeps accents and composed Hangul; `strip_accents` is Google's uncased
    normaliser, which takes Hangul apart.

    Source: google-research/bert, tokenization.py.
    """

    vocabulary_file = WORDPIECE_FILE

    def __init__(
        self,
        tokens: Sequence[str],
        *,
        lower_case: bool = False,
        strip_accents: bool = False,
        unicode_normalization: str = "NFC",
        max_word_characters: int = 200,
    ) -> None:
        super().__init__(tokens)
        self._settings = TokenizerConfig.model_validate(
            {
                "lower_case": lower_case,
                "strip_accents": strip_accents,
                "unicode_normalization": unicode_normalization,
                "max_word_characters": max_word_characters,
            }
        )
        self._word_pieces = tf_text.FastBertTokenizer(
            vocab=list(self._tokens),
            max_bytes_per_word=self._max_word_bytes,
            token_out_type=tf.int32,
            unknown_token=vocabulary.UNK,
        )

    @classmethod
    def read(cls, file: Path, config: TokenizerConfig) -> Self:
        """The tokenizer of a `vocab.txt`: see `Tokenizer.load`."""
        tokens = vocabulary.read_vocabulary(file)
        if config.lossless:
            raise ValueError(
                f"{file}: tokenizer.lossless needs a SentencePiece vocabulary: WordPiece forgets "
                "where white space was. Received: lossless=true. Take tokenizer.lossless out, or "
                "learn a vocabulary with vocabulary.kind=unigram."
            )
        settings, are_written = read_settings(
            file, config, names=SETTINGS, optional=["max_word_characters"]
        )
        if not are_written:
            warn_of_lower_cased_hangul(
                tokens,
                lower_case=config.lower_case,
                strip_accents=config.strip_accents,
                source=str(file),
            )
        return cls(tokens, **settings)

    @property
    def settings(self) -> dict[str, Any]:
        """`SETTINGS` and their values."""
        return {name: getattr(self._settings, name) for name in SETTINGS}

    @property
    def vocabulary_sha256(self) -> str:
        """Of `vocab.txt`."""
        text = vocabulary.vocabulary_text(self._tokens)
        return hashlib.sha256(text.encode()).hexdigest()

    def token_text(self, token: str) -> str:
        """Without `##`."""
        return token.removeprefix(CONTINUATION)

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """See `Tokenizer`."""
        texts = self._give_up_long_words(self.normalize(tf.convert_to_tensor(texts)))
        return self._word_pieces.tokenize(texts)

    def tokenize_with_offsets(
        self, texts: tf.Tensor, *, with_few_marks: bool = False
    ) -> offsets.TokenOffsets:
        """See `Tokenizer`."""
        texts = offsets.with_ends(sentences.replace_invalid_utf8(texts))
        stages = [offsets.Stage("few marks", offsets.few_marks(texts))] if with_few_marks else []
        stages += normalizing_stages(stages[-1].texts if stages else texts, self._settings)
        normalized = stages[-1].texts
        given_up = tf.cond(
            tf.reduce_any(self._may_have_long_words(normalized)),
            lambda: offsets.give_up_long_words(
                normalized, limit=self._settings.max_word_characters, word_breaks=WORD_BREAKS
            ),
            lambda: normalized,
        )
        stages.append(offsets.Stage("given up", given_up))
        ids, starts, ends = self._word_pieces.tokenize_with_offsets(given_up)
        starts, ends = offsets.find_sources((starts, ends), texts=texts, stages=stages)
        begins_word = tf.gather(~self.continues_word, ids.values)
        return offsets.TokenOffsets(ids, starts, ends, ids.with_values(begins_word))

    def detokenize(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """Words with a space between them, for people to read: WordPiece is not lossless.

        "don't stop" gives "don ' t stop". Lost are where white space was and what kind, which is
        so beside punctuation and Chinese characters above all, control characters, what
        normalisation changed, and unknown words, which are [UNK].
        """
        pieces = [
            token.removeprefix(CONTINUATION) if continues else f" {token}"
            for token, continues in zip(self._tokens, self.continues_word, strict=True)
        ]
        ids = self._without_special(ids)
        joined = tf.strings.reduce_join(
            ids.with_values(tf.gather(tf.constant(pieces), ids.values)), axis=-1
        )
        return tf.strings.regex_replace(joined, "^ ", "")

    def normalize(self, texts: tf.Tensor) -> tf.Tensor:
        """See `Tokenizer`."""
        *_, last = normalizing_stages(sentences.replace_invalid_utf8(texts), self._settings)
        return last.texts

    @cached_property
    def continues_word(self) -> np.ndarray:
        """bool, (tokens): the pieces with `##`."""
        return np.array([token.startswith(CONTINUATION) for token in self._tokens])

    @cached_property
    def is_white_space(self) -> np.ndarray:
        """bool, (tokens): none, WordPiece has no token of white space."""
        return np.zeros([self.vocab_size], bool)

    def _tokenize_parts(self, parts: tf.RaggedTensor) -> tf.RaggedTensor:
        return self.tokenize(parts.values)

    def _write_vocabulary(self, path: Path) -> None:
        vocabulary.write_vocabulary(self._tokens, path)

    @property
    def _max_word_bytes(self) -> int:
        return 4 * self._settings.max_word_characters

    def _give_up_long_words(self, texts: tf.Tensor) -> tf.Tensor:
        """Each word of more than `max_word_characters` as one that is too long in bytes, too.

        The texts with such words are few. RE2 cannot count to 200 with all of `WORD_BREAKS` in a
        class: so the breaks get spaces around them, which change no token and part the words.
        """
        limit = self._settings.max_word_characters
        is_candidate = self._may_have_long_words(texts)
        candidates = tf.boolean_mask(texts, is_candidate)
        candidates = tf.strings.regex_replace(candidates, f"([{WORD_BREAKS}])", r" \1 ")
        long_word = rf"(?:^| )[^ ]{{{limit}}}[^ ]+"
        candidates = tf.strings.regex_replace(
            candidates, long_word, " " + "x" * (self._max_word_bytes + 1)
        )
        return tf.tensor_scatter_nd_update(texts, tf.where(is_candidate), candidates)

    def _may_have_long_words(self, texts: tf.Tensor) -> tf.Tensor:
        """A first look, which knows few breaks: it costs little and misses none. bool, (batch)."""
        limit = self._settings.max_word_characters
        breaks = rf"{ASCII_BREAKS}\x{{4e00}}-\x{{9fff}}"
        may_have = rf"(?s)(?:.*[{breaks}])?[^{breaks}]{{{limit}}}[^{breaks}].*"
        return tf.strings.regex_full_match(texts, may_have)
