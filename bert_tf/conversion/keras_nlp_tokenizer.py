"""keras-nlp's BertTokenizer: ours from one, and one from ours.

On ordinary text both give the same ids; docs/numerics.md lists where not.
"""

import logging
from typing import Any

from bert_tf.conversion.checkpoint import refuse, with_placeholders
from bert_tf.data.text import vocabulary
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.wordpiece import WordPieceTokenizer

logger = logging.getLogger(__name__)

CASE_FOLDED_FORM = "NFKC"
"""Their lower-casing is Unicode's NFKC case folding."""
MAX_WORD_BYTES = 100


def read_tokenizer(theirs: Any, *, vocab_size: int, source: str) -> Tokenizer:
    """Ours for a BertTokenizer. Refuses what it cannot say."""
    faults = [
        f"{name}={getattr(theirs, name)!r}"
        for name, wanted in (
            ("split", True),
            ("split_on_cjk", True),
            ("suffix_indicator", "##"),
            ("oov_token", vocabulary.UNK),
            ("cls_token", vocabulary.CLS),
            ("sep_token", vocabulary.SEP),
            ("pad_token", vocabulary.PAD),
            ("mask_token", vocabulary.MASK),
        )
        if getattr(theirs, name) != wanted
    ]
    if theirs.strip_accents and not theirs.lowercase:
        faults.append("strip_accents=True with lowercase=False")
    refuse(source, faults, what="the tokenizer must be BERT's WordPiece.")
    if theirs.special_tokens_in_strings:
        logger.warning(
            "%s: special_tokens_in_strings is left out: only [MASK] is read from a text, and only "
            "where masks are to be filled.",
            source,
        )
    return WordPieceTokenizer(
        with_placeholders(theirs.get_vocabulary(), vocab_size=vocab_size, source=source),
        lower_case=theirs.lowercase,
        strip_accents=theirs.strip_accents,
        unicode_normalization=CASE_FOLDED_FORM if theirs.lowercase else "none",
        max_word_characters=MAX_WORD_BYTES,
    )


def make_tokenizer(ours: Tokenizer) -> Any:
    """A BertTokenizer for ours; the log names settings that it does not have."""
    import keras_nlp

    settings = ours.settings
    theirs = {
        "unicode_normalization": CASE_FOLDED_FORM if settings["lower_case"] else "none",
        "max_word_characters": MAX_WORD_BYTES,
    }
    lost = [f"{name}={settings[name]!r}" for name in theirs if settings[name] != theirs[name]]
    if lost:
        logger.warning(
            "keras-nlp's tokenizer does not have %s: its ids differ in texts that this changes.",
            " and ".join(lost),
        )
    # Keras would number the names of a process's tokenizers, and write the number into the preset.
    return keras_nlp.models.BertTokenizer(
        name="bert_tokenizer",
        vocabulary=list(ours.vocabulary),
        lowercase=settings["lower_case"],
        strip_accents=settings["strip_accents"],
    )
