"""Text to WordPiece ids, in the graph: data preparation, training and serving call this class.

Stages: invalid UTF-8 replaced; Unicode form; control characters removed; lower case and accents if
asked; too long words given up; then, by tensorflow-text, splitting at white space, punctuation and
each Chinese character, and longest-match WordPiece. tensorflow-text's own lower-casing is not used:
it folds "ß" to "ss" and "…" to "...", which Google's does not. Its own limit of a word is not used
either: it counts bytes.

`tensorflow_text.FastBertTokenizer` keeps its model as a constant of the graph, so a SavedModel
holds it. A lookup table would be an untracked resource there; nothing here makes one.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from bert_tf.config import TokenizerConfig
from bert_tf.data.text import offsets, sentences, vocabulary
from bert_tf.data.text.vocabulary_case import warn_of_lower_cased_hangul
from bert_tf.system.files import write_whole
from bert_tf.system.json_files import read_json, validated

SETTINGS_FILE = "tokenizer.json"
TOKENIZER_FILES = (vocabulary.VOCABULARY_FILE, SETTINGS_FILE)
ASCII_BREAKS = r"\x00-\x20!-/:-@\[-`{-~"
CHINESE = (
    r"\x{3400}-\x{4dbf}\x{4e00}-\x{9fff}\x{f900}-\x{faff}\x{20000}-\x{2a6df}"
    r"\x{2a700}-\x{2b73f}\x{2b740}-\x{2b81f}\x{2b820}-\x{2ceaf}\x{2f800}-\x{2fa1f}"
)
WORD_BREAKS = rf"{ASCII_BREAKS}\p{{Z}}\p{{P}}{CHINESE}"
"""White space, punctuation and Chinese characters, as Google's `BasicTokenizer` has them."""
SETTINGS = ("lower_case", "strip_accents", "unicode_normalization", "max_word_characters")


class Tokenizer(tf.Module):
    """WordPiece in the graph.

    Text that spells a control token, "[SEP]" say, is text: its brackets are split off, so only
    packing and masking place control tokens. `tokenize_with_masks` is the one exception, for
    "[MASK]" spelled exactly so.

    Lower-casing alone keeps accents and composed Hangul; `strip_accents` is Google's uncased
    normaliser, which takes Hangul apart.

    Source: google-research/bert, tokenization.py.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        *,
        lower_case: bool = False,
        strip_accents: bool = False,
        unicode_normalization: str = "NFC",
        max_word_characters: int = 200,
    ) -> None:
        super().__init__(name="tokenizer")
        self._tokens = tuple(tokens)
        self._settings = TokenizerConfig.model_validate(
            {
                "lower_case": lower_case,
                "strip_accents": strip_accents,
                "unicode_normalization": unicode_normalization,
                "max_word_characters": max_word_characters,
            }
        )
        missing = [token for token in vocabulary.CONTROL_TOKENS if token not in self._tokens]
        if missing:
            raise ValueError(
                f"a vocabulary must hold {' '.join(vocabulary.CONTROL_TOKENS)}. "
                f"Received: {len(self._tokens)} tokens without {' '.join(missing)}. "
                "Use a BERT vocabulary."
            )
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (
            self._tokens.index(token) for token in vocabulary.CONTROL_TOKENS
        )
        self._word_pieces = tf_text.FastBertTokenizer(
            vocab=list(self._tokens),
            max_bytes_per_word=self._max_word_bytes,
            token_out_type=tf.int32,
            unknown_token=vocabulary.UNK,
        )

    @classmethod
    def load(cls, path: str | Path, config: TokenizerConfig | None = None) -> Self:
        """The tokenizer in a folder or beside a `vocab.txt`.

        `tokenizer.json` beside the vocabulary rules; without one `config` does. A file of before
        `max_word_characters` leaves that to `config`, too.

        Raises:
            FileNotFoundError: there is no vocabulary.
            ValueError: a field set in `config` contradicts `tokenizer.json`.
        """
        path = Path(path)
        file = path / vocabulary.VOCABULARY_FILE if path.is_dir() else path
        tokens = vocabulary.read_vocabulary(file)
        config = config or TokenizerConfig()
        settings = {name: getattr(config, name) for name in SETTINGS}
        settings_file = file.with_name(SETTINGS_FILE)
        if settings_file.is_file():
            written = _read_settings(settings_file)
            for name in config.model_fields_set.intersection(written):
                if settings[name] != written[name]:
                    raise ValueError(
                        f"{settings_file}: the settings must be those the vocabulary was made "
                        f"with. Received: tokenizer.{name}={settings[name]!r}, the file has "
                        f"{written[name]!r}. Leave tokenizer.{name} out of the configuration."
                    )
            settings |= written
        else:
            warn_of_lower_cased_hangul(
                tokens,
                lower_case=config.lower_case,
                strip_accents=config.strip_accents,
                source=str(file),
            )
        return cls(tokens, **settings)

    def save(self, directory: str | Path) -> Path:
        """Write `vocab.txt` and `tokenizer.json` into `directory`, each whole or not at all."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        write_whole(directory / SETTINGS_FILE, json.dumps(self.settings, indent=2) + "\n")
        vocabulary.write_vocabulary(self._tokens, directory / vocabulary.VOCABULARY_FILE)
        return directory

    @property
    def settings(self) -> dict[str, Any]:
        """What `tokenizer.json` holds: `SETTINGS` and their values."""
        return {name: getattr(self._settings, name) for name in SETTINGS}

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Tokens in the order of their ids."""
        return self._tokens

    @property
    def vocabulary_sha256(self) -> str:
        """Of the `vocab.txt` that `save` writes; a records folder's manifest has it, too."""
        text = vocabulary.vocabulary_text(self._tokens)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return len(self._tokens)

    @property
    def special_ids(self) -> tuple[int, ...]:
        """[PAD], [CLS], [SEP], [MASK]: ids that stand for no text and are never predicted."""
        return (self.pad_id, self.cls_id, self.sep_id, self.mask_id)

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Ids of each text, without [CLS] and [SEP].

        `texts`: string, (batch). Result: int32, (batch, (tokens)).
        """
        texts = self._give_up_long_words(self.normalize(tf.convert_to_tensor(texts)))
        return self._word_pieces.tokenize(texts)

    def tokenize_with_masks(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """As `tokenize`, but the literal `[MASK]` becomes the mask token.

        `"big [MASK]!"` gives the ids of `big`, `[MASK]`, `!`.
        """
        pieces = tf.strings.split(texts, sep=vocabulary.MASK)
        ids = self.tokenize(pieces.values)
        is_last = tf.scatter_nd(
            pieces.row_limits()[:, tf.newaxis] - 1,
            tf.ones([pieces.nrows()], tf.int64),
            tf.shape(pieces.values, tf.int64),
        )
        masks = tf.RaggedTensor.from_row_lengths(
            tf.fill([tf.size(is_last) - tf.cast(pieces.nrows(), tf.int32)], self.mask_id),
            1 - is_last,
        )
        ids = tf.concat([ids, masks], axis=1)
        return tf.RaggedTensor.from_row_splits(
            ids.values, tf.gather(ids.row_splits, pieces.row_splits)
        )

    def tokenize_with_offsets(
        self, texts: tf.Tensor, *, with_few_marks: bool = False
    ) -> offsets.TokenOffsets:
        """As `tokenize`, and where each token stands in the user's text.

        `texts`: string, (batch). Result: ragged, (batch, (tokens)). `with_few_marks`: the tokens
        are those of `offsets.few_marks(texts)`.

        Of "don't" with the tokens `don`, `'`, `t`: starts 0, 3, 4 and ends 3, 4, 5. A token has all
        code points that it was made of, of a letter taken apart the whole letter, and the accents
        that were stripped from it; never white space at its ends.
        """
        texts = offsets.with_ends(sentences.replace_invalid_utf8(texts))
        stages = [offsets.Stage("few marks", offsets.few_marks(texts))] if with_few_marks else []
        stages += self._stages(stages[-1].texts if stages else texts)
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
        begins_word = tf.gather(~self._is_continuation, ids.values)
        return offsets.TokenOffsets(ids, starts, ends, ids.with_values(begins_word))

    def normalize(self, texts: tf.Tensor) -> tf.Tensor:
        """Texts as they are before they are split into words: string, (batch), in and out."""
        *_, last = self._stages(sentences.replace_invalid_utf8(texts))
        return last.texts

    def _stages(self, texts: tf.Tensor) -> Iterator[offsets.Stage]:
        """What `normalize` does with valid UTF-8, one after the other."""
        if self._settings.unicode_normalization != "none":
            texts = tf_text.normalize_utf8(texts, self._settings.unicode_normalization)
            yield offsets.Stage(self._settings.unicode_normalization, texts)
        texts = tf.strings.regex_replace(texts, vocabulary.CONTROL_CHARACTERS, "")
        yield offsets.Stage("control", texts)
        if self._settings.lower_case:
            texts = tf.strings.lower(texts, encoding="utf-8")
            yield offsets.Stage("lower", texts)
        if self._settings.strip_accents:
            texts = tf_text.normalize_utf8(texts, "NFD")
            yield offsets.Stage("NFD", texts)
            texts = tf.strings.regex_replace(texts, offsets.MARKS, "")
            yield offsets.Stage("marks", texts)

    def split_sentences(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Sentences of each text: string (batch) to string (batch, (sentences))."""
        return sentences.split_sentences(texts)

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

    @cached_property
    def _is_continuation(self) -> np.ndarray:
        """bool, (tokens): which are pieces that go on with a word."""
        return np.array([token.startswith("##") for token in self._tokens])


def _read_settings(path: Path) -> dict[str, Any]:
    settings = read_json(path, what="tokenizer settings")
    needed = set(SETTINGS) - {"max_word_characters"}
    if not needed <= set(settings) <= set(SETTINGS):
        raise ValueError(
            f"{path}: tokenizer settings must be {', '.join(SETTINGS)}. Received: "
            f"{sorted(settings)}. "
            "A file of another library must be moved away, and its settings given as tokenizer.*."
        )
    validated(TokenizerConfig, settings, origin=str(path), what="settings of a tokenizer")
    return settings
