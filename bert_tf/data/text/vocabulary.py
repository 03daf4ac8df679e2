"""Texts in, a WordPiece vocabulary out; `vocab.txt` written and read.

Stages: normalise as the tokenizer does; count words; keep the commonest characters; leave out
words that the tokenizer could only give [UNK]; merge the commonest pairs (HF `tokenizers`).

The same texts give the same list. HF's own trainer does not promise that: it numbers the
continuing characters (`##a`) in the order of a hash map and breaks ties by these numbers, and cuts
the alphabet by an unstable sort. So alphabet and words are settled here, and it only merges.
"""

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import tokenizers

from bert_tf.config import TokenizerConfig, VocabularyConfig
from bert_tf.data.text.pieces import cut
from bert_tf.system.files import write_whole
from bert_tf.system.json_files import read_text
from bert_tf.system.lookalikes import path_hint

logger = logging.getLogger(__name__)

VOCABULARY_FILE = "vocab.txt"
PAD, UNK, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
CONTROL_TOKENS = (PAD, UNK, CLS, SEP, MASK)
NUM_RESERVED_BEFORE_UNK = 99
"""Google's published vocabularies: [PAD] 0, [unused…] 1 to 99, [UNK] to [MASK] 100 to 103."""
NORMALIZED_BYTES = 1 << 18
"""At once: the normaliser needs 30 times as much memory."""
LONGEST_RUN, LONGEST_WORD = 64, 400
"""Characters. Text without white space is no word to be held; no limit of a word is higher."""
HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\uac00-\ud7ff]")
NO_TEXT = (
    "a vocabulary is learned from text. Received: documents without a word. Set corpus.paths to "
    "files with text, of which not all is held out (corpus.held_out_share)."
)
CONTROL_CHARACTERS = r"[\x{0}-\x{8}\x{b}\x{c}\x{e}-\x{1f}\x{7f}-\x{9f}\p{Cf}\x{fffd}]+"
"""Removed before words are split, as Google does: a zero-width space parts no word."""


def learn_vocabulary(
    documents: Iterable[str], *, config: VocabularyConfig, tokenizer: TokenizerConfig
) -> list[str]:
    """At most `config.size` tokens: control, reserved and user tokens, characters, merges.

    Reads `documents` once and holds each different word with its count. Warns of lower-casing a
    corpus with Hangul.

    Raises:
        ValueError: no text; a size too small for the alphabet; a user token that the tokenizer
            would take apart or give up as too long.
    """
    normalizer = make_normalizer(tokenizer)
    _check_user_tokens(
        config.user_tokens, normalizer=normalizer, max_characters=tokenizer.max_word_characters
    )
    counts = _count_words(documents, normalizer=normalizer)
    if not counts:
        raise ValueError(NO_TEXT)
    warn_of_hangul(counts, tokenizer=tokenizer)
    alphabet = _alphabet(counts, limit=config.limit_alphabet)
    allowed = set(alphabet)
    words = sorted(
        word
        for word in counts
        if len(word) <= tokenizer.max_word_characters and allowed.issuperset(word)
    )
    first_tokens = _first_tokens(words, alphabet=allowed, config=config)
    learned = _merge(
        ((word, counts[word]) for word in words),
        first_tokens=first_tokens,
        alphabet=alphabet,
        config=config,
    )
    if len(learned) < config.size:
        logger.warning(
            "The corpus gave %d tokens of the %d asked for: no further pair occurs %d times.",
            len(learned),
            config.size,
            config.min_frequency,
        )
    return learned


def reserve_tokens(num_reserved: int) -> list[str]:
    """The control tokens with `num_reserved` [unusedN] in the places Google's vocabularies have.

    0 gives ids 0 to 4 for [PAD] [UNK] [CLS] [SEP] [MASK]; 99 or more give 0 and 100 to 103.
    """
    reserved = [f"[unused{number}]" for number in range(num_reserved)]
    before, after = reserved[:NUM_RESERVED_BEFORE_UNK], reserved[NUM_RESERVED_BEFORE_UNK:]
    return [PAD, *before, *CONTROL_TOKENS[1:], *after]


def make_normalizer(config: TokenizerConfig) -> tokenizers.normalizers.Normalizer:
    """The tokenizer's normalisation outside the graph: Unicode form, clean-up, case, accents.

    HF's own clean-up is not used: it drops private-use characters, which Google's does not.
    """
    control_characters = tokenizers.Regex(CONTROL_CHARACTERS)
    clean_up = tokenizers.normalizers.Replace(control_characters, "")
    bert = tokenizers.normalizers.BertNormalizer(
        clean_text=False,
        handle_chinese_chars=True,
        strip_accents=config.strip_accents,
        lowercase=config.lower_case,
    )
    if config.unicode_normalization == "none":
        return tokenizers.normalizers.Sequence([clean_up, bert])
    form = getattr(tokenizers.normalizers, config.unicode_normalization)()
    return tokenizers.normalizers.Sequence([form, clean_up, bert])


def write_vocabulary(tokens: Sequence[str], path: str | Path) -> Path:
    """Write one token a line, whole or not at all. Returns the path."""
    return write_whole(path, vocabulary_text(tokens))


def vocabulary_text(tokens: Sequence[str]) -> str:
    """What a `vocab.txt` holds: one token a line."""
    return "".join(f"{token}\n" for token in tokens)


def read_vocabulary(path: str | Path) -> list[str]:
    """Tokens of a `vocab.txt`; the line number, from 0, is the id.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not UTF-8, a token stands twice, a line is empty, or a control token is
            missing.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: a vocabulary file must exist. Received: no such file. "
            "Set tokenizer.vocabulary to a vocab.txt, or learn one with `bert-tf vocab`."
            f"{path_hint(path)}"
        )
    text = read_text(path, what="a vocabulary", codec="utf-8-sig")
    tokens = [line.rstrip("\r") for line in text.removesuffix("\n").split("\n") if text.strip()]
    first_line: dict[str, int] = {}
    num_filled = len(text.rstrip("\n\r\t ").split("\n"))
    for number, token in enumerate(tokens, start=1):
        if number > num_filled:
            raise ValueError(
                f"{path}:{number}: a vocabulary ends with its last token. Received: "
                f"{len(tokens) - num_filled} empty line(s) at the end. Remove them: that shifts no "
                "id, and a model keeps its tokens."
            )
        if not token:
            raise ValueError(
                f"{path}:{number}: a vocabulary has one token a line. Received: an empty line. "
                "Remove it only if no model was trained with this file: it shifts the ids."
            )
        if token in first_line:
            raise ValueError(
                f"{path}:{number}: a token must stand once in a vocabulary. Received: {token!r}, "
                f"which is in line {first_line[token]} already. Learn the vocabulary "
                "again; where a model came with it, rename the line whose id is not used."
            )
        first_line[token] = number
    missing = [token for token in CONTROL_TOKENS if token not in first_line]
    if missing:
        raise ValueError(
            f"{path}:{len(tokens)}: a vocabulary must hold {' '.join(CONTROL_TOKENS)}. "
            f"Received: none of {' '.join(missing)} up to the last line. "
            "Use a BERT vocabulary, one token a line."
        )
    return tokens


def _check_user_tokens(
    user_tokens: Sequence[str],
    *,
    normalizer: tokenizers.normalizers.Normalizer,
    max_characters: int,
) -> None:
    for token in user_tokens:
        pieces = _words(normalizer.normalize_str(token))
        if pieces != [token] and token not in CONTROL_TOKENS:
            raise ValueError(
                "vocabulary.user_tokens must be whole words after normalisation. "
                f"Received: {token!r}, which becomes {pieces}. Give these words instead."
            )
        if len(token) > max_characters:
            raise ValueError(
                "vocabulary.user_tokens must not be longer than tokenizer.max_word_characters="
                f"{max_characters}: longer words are [UNK]. Received: {token!r}, {len(token)} "
                "characters. Raise the limit or leave the token out."
            )


def warn_of_hangul(counts: Counter[str], *, tokenizer: TokenizerConfig) -> None:
    """Warn where words with Hangul are lower-cased."""
    if not tokenizer.lower_case:
        return
    num_hangul = sum(count for word, count in counts.items() if HANGUL.search(word))
    if not num_hangul:
        return
    logger.warning(
        "tokenizer.lower_case should be false for Korean. Received: true, and %.2f%% of the words "
        "have Hangul%s. Hangul has no case; a cased vocabulary is the default.",
        100 * num_hangul / counts.total(),
        ", which tokenizer.strip_accents takes apart into jamo"
        if tokenizer.strip_accents
        else " (kept whole here; Google's and Hugging Face's uncased BERT take it apart)",
    )


def _count_words(
    documents: Iterable[str], *, normalizer: tokenizers.normalizers.Normalizer
) -> Counter[str]:
    runs: Counter[str] = Counter()
    words: Counter[str] = Counter()
    for chunk in _chunks(documents, num_characters=1 << 16):
        for run, count in Counter(normalizer.normalize_str(chunk).split()).items():
            if len(run) <= LONGEST_RUN:
                runs[run] += count
            else:
                _add_words(words, run, count)
    for run, count in runs.items():
        _add_words(words, run, count)
    return words


def _add_words(words: Counter[str], run: str, count: int) -> None:
    """Count the words of a run; of one beyond any limit its characters, of which none is merged."""
    for word in _words(run):
        if len(word) <= LONGEST_WORD:
            words[word] += count
        else:
            for character, times in Counter(word).items():
                words[character] += times * count


def _chunks(documents: Iterable[str], *, num_characters: int) -> Iterator[str]:
    """Documents joined, and long ones cut: the normaliser costs more a call than a character."""
    parts: list[str] = []
    length = 0
    for document in documents:
        if len(document) > NORMALIZED_BYTES:
            yield from (piece.decode() for piece in cut(document.encode(), NORMALIZED_BYTES))
            continue
        parts.append(document)
        length += len(document)
        if length >= num_characters:
            yield "\n".join(parts)
            parts, length = [], 0
    if parts:
        yield "\n".join(parts)


def _words(text: str) -> list[str]:
    split = tokenizers.pre_tokenizers.BertPreTokenizer()
    return [word for word, _ in split.pre_tokenize_str(text)]


def _alphabet(counts: Counter[str], *, limit: int) -> list[str]:
    characters: Counter[str] = Counter()
    for word, count in counts.items():
        for character in word:
            characters[character] += count
    characters.pop("\N{REPLACEMENT CHARACTER}", None)
    for character in [c for c in characters if unicodedata.category(c) == "Cn"]:
        del characters[character]
    commonest = sorted(characters, key=lambda character: (-characters[character], character))
    return sorted(commonest[:limit])


def _first_tokens(
    words: Iterable[str], *, alphabet: set[str], config: VocabularyConfig
) -> list[str]:
    """What stands before the alphabet, in this order: control, user and continuing tokens."""
    continuing = sorted({"##" + character for word in words for character in word[1:]})
    fixed = [*reserve_tokens(config.num_reserved_tokens), *config.user_tokens, *continuing]
    first_tokens = list(dict.fromkeys(fixed))
    num_fixed = len(set(first_tokens) | alphabet)
    if num_fixed > config.size:
        raise ValueError(
            f"vocabulary.size must hold the {num_fixed} control, reserved and user tokens and "
            f"characters of the corpus. Received: {config.size}. Raise vocabulary.size or lower "
            "vocabulary.limit_alphabet or vocabulary.num_reserved_tokens."
        )
    return first_tokens


def _merge(
    words: Iterable[tuple[str, int]],
    *,
    first_tokens: Sequence[str],
    alphabet: Sequence[str],
    config: VocabularyConfig,
) -> list[str]:
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=config.size,
        min_frequency=config.min_frequency,
        show_progress=False,
        special_tokens=list(first_tokens),
        initial_alphabet=list(alphabet),
        limit_alphabet=len(alphabet),
    )
    model = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token=UNK))
    model.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    model.train_from_iterator(_repeat(words), trainer)
    ids = model.get_vocab()
    return sorted(ids, key=ids.__getitem__)


def _repeat(words: Iterable[tuple[str, int]]) -> Iterator[str]:
    """Each word as often as it occurs: the trainer takes texts, not counts."""
    for word, count in words:
        while count > 0:
            part = min(count, 4096)
            yield f"{word} " * part
            count -= part
