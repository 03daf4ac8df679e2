"""Texts in, a SentencePiece model out, unigram or BPE.

Stages: normalise by the tokenizer's own graph; count words; learn from the words in their order,
with their counts. So the same texts give the same model, whatever their order. Words of running
text begin with a space, as the first of a text does: nothing more is learnt of spaces.
"""

import io
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import sentencepiece
import tensorflow as tf

from bert_tf.config import TokenizerConfig, VocabularyConfig
from bert_tf.data.text import offsets, pieces, sentences, vocabulary
from bert_tf.data.text.normalization import normalizing_stages, without_ends
from bert_tf.data.text.sentencepiece_model import SPACE

logger = logging.getLogger(__name__)

NUM_THREADS = 4
"""Expected counts are summed thread by thread: another number gives another model."""
LONGEST_WORD = 400
"""Characters. Longer ones, such as sentences of a script without spaces, are cut."""
_WARNINGS_AND_ERRORS = 1


def learn_model(
    documents: Iterable[str], *, config: VocabularyConfig, tokenizer: TokenizerConfig
) -> bytes:
    """The content of a model file with at most `config.size` tokens.

    Ids: [PAD] [UNK] [CLS] [SEP] [MASK] 0 to 4, [unusedN], user tokens, bytes, pieces. Reads
    `documents` once and holds each different word with its count.

    Raises:
        ValueError: no text; a size too small for the characters; a user token that is no word.
    """
    _check_user_tokens(config.user_tokens, tokenizer=tokenizer)
    counts = _count_words(documents, tokenizer=tokenizer)
    if not counts:
        raise ValueError(vocabulary.NO_TEXT)
    vocabulary.warn_of_hangul(counts, tokenizer=tokenizer)
    learned = io.BytesIO()
    reserved = [f"[unused{number}]" for number in range(config.num_reserved_tokens)]
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(f"{word}\t{counts[word]}" for word in sorted(counts)),
            input_format="tsv",
            model_writer=learned,
            model_type=config.kind,
            vocab_size=config.size,
            hard_vocab_limit=False,
            character_coverage=config.character_coverage,
            byte_fallback=config.byte_fallback,
            **_control_pieces(),
            control_symbols=[vocabulary.MASK, *reserved],
            user_defined_symbols=list(config.user_tokens),
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            max_sentence_length=8 * LONGEST_WORD,
            num_threads=NUM_THREADS,
            minloglevel=_WARNINGS_AND_ERRORS,
        )
    except (RuntimeError, OSError) as error:
        raise ValueError(
            "vocabulary.size must hold the control, reserved and user tokens, the bytes and the "
            f"characters of the corpus. Received: {config.size}; SentencePiece says: {error}. "
            "Raise vocabulary.size or lower vocabulary.character_coverage."
        ) from error
    return learned.getvalue()


def _control_pieces() -> dict[str, Any]:
    names = {"pad": vocabulary.PAD, "unk": vocabulary.UNK, "bos": vocabulary.CLS}
    names["eos"] = vocabulary.SEP
    ids = {f"{name}_id": number for number, name in enumerate(names)}
    return {**ids, **{f"{name}_piece": token for name, token in names.items()}}


def _check_user_tokens(user_tokens: Iterable[str], *, tokenizer: TokenizerConfig) -> None:
    for token in user_tokens:
        (normalized,) = _normalize([token.encode()], tokenizer=tokenizer)
        if normalized.split() != [token] or SPACE in token or token in vocabulary.CONTROL_TOKENS:
            raise ValueError(
                f"vocabulary.user_tokens must be whole words after normalisation, without {SPACE}, "
                f"and no control tokens. Received: {token!r}, which becomes {normalized!r}. Leave "
                "it out or spell it so."
            )


def _count_words(documents: Iterable[str], *, tokenizer: TokenizerConfig) -> Counter[str]:
    counts: Counter[str] = Counter()
    for batch in pieces.batches(document.encode() for document in documents):
        for text in _normalize(batch.pieces, tokenizer=tokenizer):
            for word, count in Counter(text.replace(SPACE, " ").replace("\0", " ").split()).items():
                for part in _parts(word):
                    counts[part] += count
    return counts


def _normalize(texts: list[bytes], *, tokenizer: TokenizerConfig) -> Iterator[str]:
    """Of `SentencePieceTokenizer.normalize`, but for white space, which parts words anyway."""
    normalized = offsets.with_ends(sentences.replace_invalid_utf8(tf.constant(texts, tf.string)))
    if not tokenizer.lossless:
        *_, last = normalizing_stages(normalized, tokenizer)
        normalized = last.texts
    return (text.decode() for text in without_ends(normalized).numpy())


def _parts(word: str) -> Iterator[str]:
    for start in range(0, len(word), LONGEST_WORD):
        yield word[start : start + LONGEST_WORD]
