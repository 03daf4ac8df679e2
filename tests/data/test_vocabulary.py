import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
import tensorflow as tf

from bert_tf.config import TokenizerConfig, VocabularyConfig
from bert_tf.data.text.vocabulary import learn_vocabulary, read_vocabulary, write_vocabulary
from bert_tf.data.text.wordpiece import WordPieceTokenizer

TEXTS = [
    "low low low low low lower lower newest newest newest newest newest newest widest widest",
    "영화가 영화는 영화를 사람이 사람은 사람을 재미있다 재미없다 中文 中国, end.",
] * 3
CONTROL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def learn(texts: list[str], *, tokenizer: TokenizerConfig | None = None, **settings: object):  # type: ignore[no-untyped-def]
    config = VocabularyConfig.model_validate({"size": 90, **settings})
    return learn_vocabulary(iter(texts), config=config, tokenizer=tokenizer or TokenizerConfig())


def test_control_tokens_come_first_then_user_tokens() -> None:
    tokens = learn(TEXTS, user_tokens=("BERT", "버트"))
    assert tokens[:7] == [*CONTROL, "BERT", "버트"]
    assert len(tokens) == len(set(tokens)) <= 90


@pytest.mark.parametrize(
    ("num_reserved", "mask_id", "last"),
    [(0, 4, "[MASK]"), (3, 7, "[MASK]"), (101, 103, "[unused100]")],
)
def test_reserved_tokens_stand_where_googles_do(num_reserved: int, mask_id: int, last: str) -> None:
    tokens = learn(TEXTS, num_reserved_tokens=num_reserved, user_tokens=("BERT",), size=300)
    ids = [tokens.index(token) for token in CONTROL]
    assert ids == [0, mask_id - 3, mask_id - 2, mask_id - 1, mask_id]
    num_fixed = len(CONTROL) + num_reserved
    assert tokens[num_fixed - 1 : num_fixed + 1] == [last, "BERT"]
    reserved = [token for token in tokens if token.startswith("[unused")]
    assert reserved == [f"[unused{number}]" for number in range(num_reserved)]
    assert WordPieceTokenizer(tokens).mask_id == mask_id


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, None),
        (
            {"lower_case": True},
            r"Received: true, and 50\.00% of the words have Hangul \(kept whole",
        ),
        ({"lower_case": True, "strip_accents": True}, r"Hangul, which .* takes apart into jamo"),
    ],
)
def test_lower_casing_hangul_warns(
    settings: dict[str, bool], message: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    texts = ["Good film 좋은 영화"] * 2
    learn(texts, tokenizer=TokenizerConfig.model_validate(settings))
    warnings = [line for line in caplog.messages if "Hangul" in line]
    assert len(warnings) == (message is not None)
    if message:
        assert re.search(message, warnings[0])
    caplog.clear()
    learn(["Good film, good end"] * 2, tokenizer=TokenizerConfig.model_validate(settings))
    assert "Hangul" not in caplog.text


def test_frequent_words_become_whole_and_every_character_is_covered() -> None:
    tokens = learn(TEXTS, size=200)
    assert {"low", "newest", "영화"} <= set(tokens)
    assert "中" in tokens
    assert "##国" not in tokens, "Chinese characters stand alone"
    tokenizer = WordPieceTokenizer(tokens)
    assert tokenizer.unk_id not in tokenizer.tokenize(tf.constant(TEXTS)).flat_values.numpy()


def test_the_same_corpus_gives_the_same_list_in_any_process(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    script = (
        "import sys, pathlib\n"
        "from bert_tf.config import TokenizerConfig, VocabularyConfig\n"
        "from bert_tf.data.text.vocabulary import learn_vocabulary\n"
        "texts = pathlib.Path(sys.argv[1]).read_text(encoding='utf-8').splitlines()\n"
        "config = VocabularyConfig(size=80, limit_alphabet=40)\n"
        "tokens = learn_vocabulary(texts, config=config, tokenizer=TokenizerConfig())\n"
        "assert 'tensorflow' not in sys.modules\n"
        "sys.stdout.buffer.write('\\n'.join(tokens).encode())\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", script, str(path)], check=True, capture_output=True
        ).stdout.decode()
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert runs[0].split("\n") == learn(TEXTS, size=80, limit_alphabet=40)


def test_lower_casing_keeps_hangul_composed() -> None:
    texts = [unicodedata.normalize("NFD", text.upper()) for text in TEXTS]
    tokens = learn(texts, tokenizer=TokenizerConfig(lower_case=True), size=200)
    assert {"low", "영화"} <= set(tokens)
    assert all(token == unicodedata.normalize("NFC", token) for token in tokens)
    stripped = learn(
        texts, tokenizer=TokenizerConfig(lower_case=True, strip_accents=True), size=200
    )
    assert "영화" not in stripped


def test_rare_characters_are_left_out() -> None:
    tokens = learn([*TEXTS, "희귀"], limit_alphabet=30, size=200)
    assert "희" not in tokens
    assert "귀" not in tokens


def test_words_over_the_limit_are_not_learned_from() -> None:
    texts = ["ㅋ" * 40 + " " + "ㅎ" * 11 + " end"] * 3
    assert {"ㅋ" * 40, "ㅎ" * 11} <= set(learn(texts, size=200))
    tokens = learn(texts, tokenizer=TokenizerConfig(max_word_characters=10))
    assert {"ㅋ", "ㅎ", "end"} <= set(tokens)
    assert not any("ㅋㅋ" in token or "ㅎㅎ" in token for token in tokens)
    assert "##ㅋ" not in tokens


def test_a_private_use_character_stays_in_its_word() -> None:
    tokens = learn(["the\ue000a"] * 3, size=200)
    assert "the\ue000a" in tokens
    assert "thea" not in tokens


def test_min_frequency_stops_the_merges() -> None:
    tokens = learn(["abcd abcd xyz"], min_frequency=2, size=100)
    assert "abcd" in tokens
    assert "xyz" not in tokens


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"vocabulary\.size must hold the \d+ .*Received: 20"):
        learn(TEXTS, size=20)
    with pytest.raises(ValueError, match="documents without a word"):
        learn(["", " \n"])
    with pytest.raises(ValueError, match=r"Received: 'C\+\+', which becomes \['C', '\+', '\+'\]"):
        learn(TEXTS, user_tokens=("C++",))
    with pytest.raises(ValueError, match=r"longer than .*=5: .*Received: 'longer', 6 characters"):
        learn(TEXTS, user_tokens=("longer",), tokenizer=TokenizerConfig(max_word_characters=5))
    with pytest.raises(ValueError, match=r"size must hold the \d{3} control, reserved"):
        learn(TEXTS, num_reserved_tokens=99)


def test_writing_and_reading_keep_the_list(tmp_path: Path) -> None:
    tokens = learn(TEXTS)
    path = write_vocabulary(tokens, tmp_path / "vocab.txt")
    assert read_vocabulary(path) == tokens
    assert [file.name for file in tmp_path.iterdir()] == ["vocab.txt"]


def test_crlf_and_no_last_line_end_are_read(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes("\ufeff".encode() + "\r\n".join([*CONTROL, "a"]).encode())
    assert read_vocabulary(path) == [*CONTROL, "a"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([*CONTROL, "a", "b", "a"], r"vocab\.txt:8: .*once.*'a', which is in line 6"),
        ([*CONTROL, "", "b"], r"vocab\.txt:6: .*one token a line.*empty line"),
        (CONTROL[:3], r"vocab\.txt:3: .*Received: none of \[SEP\] \[MASK\]"),
    ],
)
def test_faulty_files_are_named_with_the_line(
    tmp_path: Path, lines: list[str], message: str
) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_vocabulary(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"vocab\.txt: a vocabulary file must exist"):
        read_vocabulary(tmp_path / "vocab.txt")
