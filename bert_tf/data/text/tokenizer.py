"""Text to token ids and back, in the graph: data preparation, training and serving ask this face.

Two kinds stand behind it, `wordpiece` and `sentencepiece`. Who wants to know where a word begins,
which ids are control tokens, how text stands between them, or which files hold all this, asks the
tokenizer: nothing else knows `##`, `▁`, `vocab.txt` or `spm.model`.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.config import TokenizerConfig
from bert_tf.data.text import offsets, packing, sentences, vocabulary
from bert_tf.system.files import write_whole
from bert_tf.system.json_files import read_json, validated

SETTINGS_FILE = "tokenizer.json"
WORDPIECE_FILE, SENTENCEPIECE_FILE = vocabulary.VOCABULARY_FILE, "spm.model"
VOCABULARY_FILES = (WORDPIECE_FILE, SENTENCEPIECE_FILE)
"""One of them is in the folder of a tokenizer."""
TOKENIZER_FILES = (*VOCABULARY_FILES, SETTINGS_FILE)
"""All that tokenizers of either kind write; `Tokenizer.files` are those of one."""


class Tokenizer(tf.Module):
    """A vocabulary and how text becomes its ids.

    Text that spells a control token, "[SEP]" say, is text: only packing and masking place control
    tokens. `tokenize_with_masks` is the one exception, for "[MASK]" spelled exactly so.
    """

    vocabulary_file: str
    """The name of the file that holds the vocabulary."""

    def __init__(self, tokens: Sequence[str]) -> None:
        super().__init__(name="tokenizer")
        self._tokens = tuple(tokens)
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

    @staticmethod
    def load(path: str | Path, config: TokenizerConfig | None = None) -> "Tokenizer":
        """The tokenizer in a folder, or beside a file of a vocabulary. Its files say which kind.

        `tokenizer.json` beside the vocabulary rules; without one `config` does. A file of before
        `max_word_characters` leaves that to `config`, too.

        Raises:
            FileNotFoundError: there is no vocabulary.
            ValueError: there are two, or one is damaged, or a field set in `config` contradicts
                `tokenizer.json`.
        """
        from bert_tf.data.text.sentencepiece import SentencePieceTokenizer
        from bert_tf.data.text.wordpiece import WordPieceTokenizer

        file, config = find_vocabulary(path), config or TokenizerConfig()
        if file.suffix == Path(SENTENCEPIECE_FILE).suffix:
            return SentencePieceTokenizer.read(file, config)
        return WordPieceTokenizer.read(file, config)

    def save(self, directory: str | Path) -> Path:
        """Write `files` into `directory`, each whole or not at all, in the place of another's."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        write_whole(directory / SETTINGS_FILE, json.dumps(self.settings, indent=2) + "\n")
        self._write_vocabulary(directory / self.vocabulary_file)
        for name in set(VOCABULARY_FILES) - {self.vocabulary_file}:
            (directory / name).unlink(missing_ok=True)
        return directory

    @property
    def files(self) -> tuple[str, str]:
        """What `save` writes: the vocabulary and its settings."""
        return (self.vocabulary_file, SETTINGS_FILE)

    @property
    def settings(self) -> dict[str, Any]:
        """What `tokenizer.json` holds."""
        raise NotImplementedError

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Tokens in the order of their ids, as the vocabulary spells them."""
        return self._tokens

    @property
    def vocabulary_sha256(self) -> str:
        """Of the file that `save` writes; a records folder's manifest has it, too."""
        raise NotImplementedError

    @property
    def tokens_sha256(self) -> str:
        """Of what ids stand for, as the settings of a fine-tuning have noted it ever since."""
        return hashlib.sha256(json.dumps(self._tokens, ensure_ascii=False).encode()).hexdigest()

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return len(self._tokens)

    @property
    def special_ids(self) -> tuple[int, ...]:
        """[PAD], [CLS], [SEP], [MASK]: ids that stand for no text and are never predicted."""
        return (self.pad_id, self.cls_id, self.sep_id, self.mask_id)

    @property
    def start_id(self) -> int:
        """What a decoder begins a text with: [CLS].

        Source: Rothe et al. 2020, section 3: a BERT that writes begins with [CLS], ends with [SEP].
        """
        return self.cls_id

    @property
    def end_id(self) -> int:
        """What a decoder ends a text with: [SEP]."""
        return self.sep_id

    @property
    def continues_word(self) -> np.ndarray:
        """bool, (tokens): which go on with a word that an earlier token began."""
        raise NotImplementedError

    @property
    def is_white_space(self) -> np.ndarray:
        """bool, (tokens): which stand for white space alone. None of WordPiece."""
        raise NotImplementedError

    def token_text(self, token: str) -> str:
        """A token as people read it, without the mark that says whether a word begins."""
        raise NotImplementedError

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Ids of each text, without [CLS] and [SEP].

        `texts`: string, (batch). Result: int32, (batch, (tokens)).
        """
        raise NotImplementedError

    def tokenize_with_masks(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """As `tokenize`, but the literal `[MASK]` becomes the mask token.

        `"big [MASK]!"` gives the ids of `big`, `[MASK]`, `!`.
        """
        parts = tf.strings.split(texts, sep=vocabulary.MASK)
        ids = self._tokenize_parts(parts)
        is_last = tf.scatter_nd(
            parts.row_limits()[:, tf.newaxis] - 1,
            tf.ones([parts.nrows()], tf.int64),
            tf.shape(parts.values, tf.int64),
        )
        masks = tf.RaggedTensor.from_row_lengths(
            tf.fill([tf.size(is_last) - tf.cast(parts.nrows(), tf.int32)], self.mask_id),
            1 - is_last,
        )
        ids = tf.concat([ids, masks], axis=1)
        return tf.RaggedTensor.from_row_splits(
            ids.values, tf.gather(ids.row_splits, parts.row_splits)
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
        raise NotImplementedError

    def detokenize(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """Texts of ids, without control tokens: int32 (batch, (tokens)) to string (batch)."""
        raise NotImplementedError

    def normalize(self, texts: tf.Tensor) -> tf.Tensor:
        """Texts as they are before they are split: string, (batch), in and out."""
        raise NotImplementedError

    def split_sentences(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Sentences of each text: string (batch) to string (batch, (sentences))."""
        return sentences.split_sentences(texts)

    def pack(
        self,
        first: tf.RaggedTensor,
        second: tf.RaggedTensor | None = None,
        *,
        max_seq_length: int,
    ) -> dict[str, tf.Tensor]:
        """A text or a pair between control tokens, as the encoder reads it: see `packing.pack`."""
        return packing.pack(first, second, max_seq_length=max_seq_length, **self.frame)

    @property
    def frame(self) -> packing.Frame:
        """The ids that text stands between, and what fills a row up, as `packing` takes them."""
        return {"cls_id": self.cls_id, "sep_id": self.sep_id, "pad_id": self.pad_id}

    def _tokenize_parts(self, parts: tf.RaggedTensor) -> tf.RaggedTensor:
        """Ids of texts that were cut at [MASK]: string (batch, (parts)) to (parts, (tokens))."""
        raise NotImplementedError

    def _write_vocabulary(self, path: Path) -> None:
        raise NotImplementedError

    def _without_special(self, ids: tf.RaggedTensor) -> tf.RaggedTensor:
        is_special = np.zeros([self.vocab_size], bool)
        is_special[list(self.special_ids)] = True
        return tf.ragged.boolean_mask(ids, ids.with_values(~tf.gather(is_special, ids.values)))


def find_vocabulary(path: str | Path) -> Path:
    """The file of the vocabulary in a folder, or `path`; of none the name that WordPiece's has.

    Raises:
        ValueError: the folder has vocabularies of both kinds.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    found = [path / name for name in VOCABULARY_FILES if (path / name).is_file()]
    if len(found) > 1:
        raise ValueError(
            f"{path}: a folder must hold one vocabulary. Received: {' and '.join(VOCABULARY_FILES)}"
            ". Name the file that is meant, or remove the other."
        )
    return found[0] if found else path / WORDPIECE_FILE


def read_settings(
    vocabulary_file: Path,
    config: TokenizerConfig,
    *,
    names: Sequence[str],
    optional: Collection[str] = (),
) -> tuple[dict[str, Any], bool]:
    """Settings of a vocabulary, and whether `tokenizer.json` beside it has them.

    Args:
        names: of the settings that its kind has.
        optional: those that older files lack.

    Raises:
        ValueError: the file is another library's, or contradicts `config`.
    """
    settings = {name: getattr(config, name) for name in names}
    path = vocabulary_file.with_name(SETTINGS_FILE)
    if not path.is_file():
        return settings, False
    written = read_settings_file(path, names=names, optional=optional)
    for name in config.model_fields_set.intersection(written):
        if settings[name] != written[name]:
            raise ValueError(
                f"{path}: the settings must be those the vocabulary was made "
                f"with. Received: tokenizer.{name}={settings[name]!r}, the file has "
                f"{written[name]!r}. Leave tokenizer.{name} out of the configuration."
            )
    return settings | written, True


def read_settings_file(
    path: Path, *, names: Sequence[str], optional: Collection[str] = ()
) -> dict[str, Any]:
    """What a `tokenizer.json` holds: raises as `read_settings`."""
    written = read_json(path, what="tokenizer settings")
    if not set(names) - set(optional) <= set(written) <= set(names):
        raise ValueError(
            f"{path}: tokenizer settings must be {', '.join(names)}. Received: "
            f"{sorted(written)}. "
            "A file of another library must be moved away, and its settings given as tokenizer.*."
        )
    validated(TokenizerConfig, written, origin=str(path), what="settings of a tokenizer")
    return written
