"""Hugging Face tokenizer files: `vocab.txt`, `tokenizer_config.json`, `tokenizer.json`.

Newer folders hold the vocabulary in `tokenizer.json` alone. Where both files speak, the
configuration of a `BertTokenizer` rules, as in `transformers`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers

from bert_tf.conversion.checkpoint import read_json, refuse, with_placeholders
from bert_tf.data import vocabulary
from bert_tf.data.tokenizer import Tokenizer
from bert_tf.files import write_whole

VOCABULARY_FILE = "vocab.txt"
CONFIG_FILE = "tokenizer_config.json"
TOKENIZER_FILE = "tokenizer.json"
CONTROL_TOKENS = {
    "pad_token": vocabulary.PAD,
    "unk_token": vocabulary.UNK,
    "cls_token": vocabulary.CLS,
    "sep_token": vocabulary.SEP,
    "mask_token": vocabulary.MASK,
}
DEFAULT_MAX_WORD_CHARACTERS = 100
UNICODE_FORMS = ("NFC", "NFKC")


def read_tokenizer(path: Path, *, vocab_size: int) -> Tokenizer | None:
    """The tokenizer of a folder, or None where it holds no vocabulary.

    Raises:
        ValueError: the files ask for something other than BERT's WordPiece.
    """
    config = _optional(path / CONFIG_FILE)
    backend = _optional(path / TOKENIZER_FILE)
    if (path / VOCABULARY_FILE).is_file():
        tokens = vocabulary.read_vocabulary(path / VOCABULARY_FILE)
    elif backend:
        tokens = _tokens(backend, source=str(path / TOKENIZER_FILE))
    else:
        return None
    settings = _settings(config, backend, tokens, source=str(path))
    filled = with_placeholders(tokens, vocab_size=vocab_size, source=str(path))
    return Tokenizer(filled, **settings)


def max_length(path: Path) -> int | None:
    """The longest sequence that the tokenizer's configuration names; None where it does not."""
    length = _optional(path / CONFIG_FILE).get("model_max_length")
    # Without a limit some versions write 10^30.
    return int(length) if length and length < 1 << 31 else None


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
    write_whole(directory / "special_tokens_map.json", json.dumps(CONTROL_TOKENS, indent=2) + "\n")


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _tokens(backend: Mapping[str, Any], *, source: str) -> list[str]:
    ids = backend.get("model", {}).get("vocab", {})
    if not isinstance(ids, dict) or sorted(ids.values()) != list(range(len(ids))):
        raise ValueError(
            f"{source}: the vocabulary must be a WordPiece one with ids from 0 without a gap. "
            f"Received: model type {backend.get('model', {}).get('type')!r}, {len(ids):,} entries."
        )
    return sorted(ids, key=ids.__getitem__)


def _settings(
    config: Mapping[str, Any], backend: Mapping[str, Any], tokens: list[str], *, source: str
) -> dict[str, Any]:
    """The arguments of `Tokenizer`; refuses what they cannot say."""
    forms, bert, faults = _normalizers(backend)
    is_bert = str(config.get("tokenizer_class", "BertTokenizer")).startswith("BertTokenizer")
    named = config if is_bert or not bert else {}
    lower_case = named.get("do_lower_case", bert.get("lowercase", True))
    strip_accents = named.get("strip_accents", bert.get("strip_accents"))
    model = backend.get("model", {})
    checks = {
        "tokenize_chinese_chars": named.get(
            "tokenize_chinese_chars", bert.get("handle_chinese_chars", True)
        ),
        "do_basic_tokenize": config.get("do_basic_tokenize", True),
        "clean_text": bert.get("clean_text", True),
    }
    faults += [f"{name}={value!r}" for name, value in checks.items() if value is not True]
    if config.get("never_split"):
        faults.append(f"never_split={config['never_split']!r}")
    if model.get("type", "WordPiece") != "WordPiece":
        faults.append(f"model={model['type']!r}")
    if model.get("continuing_subword_prefix", "##") != "##":
        faults.append(f"continuing_subword_prefix={model['continuing_subword_prefix']!r}")
    for name, token in CONTROL_TOKENS.items():
        given = config.get(name, token)
        given = given.get("content") if isinstance(given, dict) else given
        if given != token:
            faults.append(f"{name}={given!r}")
    known = set(tokens)
    added = [token.get("content") for token in backend.get("added_tokens", ())]
    faults += [f"added token {token!r}" for token in added if token not in known]
    refuse(source, faults, what="the tokenizer must be BERT's WordPiece.")
    return {
        "lower_case": lower_case,
        "strip_accents": lower_case if strip_accents is None else strip_accents,
        "unicode_normalization": forms[0] if forms else "none",
        "max_word_characters": model.get("max_input_chars_per_word", DEFAULT_MAX_WORD_CHARACTERS),
    }


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
