"""Tokenizer files of Hugging Face folders: what is read, and what would change ids is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from bert_tf.conversion import huggingface_tokenizer
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.vocabulary import CONTROL_TOKENS
from bert_tf.data.text.wordpiece import WordPieceTokenizer

TOKENS = [*CONTROL_TOKENS, "cat", "##s", "the", "[unused0]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files as we write them: a cased BertTokenizer."""
    tokenizer = WordPieceTokenizer(
        TOKENS,
        lower_case=False,
        strip_accents=False,
        unicode_normalization="none",
        max_word_characters=100,
    )
    huggingface_tokenizer.write_tokenizer(tokenizer, tmp_path, max_length=64)
    return tmp_path


def edit(path: Path, **changes: Any) -> None:
    settings = json.loads(path.read_text()) if path.is_file() else {}
    for name, value in changes.items():
        *parents, last = name.split("__")
        inner = settings
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
    path.write_text(json.dumps(settings))


def read(folder: Path) -> Tokenizer | None:
    return huggingface_tokenizer.read_tokenizer(folder, vocab_size=len(TOKENS))


def test_what_we_write_is_read_from_either_file(folder: Path) -> None:
    both = read(folder)
    (folder / "vocab.txt").unlink()
    alone = read(folder)
    (folder / "tokenizer.json").unlink()
    assert both is not None
    assert alone is not None
    assert both.vocabulary == alone.vocabulary == tuple(TOKENS)
    assert both.settings == alone.settings
    assert huggingface_tokenizer.max_length(folder) == 64
    assert read(folder) is None


@pytest.mark.parametrize(
    ("file", "changes", "fault"),
    [
        ("added_tokens.json", {"newtok": 9}, "added token 'newtok'"),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": {"9": {"content": "<e1>"}}},
            "added token '<e1>'",
        ),
        (
            "tokenizer_config.json",
            {"additional_special_tokens": ["[unused0]"]},
            "added token '[unused0]'",
        ),
        ("special_tokens_map.json", {"additional_special_tokens": ["<x>"]}, "added token '<x>'"),
        ("special_tokens_map.json", {"mask_token": "<mask>"}, "mask_token='<mask>'"),
        ("tokenizer.json", {"added_tokens": [{"content": "cat"}]}, "added token 'cat'"),
        ("tokenizer.json", {"pre_tokenizer": {"type": "WhitespaceSplit"}}, "WhitespaceSplit"),
        ("tokenizer.json", {"model__unk_token": "[unused0]"}, "unk_token of the model"),
        ("tokenizer.json", {"model__max_input_chars_per_word": 50}, "max_input_chars_per_word=50"),
        ("tokenizer.json", {"normalizer__lowercase": True}, "lower case False"),
        ("tokenizer.json", {"model__vocab__cat": 6, "model__vocab__##s": 5}, "other tokens or ids"),
        ("tokenizer_config.json", {"tokenizer_class": "BertJapaneseTokenizer"}, "Japanese"),
        ("tokenizer_config.json", {"tokenize_chinese_chars": False}, "tokenize_chinese_chars"),
        ("tokenizer_config.json", {"strip_accents": True}, "strip_accents=True with do_lower_case"),
    ],
)
def test_what_would_give_other_ids_is_refused_by_name(
    folder: Path, file: str, changes: dict[str, Any], fault: str
) -> None:
    edit(folder / file, **changes)
    with pytest.raises(ValueError, match=r"must be BERT's WordPiece") as caught:
        read(folder)
    assert fault in str(caught.value)


def test_every_fault_stands_in_one_error(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", never_split=["x"], do_basic_tokenize=False)
    with pytest.raises(ValueError, match=r"must be BERT's WordPiece") as caught:
        read(folder)
    assert "never_split=['x']" in str(caught.value)
    assert "do_basic_tokenize=False" in str(caught.value)


@pytest.mark.parametrize("length", [-1, 0, "x", 12.5])
def test_a_length_that_is_none_is_refused(folder: Path, length: Any) -> None:
    edit(folder / "tokenizer_config.json", model_max_length=length)
    with pytest.raises(ValueError, match=r"model_max_length must be a whole number"):
        huggingface_tokenizer.max_length(folder)


def test_without_a_limit_there_is_none(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", model_max_length=int(1e30))
    assert huggingface_tokenizer.max_length(folder) is None


UNCASED, CASED = ["cat", "##s"], ["Cat", "##s"]
KOREAN, UNCASED_KOREAN = ["한국", "##어", "영화"], ["\u1112\u1161\u11ab", "##\u110b\u1165"]
WORDS = {"uncased": UNCASED, "cased": CASED, "korean": KOREAN, "jamo": UNCASED_KOREAN}


def write_vocabulary(folder: Path, words: list[str], **settings: Any) -> list[str]:
    """A folder of `vocab.txt` alone, or with a configuration of `settings`."""
    tokens = [*CONTROL_TOKENS, "[unused0]", *words]
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return tokens


def case_of(folder: Path, tokens: list[str], **options: Any) -> tuple[bool, bool]:
    tokenizer = huggingface_tokenizer.read_tokenizer(folder, vocab_size=len(tokens), **options)
    assert tokenizer is not None
    return tokenizer.settings["lower_case"], tokenizer.settings["strip_accents"]


@pytest.mark.parametrize(
    ("words", "settings", "case"),
    [
        ("uncased", {}, (True, True)),
        ("jamo", {}, (True, True)),
        ("cased", {}, (False, False)),
        ("korean", {}, (False, False)),
        ("korean", {"model_max_length": 64}, (False, False)),
        ("korean", {"do_lower_case": None}, (False, False)),
        ("korean", {"strip_accents": False}, (True, False)),
        ("cased", {"strip_accents": False}, (False, False)),
        ("korean", {"do_lower_case": True}, (True, True)),
        ("uncased", {"do_lower_case": False}, (False, False)),
    ],
)
def test_the_vocabulary_tells_the_case_where_the_files_do_not(
    tmp_path: Path, words: str, settings: dict[str, Any], case: tuple[bool, bool]
) -> None:
    tokens = write_vocabulary(tmp_path, WORDS[words], **settings)
    assert case_of(tmp_path, tokens) == case


@pytest.mark.parametrize(
    ("settings", "lower_case", "case"),
    [
        ({}, True, (True, True)),
        ({}, False, (False, False)),
        ({"do_lower_case": True}, False, (False, False)),
        ({"do_lower_case": False}, True, (True, True)),
        ({"do_lower_case": False, "strip_accents": False}, True, (True, False)),
        ({"strip_accents": True}, False, (False, False)),
    ],
)
def test_the_case_that_is_asked_for_overrules_the_files(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    settings: dict[str, Any],
    lower_case: bool,
    case: tuple[bool, bool],
) -> None:
    tokens = write_vocabulary(tmp_path, CASED, **settings)
    assert case_of(tmp_path, tokens, lower_case=lower_case) == case
    is_overruled = settings.get("do_lower_case") not in (None, lower_case)
    assert ("overrules them" in caplog.text) == is_overruled


def test_the_case_that_is_asked_for_settles_what_the_files_contradict_each_other_in(
    folder: Path,
) -> None:
    edit(folder / "tokenizer.json", normalizer__lowercase=True)
    with pytest.raises(ValueError, match="say which with lower_case"):
        read(folder)
    for lower_case in (True, False):
        assert case_of(folder, TOKENS, lower_case=lower_case)[0] is lower_case


def test_a_cased_vocabulary_that_no_file_speaks_of_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    case_of(tmp_path, write_vocabulary(tmp_path, KOREAN))
    assert "By its pieces this vocabulary is cased" in caplog.text
