"""Text to ids of a SentencePiece model, unigram or BPE, and back without loss, in the graph.

Stages: invalid UTF-8 replaced; `normalization`, and white space in a row as one space, or, of a
lossless tokenizer, neither; a space before the text, as before every word; tensorflow-text's
SentencePiece. Its own normaliser has nothing left to do: so places of tokens, preparation and
serving know one normaliser.

The graph has the model's pieces with spaces where the file has "▁". So a "▁" of the text is a
character like any other, where SentencePiece itself would read it as a space.

`tensorflow_text.SentencepieceTokenizer` is made inside of the functions that call it, so that the
model is an attribute of a node in their graphs. Made outside it would be a resource of a kernel
that `keras.utils.clear_session` ends. `FastSentencepieceTokenizer` has no places of tokens and no
byte fallback.

Source: Kudo and Richardson 2018.
"""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from bert_tf.config import TokenizerConfig
from bert_tf.data.text import offsets, sentences, vocabulary
from bert_tf.data.text.normalization import (
    WORD_BREAKS,
    normalizing_stages,
    one_space,
    with_prefix,
    without_ends,
)
from bert_tf.data.text.sentencepiece_model import (
    SPACE,
    TEXT_TYPES,
    Piece,
    parse_model,
    spelled_with_spaces,
    text_of,
)
from bert_tf.data.text.tokenizer import SENTENCEPIECE_FILE, Tokenizer, read_settings
from bert_tf.system.files import write_whole
from bert_tf.system.lookalikes import path_hint

SETTINGS = ("lower_case", "strip_accents", "unicode_normalization", "lossless")


class SentencePieceTokenizer(Tokenizer):
    """A SentencePiece model that `bert-tf vocab` learnt, or another one that is like it.

    Control tokens have pieces of their own that no text gives, however it is spelled.

    Args:
        model: the content of a SentencePiece model file.
        lossless: every text comes back from its ids as it was, but for invalid UTF-8.

    Raises:
        ValueError: the model is damaged, of another kind, or has a normaliser of its own.
    """

    vocabulary_file = SENTENCEPIECE_FILE

    def __init__(
        self,
        model: bytes,
        *,
        lower_case: bool = False,
        strip_accents: bool = False,
        unicode_normalization: str = "NFC",
        lossless: bool = False,
    ) -> None:
        parsed = parse_model(model)
        super().__init__([piece.piece for piece in parsed.pieces])
        self._settings = TokenizerConfig.model_validate(
            {
                "lower_case": lower_case,
                "strip_accents": strip_accents,
                "unicode_normalization": unicode_normalization,
                "lossless": lossless,
            }
        )
        self._model = model
        self._types = tuple(piece.type for piece in parsed.pieces)
        if lossless and self._types.count(Piece.BYTE) < 256:
            raise ValueError(
                "tokenizer.lossless needs a vocabulary with byte fallback. Received: one with "
                f"{self._types.count(Piece.BYTE)} of 256 bytes. Learn it with "
                "vocabulary.byte_fallback=true."
            )
        self._encode, self._decode = _graphs(spelled_with_spaces(parsed))

    @classmethod
    def read(cls, file: Path, config: TokenizerConfig) -> Self:
        """The tokenizer of a model file: see `Tokenizer.load`."""
        if not file.is_file():
            raise FileNotFoundError(
                f"{file}: a SentencePiece model must exist. Received: no such file. Set "
                "tokenizer.vocabulary to one, or learn one with `bert-tf vocab`."
                f"{path_hint(file)}"
            )
        refuse_limit_of_words(config)
        settings, _ = read_settings(file, config, names=SETTINGS)
        try:
            return cls(file.read_bytes(), **settings)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error

    @property
    def settings(self) -> dict[str, Any]:
        """`SETTINGS` and their values."""
        return {name: getattr(self._settings, name) for name in SETTINGS}

    @property
    def vocabulary_sha256(self) -> str:
        """Of the model file."""
        return hashlib.sha256(self._model).hexdigest()

    @property
    def tokens_sha256(self) -> str:
        """Of the model file: the scores of its pieces decide, too."""
        return self.vocabulary_sha256

    def token_text(self, token: str) -> str:
        """Without `▁` at its beginning."""
        return token.removeprefix(SPACE)

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """See `Tokenizer`."""
        *_, last = self._stages(_readable(texts))
        ids, _, _ = self._encode(without_ends(last.texts))
        return ids

    def tokenize_with_offsets(
        self, texts: tf.Tensor, *, with_few_marks: bool = False
    ) -> offsets.TokenOffsets:
        """See `Tokenizer`. A token of white space alone has an empty place, and begins no word.

        The tokens of a character's bytes have all of them the character's place.
        """
        texts = _readable(texts)
        stages = [offsets.Stage("few marks", offsets.few_marks(texts))] if with_few_marks else []
        stages += self._stages(stages[-1].texts if stages else texts)
        ids, starts, ends = self._encode(without_ends(stages[-1].texts))
        # SentencePiece places a character's bytes, but for the last, before the character.
        ends = ends.with_values(tf.maximum(ends.values, starts.values + 1))
        starts, ends = offsets.find_sources(
            (starts, ends), texts=texts, stages=stages, trims_white_space=True
        )
        is_text = starts.values < ends.values
        first = tf.equal(tf.ragged.range(ids.row_lengths()).values, 0)
        before = tf.concat([[self.unk_id], ids.values[:-1]], axis=0)[: tf.size(ids.values)]
        was_text = tf.concat([[False], is_text[:-1]], axis=0)[: tf.size(is_text)]
        begins_word = first | ~was_text | tf.gather(~self.continues_word, ids.values)
        begins_word |= tf.gather(self._ends_word, before)
        return offsets.TokenOffsets(ids, starts, ends, ids.with_values(begins_word & is_text))

    def detokenize(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """The normalised texts of ids, of a lossless tokenizer the very texts.

        An unknown character, which there is without byte fallback alone, is [UNK]; bytes that are
        no character, which no text gives, are U+FFFD.
        """
        texts = self._decode(self._without_special(ids))
        return tf.strings.regex_replace(texts, "^ ", "")

    def normalize(self, texts: tf.Tensor) -> tf.Tensor:
        """See `Tokenizer`."""
        texts = _readable(texts)
        for stage in self._normalizing_stages(texts):
            texts = stage.texts
        return without_ends(texts)

    @cached_property
    def continues_word(self) -> np.ndarray:
        """bool, (tokens): neither `▁` nor punctuation nor a Chinese character begins them.

        Unknown characters and bytes of others than ASCII's go on with a word, too.
        """
        is_part = np.isin(self._types, (*TEXT_TYPES, Piece.UNKNOWN, Piece.BYTE))
        return is_part & ~_matches(self._texts, rf"(?s)[{WORD_BREAKS}].*")

    @cached_property
    def is_white_space(self) -> np.ndarray:
        """bool, (tokens): `▁` and such."""
        return _matches(self._texts, f"{offsets.WHITE_SPACE}+")

    @cached_property
    def _ends_word(self) -> np.ndarray:
        """bool, (tokens): what follows them begins a word: behind punctuation, say."""
        return _matches(self._texts, rf"(?s).*[{WORD_BREAKS}]")

    @cached_property
    def _texts(self) -> tuple[str, ...]:
        """What each token stands for; of control tokens and parts of characters nothing."""
        return tuple(map(text_of, self._tokens, self._types))

    def _normalizing_stages(self, texts: tf.Tensor) -> list[offsets.Stage]:
        """What `normalize` does with texts of `offsets.with_ends`."""
        if self._settings.lossless:
            return []
        stages = list(normalizing_stages(texts, self._settings))
        return [*stages, offsets.Stage("one space", one_space(stages[-1].texts))]

    def _stages(self, texts: tf.Tensor) -> list[offsets.Stage]:
        stages = self._normalizing_stages(texts)
        normalized = stages[-1].texts if stages else texts
        return [*stages, offsets.Stage("prefix", with_prefix(normalized))]

    def _tokenize_parts(self, parts: tf.RaggedTensor) -> tf.RaggedTensor:
        """What follows a mask at once goes on with its word: "[MASK]s" has no space to mark.

        Of a lossless tokenizer the space before a mask belongs to the masked word.
        """
        texts = sentences.replace_invalid_utf8(parts.values)
        place = tf.ragged.range(parts.row_lengths()).values
        is_prefixed = tf.equal(place, 0)
        if self._settings.lossless:
            is_last = tf.equal(place, tf.repeat(parts.row_lengths(), parts.row_lengths()) - 1)
            texts = tf.where(is_last, texts, tf.strings.regex_replace(texts, " $", ""))
            normalized = texts
        else:
            visible = tf.strings.regex_replace(texts, vocabulary.CONTROL_CHARACTERS, "")
            is_prefixed |= tf.strings.regex_full_match(visible, f"(?s){offsets.WHITE_SPACE}.*")
            normalized = self.normalize(texts)
        is_prefixed &= tf.not_equal(normalized, "")
        prefixed = tf.strings.join([" ", normalized])
        ids, _, _ = self._encode(tf.where(is_prefixed, prefixed, normalized))
        return ids

    def _write_vocabulary(self, path: Path) -> None:
        write_whole(path, self._model)


def refuse_limit_of_words(config: TokenizerConfig) -> None:
    """Raise ValueError where a setting is changed that this kind has not."""
    default = TokenizerConfig.model_fields["max_word_characters"].default
    if config.max_word_characters != default:
        raise ValueError(
            f"tokenizer.max_word_characters must be left at {default} for SentencePiece, which "
            f"gives no word up. Received: {config.max_word_characters}. Take it out."
        )


def _graphs(model: bytes) -> tuple[Any, Any]:
    """Texts, string (batch), to ids, starts and ends in bytes, ragged; and ids back to texts."""

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string)])
    def encode(texts: tf.Tensor) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
        return tf_text.SentencepieceTokenizer(model).tokenize_with_offsets(texts)

    @tf.function(
        autograph=False,
        input_signature=[tf.RaggedTensorSpec([None, None], tf.int32, ragged_rank=1)],
    )
    def decode(ids: tf.RaggedTensor) -> tf.Tensor:
        return tf_text.SentencepieceTokenizer(model).detokenize(ids)

    return encode, decode


def _readable(texts: tf.Tensor) -> tf.Tensor:
    return offsets.with_ends(sentences.replace_invalid_utf8(tf.convert_to_tensor(texts, tf.string)))


def _matches(tokens: tuple[str, ...], pattern: str) -> np.ndarray:
    with tf.init_scope():  # a table of the vocabulary, also where a graph asks for it first
        return tf.strings.regex_full_match(tf.constant(tokens), pattern).numpy()
