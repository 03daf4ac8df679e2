"""Text to ids of a SentencePiece model, unigram or BPE, and back without loss, in the graph.

Stages: invalid UTF-8 replaced; `normalization`, and white space in a row as one space, or, of a
lossless tokenizer, neither; a space before the text, as before every word; tensorflow-text's
SentencePiece. Its own normaliser has nothing left to do: so places of tokens, preparation and
serving know one normaliser.

The graph has the model's pieces with spaces where the file has "▁". So a "▁" of the text is a
character like any other, where SentencePiece itself would read it as a space.

`tensorflow_text.SentencepieceTokenizer` holds its model as a resource that a SavedModel makes anew;
`FastSentencepieceTokenizer` has no places of tokens and no byte fallback.

Source: Kudo and Richardson 2018.
"""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text
from google.protobuf.message import DecodeError
from sentencepiece import sentencepiece_model_pb2
from tensorflow_text.python.ops.sentencepiece_tokenizer import gen_sentencepiece_tokenizer

from bert_tf.config import TokenizerConfig
from bert_tf.data.text import offsets, sentences, vocabulary
from bert_tf.data.text.normalization import (
    WORD_BREAKS,
    normalizing_stages,
    one_space,
    with_prefix,
    without_ends,
)
from bert_tf.data.text.tokenizer import SENTENCEPIECE_FILE, Tokenizer, read_settings
from bert_tf.system.files import write_whole
from bert_tf.system.lookalikes import path_hint

SETTINGS = ("lower_case", "strip_accents", "unicode_normalization", "lossless")
SPACE = "▁"
"""LOWER ONE EIGHTH BLOCK, which stands for a space in a model's pieces."""
_Model = sentencepiece_model_pb2.ModelProto
_Piece, _Kind = _Model.SentencePiece, sentencepiece_model_pb2.TrainerSpec
TEXT_TYPES = (_Piece.NORMAL, _Piece.USER_DEFINED)
"""Of pieces that are spelled as the text that they stand for."""


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
        parsed = _parse(model)
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
        if lossless and self._types.count(_Piece.BYTE) < 256:
            raise ValueError(
                "tokenizer.lossless needs a vocabulary with byte fallback. Received: one with "
                f"{self._types.count(_Piece.BYTE)} of 256 bytes. Learn it with "
                "vocabulary.byte_fallback=true."
            )
        self._pieces = _lasting(tf_text.SentencepieceTokenizer(_of_graph(parsed)))

    @classmethod
    def read(cls, file: Path, config: TokenizerConfig) -> Self:
        """The tokenizer of a model file: see `Tokenizer.load`."""
        if not file.is_file():
            raise FileNotFoundError(
                f"{file}: a SentencePiece model must exist. Received: no such file. Set "
                "tokenizer.vocabulary to one, or learn one with `bert-tf vocab`."
                f"{path_hint(file)}"
            )
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
        return self._pieces.tokenize(without_ends(last.texts))

    def tokenize_with_offsets(
        self, texts: tf.Tensor, *, with_few_marks: bool = False
    ) -> offsets.TokenOffsets:
        """See `Tokenizer`. A token of white space alone has an empty place, and begins no word.

        The tokens of a character's bytes have all of them the character's place.
        """
        texts = _readable(texts)
        stages = [offsets.Stage("few marks", offsets.few_marks(texts))] if with_few_marks else []
        stages += self._stages(stages[-1].texts if stages else texts)
        ids, starts, ends = self._pieces.tokenize_with_offsets(without_ends(stages[-1].texts))
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

        An unknown character, which there is without byte fallback alone, is [UNK].
        """
        texts = self._pieces.detokenize(self._without_special(ids))
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
        is_part = np.isin(self._types, (*TEXT_TYPES, _Piece.UNKNOWN, _Piece.BYTE))
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
        return tuple(map(_text_of, self._tokens, self._types))

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
        return self._pieces.tokenize(tf.where(is_prefixed, prefixed, normalized))

    def _write_vocabulary(self, path: Path) -> None:
        write_whole(path, self._model)


def _readable(texts: tf.Tensor) -> tf.Tensor:
    return offsets.with_ends(sentences.replace_invalid_utf8(tf.convert_to_tensor(texts, tf.string)))


def _matches(tokens: tuple[str, ...], pattern: str) -> np.ndarray:
    with tf.init_scope():  # a table of the vocabulary, also where a graph asks for it first
        return tf.strings.regex_full_match(tf.constant(tokens), pattern).numpy()


def _text_of(piece: str, kind: int) -> str:
    if kind in TEXT_TYPES:
        return piece.replace(SPACE, " ")
    octet = int(piece[3:5], 16) if kind == _Piece.BYTE else 0xFF
    return chr(octet) if octet < 0x80 else ""


def _lasting(tokenizer: tf_text.SentencepieceTokenizer) -> tf_text.SentencepieceTokenizer:
    """The tokenizer, its model kept by a name of its own.

    Otherwise the model belongs to a kernel, which `tf.random.set_seed` throws away with all others
    that were run eagerly. A SavedModel makes its own.
    """
    resource = tokenizer._model_resource
    digest = hashlib.sha256(resource._model).hexdigest()
    resource._resource_handle = gen_sentencepiece_tokenizer.sentencepiece_op(
        model=resource._model, shared_name=f"sentencepiece_{digest}"
    )
    return tokenizer


def _parse(content: bytes) -> Any:
    """A model that this package can follow: raises ValueError as the class."""
    model = _Model()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise ValueError(
            f"a SentencePiece model must be whole. Received: {len(content):,} bytes that are none. "
            "Take the file anew from where it came from."
        ) from error
    trainer, normalizer = model.trainer_spec, model.normalizer_spec
    checks = (
        ("model_type", trainer.model_type, (_Kind.UNIGRAM, _Kind.BPE)),
        ("treat_whitespace_as_suffix", trainer.treat_whitespace_as_suffix, (False,)),
        ("escape_whitespaces", normalizer.escape_whitespaces, (True,)),
        ("add_dummy_prefix", normalizer.add_dummy_prefix, (True,)),
        ("rules of its own normaliser, bytes", len(normalizer.precompiled_charsmap), (0,)),
    )
    faults = [f"{name}={value}" for name, value, known in checks if value not in known]
    control = {piece.piece for piece in model.pieces if piece.type not in TEXT_TYPES}
    faults += [f"no {token}" for token in vocabulary.CONTROL_TOKENS if token not in control]
    if faults:
        raise ValueError(
            "a SentencePiece model must be unigram or BPE, with "
            f"{' '.join(vocabulary.CONTROL_TOKENS)} and without a normaliser of its own. "
            f"Received: {'; '.join(faults)}. Learn one with `bert-tf vocab --set "
            "vocabulary.kind=unigram`: models of other projects are not read."
        )
    return model


def _of_graph(model: Any) -> bytes:
    """The model without its own normaliser, spelled with spaces."""
    served = _Model()
    served.CopyFrom(model)
    served.normalizer_spec.add_dummy_prefix = False
    served.normalizer_spec.remove_extra_whitespaces = False
    served.normalizer_spec.escape_whitespaces = False
    served.trainer_spec.unk_surface = vocabulary.UNK
    for piece in served.pieces:
        if piece.type in TEXT_TYPES:
            piece.piece = piece.piece.replace(SPACE, " ")
    return served.SerializeToString(deterministic=True)
