"""Hugging Face tokenizer files: `vocab.txt`, `tokenizer_config.json`, `tokenizer.json`.

Newer folders hold the vocabulary in `tokenizer.json` alone. Versions of `transformers` do not agree
on which file rules where two contradict each other: that is refused.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers

from bert_tf.conversion.checkpoint import refuse, with_placeholders
from bert_tf.conversion.huggingface_case import (
    BERT_CLASSES,
    GENERIC_CLASSES,
    Files,
    class_name,
    decide_case,
)
from bert_tf.data.text import vocabulary
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.system.files import write_whole
from bert_tf.system.json_files import read_json

VOCABULARY_FILE = "vocab.txt"
CONFIG_FILE = "tokenizer_config.json"
TOKENIZER_FILE = "tokenizer.json"
MAP_FILE = "special_tokens_map.json"
ADDED_FILE = "added_tokens.json"
CONTROL_TOKENS = {
    "pad_token": vocabulary.PAD,
    "unk_token": vocabulary.UNK,
    "cls_token": vocabulary.CLS,
    "sep_token": vocabulary.SEP,
    "mask_token": vocabulary.MASK,
}
DEFAULT_MAX_WORD_CHARACTERS = 100
UNICODE_FORMS = ("NFC", "NFKC")


def read_tokenizer(
    path: Path, *, vocab_size: int, lower_case: bool | None = None
) -> Tokenizer | None:
    """The tokenizer of a folder, or None where it holds no vocabulary.

    Args:
        vocab_size: rows of the embedding table; the vocabulary is filled up to it.
        lower_case: overrules the files; None takes what they say, and where they say nothing
            asks `is_uncased`.

    Raises:
        ValueError: the files contradict each other, or ask for something other than BERT's
            WordPiece; lists every reason.
    """
    config, backend = _optional(path / CONFIG_FILE), _optional(path / TOKENIZER_FILE)
    lists = []
    if (path / VOCABULARY_FILE).is_file():
        lists.append(vocabulary.read_vocabulary(path / VOCABULARY_FILE))
    if backend:
        lists.append(_tokens(backend, source=str(path / TOKENIZER_FILE)))
    if not lists:
        return None
    forms, bert, faults = _normalizers(backend)
    faults += _foreign_tokens(path, config, backend)
    faults += _foreign_settings(config, backend, forms, bert)
    if lists[0] != lists[-1]:
        faults.append(f"{VOCABULARY_FILE} and {TOKENIZER_FILE} with other tokens or ids")
    (lower_case, strip_accents), contradictions = decide_case(
        Files(config, backend, bert), lists[0], asked_for=lower_case, source=str(path)
    )
    refuse(str(path), faults + contradictions, what="the tokenizer must be BERT's WordPiece.")
    return WordPieceTokenizer(
        with_placeholders(lists[0], vocab_size=vocab_size, source=str(path)),
        lower_case=lower_case,
        strip_accents=strip_accents,
        unicode_normalization=forms[0] if forms else "none",
        max_word_characters=_max_word_characters(backend),
    )


def max_length(path: Path) -> int | None:
    """The longest sequence that the tokenizer's configuration names; None where it does not."""
    length = _optional(path / CONFIG_FILE).get("model_max_length")
    if length is None or (isinstance(length, int | float) and length >= 1 << 31):
        return None  # without a limit some versions write 10^30
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        raise ValueError(
            f"{path / CONFIG_FILE}: model_max_length must be a whole number from 1 on. Received: "
            f"{length!r}."
        )
    return length


def write_tokenizer(tokenizer: Tokenizer, directory: Path, *, max_length: int) -> None:
    """Write all three files; `transformers` gives the same ids as `tokenizer` with them."""
    settings = tokenizer.settings
    backend = _backend(tokenizer)
    write_whole(directory / TOKENIZER_FILE, backend.to_str(pretty=True) + "\n")
    vocabulary.write_vocabulary(tokenizer.vocabulary, directory / VOCABULARY_FILE)
    config: dict[str, Any] = {
        **CONTROL_TOKENS,
        "do_lower_case": settings["lower_case"],
        "strip_accents": settings["strip_accents"],
        "tokenize_chinese_chars": True,
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        # A BertTokenizer cannot say these two; the other class takes tokenizer.json as it is.
        "tokenizer_class": (
            "BertTokenizer"
            if settings["unicode_normalization"] == "none"
            and settings["max_word_characters"] == DEFAULT_MAX_WORD_CHARACTERS
            else "PreTrainedTokenizerFast"
        ),
    }
    write_whole(directory / CONFIG_FILE, json.dumps(config, indent=2) + "\n")
    write_whole(directory / MAP_FILE, json.dumps(CONTROL_TOKENS, indent=2) + "\n")


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _tokens(backend: Mapping[str, Any], *, source: str) -> list[str]:
    model = backend.get("model") or {}
    ids = model.get("vocab", {})
    if not isinstance(ids, dict) or sorted(ids.values()) != list(range(len(ids))):
        raise ValueError(
            f"{source}: the vocabulary must be a WordPiece one with ids from 0 without a gap. "
            f"Received: model type {model.get('type')!r}, {len(ids):,} entries."
        )
    return sorted(ids, key=ids.__getitem__)


def _foreign_tokens(path: Path, config: Mapping[str, Any], backend: Mapping[str, Any]) -> list[str]:
    """Tokens that are cut out of a text before it is tokenised, and other control tokens."""
    named = _optional(path / MAP_FILE)
    added: list[Any] = [token.get("content") for token in backend.get("added_tokens") or ()]
    added += _optional(path / ADDED_FILE)
    decoder = config.get("added_tokens_decoder") or {}
    added += [token.get("content") for token in decoder.values()]
    for settings in (config, named):
        for name in ("additional_special_tokens", "extra_special_tokens"):
            tokens = settings.get(name) or ()
            added += tokens.values() if isinstance(tokens, dict) else tokens
    contents = [token.get("content") if isinstance(token, dict) else token for token in added]
    foreign = dict.fromkeys(token for token in contents if token not in CONTROL_TOKENS.values())
    faults = [f"added token {token!r}" for token in foreign]
    for settings in (config, named):
        for name, token in CONTROL_TOKENS.items():
            given = settings.get(name, token)
            given = given.get("content") if isinstance(given, dict) else given
            if given != token:
                faults.append(f"{name}={given!r}")
    return faults


def _foreign_settings(
    config: Mapping[str, Any],
    backend: Mapping[str, Any],
    forms: list[str],
    bert: Mapping[str, Any],
) -> list[str]:
    """What is set otherwise than in every BERT tokenizer."""
    model = backend.get("model") or {}
    before = (backend.get("pre_tokenizer") or {}).get("type")
    after = (backend.get("post_processor") or {}).get("type")
    is_bert = class_name(config) in BERT_CLASSES
    checks = (
        ("tokenize_chinese_chars", config.get("tokenize_chinese_chars", True), (True,)),
        ("do_basic_tokenize", config.get("do_basic_tokenize", True), (True,)),
        ("never_split", config.get("never_split") or None, (None,)),
        ("tokenizer_class", class_name(config), (*BERT_CLASSES, *GENERIC_CLASSES)),
        ("handle_chinese_chars", bert.get("handle_chinese_chars", True), (True,)),
        ("clean_text", bert.get("clean_text", True), (True,)),
        ("pre_tokenizer", before, ("BertPreTokenizer",) if backend else (None,)),
        ("post_processor", after, ("TemplateProcessing", "BertProcessing", None)),
        ("model", model.get("type", "WordPiece"), ("WordPiece",)),
        ("unk_token of the model", model.get("unk_token", vocabulary.UNK), (vocabulary.UNK,)),
        ("continuing_subword_prefix", model.get("continuing_subword_prefix", "##"), ("##",)),
    )
    faults = [f"{name}={value!r}" for name, value, known in checks if value not in known]
    if is_bert and _max_word_characters(backend) != DEFAULT_MAX_WORD_CHARACTERS:
        faults.append(f"max_input_chars_per_word={_max_word_characters(backend)} with a Bert class")
    if is_bert and forms:
        faults.append(f"normalizer {forms[0]} with a Bert class")
    return faults


def _max_word_characters(backend: Mapping[str, Any]) -> int:
    model = backend.get("model") or {}
    number = model.get("max_input_chars_per_word", DEFAULT_MAX_WORD_CHARACTERS)
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(
            f"{TOKENIZER_FILE}: max_input_chars_per_word must be a whole number from 1 on. "
            f"Received: {number!r}. Mend the file, or take it anew from where it came from."
        )
    return number


def _normalizers(backend: Mapping[str, Any]) -> tuple[list[str], dict[str, Any], list[str]]:
    """Unicode forms, the BertNormalizer and all else of a `tokenizer.json`."""
    normalizer = backend.get("normalizer") or {}
    stages = normalizer.get("normalizers", [normalizer] if normalizer else [])
    kinds = [stage.get("type") for stage in stages]
    forms = [kind for kind in kinds if kind in UNICODE_FORMS]
    bert = [stage for stage in stages if stage.get("type") == "BertNormalizer"]
    is_known = len(forms) <= 1 and kinds == [*forms, *(["BertNormalizer"] if bert else [])]
    return forms, bert[0] if bert else {}, [] if is_known else [f"normalizers {kinds}"]


def _backend(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    ids = {token: index for index, token in enumerate(tokenizer.vocabulary)}
    settings = tokenizer.settings
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(
            ids,
            unk_token=vocabulary.UNK,
            max_input_chars_per_word=settings["max_word_characters"],
        )
    )
    bert = tokenizers.normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=True,
        strip_accents=settings["strip_accents"],
        lowercase=settings["lower_case"],
    )
    form = settings["unicode_normalization"]
    backend.normalizer = (
        bert
        if form == "none"
        else tokenizers.normalizers.Sequence([getattr(tokenizers.normalizers, form)(), bert])
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    backend.decoder = tokenizers.decoders.WordPiece()
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single=f"{vocabulary.CLS} $A {vocabulary.SEP}",
        pair=f"{vocabulary.CLS} $A {vocabulary.SEP} $B:1 {vocabulary.SEP}:1",
        special_tokens=[(token, ids[token]) for token in (vocabulary.CLS, vocabulary.SEP)],
    )
    backend.add_special_tokens(list(CONTROL_TOKENS.values()))
    return backend
