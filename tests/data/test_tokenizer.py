import hashlib
import json
import random
import unicodedata
from pathlib import Path

import pytest
import tensorflow as tf
import tokenizers

from bert_tf.config import TokenizerConfig
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.vocabulary import CONTROL_TOKENS, MASK
from bert_tf.data.text.wordpiece import WordPieceTokenizer

WORDS = """un ##want ##ed ##a runn ##ing want , . ! ? [ ] ( ) ' - # the cafe café resume Café É é e
영화 ##가 재미 ##있다 가 각 ##각 한 ##글 中 文 あ ##い MASK SEP mask sep straße ss"""
TOKENS = [
    *CONTROL_TOKENS,
    *WORDS.split(),
]
HARD = [
    "unwanted, running!",
    "",
    "   \t\n ",
    "UNWANTED café CAFÉ Cafe\u0301 resumé",
    "영화가 재미있다.",
    unicodedata.normalize("NFD", "영화가 재미있다 한글 각각"),
    "中文cafe中 あい",
    "[MASK] [SEP] [mask] [CLS]",
    "un\u200bwant\u00aded\u0000 \ufffd the",
    "the\u00a0the\u3000the\u2028the",
    "don't-want#(e)",
    "🙂 the 🇰🇷 e\u0301\u0302",
    "w" * 99 + " " + "want" * 30,
    "want" * 51 + "!" + "want" * 50,
    "straße STRASSE ẞ ﬁ",
    "want…want—want«want»",
]


def reference(texts: list[str], *, lower_case: bool, strip_accents: bool) -> list[list[int]]:
    """HF's BertWordPieceTokenizer on NFC text, with Google's limit of a word."""
    hf = tokenizers.BertWordPieceTokenizer(
        vocab={token: index for index, token in enumerate(TOKENS)},
        lowercase=lower_case,
        strip_accents=strip_accents,
    )
    hf.add_special_tokens([])
    model = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(
            {token: index for index, token in enumerate(TOKENS)},
            unk_token="[UNK]",
            max_input_chars_per_word=200,
        )
    )
    model.normalizer = hf.normalizer
    model.pre_tokenizer = hf.pre_tokenizer
    return [model.encode(unicodedata.normalize("NFC", text)).ids for text in texts]


@pytest.mark.parametrize(
    ("lower_case", "strip_accents"), [(False, False), (True, False), (True, True)]
)
def test_ids_equal_hugging_faces(lower_case: bool, strip_accents: bool) -> None:
    ours = WordPieceTokenizer(TOKENS, lower_case=lower_case, strip_accents=strip_accents)
    expected = reference(HARD, lower_case=lower_case, strip_accents=strip_accents)
    actual = ours.tokenize(tf.constant(HARD)).to_list()
    for text, left, right in zip(HARD, actual, expected, strict=True):
        assert left == right, text


def test_hangul_survives_lower_casing() -> None:
    tokenizer = WordPieceTokenizer(TOKENS, lower_case=True)
    decomposed = unicodedata.normalize("NFD", "영화가 재미있다")
    (ids,) = tokenizer.tokenize([decomposed]).to_list()
    assert [TOKENS[i] for i in ids] == ["영화", "##가", "재미", "##있다"]


def test_strip_accents_is_googles_uncased_form() -> None:
    tokenizer = WordPieceTokenizer(TOKENS, lower_case=True, strip_accents=True)
    assert tokenizer.tokenize(["CAFÉ"]).to_list() == [[TOKENS.index("cafe")]]


def test_text_never_becomes_a_control_token() -> None:
    tokenizer = WordPieceTokenizer(TOKENS)
    ids = tokenizer.tokenize(["[MASK] [SEP] [CLS][PAD] x[MASK]"]).flat_values.numpy()
    assert not set(ids.tolist()) & set(tokenizer.special_ids)


@pytest.mark.parametrize("unicode_normalization", ["NFC", "NFKC", "none"])
@pytest.mark.parametrize("lower_case", [False, True])
def test_no_spelling_of_a_control_token_gives_its_id(
    unicode_normalization: str, lower_case: bool
) -> None:
    bait = ["[MASK", "MASK]", "##[MASK]", "x[MASK]", "##MASK", "##]", "##["]
    tokenizer = WordPieceTokenizer(
        [*TOKENS, *bait],
        lower_case=lower_case,
        strip_accents=lower_case,
        unicode_normalization=unicode_normalization,
    )
    parts = [*CONTROL_TOKENS, *"[]［］ x", *bait, "MASK", "mask", "SEP", "ＭＡＳＫ", "##"]
    parts += ["\u200b", "\u00ad", "\u0301", "\x00", "\ufffd", "中", "\n", "[MA\u200bSK]"]
    draw = random.Random(0)
    texts = ["".join(draw.choices(parts, k=draw.randrange(1, 9))) for _ in range(3000)]
    ids = tokenizer.tokenize(tf.constant(texts)).flat_values.numpy()
    assert not set(ids.tolist()).intersection(tokenizer.special_ids)
    with_masks = tokenizer.tokenize_with_masks(tf.constant(texts)).to_list()
    special = [[i for i in row if i in tokenizer.special_ids] for row in with_masks]
    assert special == [[tokenizer.mask_id] * text.count(MASK) for text in texts]


def test_only_the_exact_spelling_is_a_mask() -> None:
    tokenizer = WordPieceTokenizer(TOKENS, lower_case=True, unicode_normalization="NFKC")
    texts = [
        "[mask]",
        "[MA\u200bSK]",
        "［ＭＡＳＫ］",
        "[ MASK ]",
        "[MASK\u0301]",
        "[SEP]",
        "[MASK]",
    ]
    ids = tokenizer.tokenize_with_masks(tf.constant(texts)).to_list()
    assert [tokenizer.mask_id in row for row in ids] == [False] * 6 + [True]
    assert ids[-1] == [tokenizer.mask_id]


def test_a_word_over_the_limit_is_unknown() -> None:
    tokens = [*CONTROL_TOKENS, "ㅋ", "##ㅋ"]
    (default, short) = (
        WordPieceTokenizer(tokens),
        WordPieceTokenizer(tokens, max_word_characters=100),
    )
    texts = ["ㅋ" * 100, "ㅋ" * 101, "ㅋ" * 200, "ㅋ" * 201]
    assert default.tokenize(texts).row_lengths().numpy().tolist() == [100, 101, 200, 1]
    assert short.tokenize(texts).row_lengths().numpy().tolist() == [100, 1, 1, 1]
    with pytest.raises(ValueError, match=r"less than or equal to 400"):
        WordPieceTokenizer(tokens, max_word_characters=401)


def test_invalid_utf8_is_dropped_as_google_drops_its_replacement() -> None:
    tokenizer = WordPieceTokenizer(TOKENS)
    (ids,) = tokenizer.tokenize([b"the \xff\xfe wa\xffnt"]).to_list()
    assert [TOKENS[i] for i in ids] == ["the", "want"]


def test_literal_mask_becomes_the_mask_token_only_when_asked_for() -> None:
    tokenizer = WordPieceTokenizer(TOKENS)
    texts = ["the [MASK].", "[MASK][MASK]want", "", "the", "unwant[MASK]"]
    ids = tokenizer.tokenize_with_masks(tf.constant(texts)).to_list()
    assert [[TOKENS[i] for i in row] for row in ids] == [
        ["the", "[MASK]", "."],
        ["[MASK]", "[MASK]", "want"],
        [],
        ["the"],
        ["un", "##want", "[MASK]"],
    ]


def test_it_exports_and_reloads(tmp_path: Path) -> None:
    tokenizer = WordPieceTokenizer(TOKENS, lower_case=True)
    module = tf.Module()
    module.tokenizer = tokenizer

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(texts: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = tokenizer.tokenize_with_masks(texts).to_tensor()
        sentences = tokenizer.split_sentences(texts).to_tensor("")
        return {"ids": ids, "sentences": sentences}

    module.serve = serve
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"serving_default": serve})
    reloaded = tf.saved_model.load(str(tmp_path / "saved"))
    texts = tf.constant([*HARD, "영화가 [MASK]. 재미있다. 中文。文"])
    expected = serve(texts)
    actual = reloaded.signatures["serving_default"](texts)
    for name, values in expected.items():
        tf.debugging.assert_equal(values, actual[name], message=name)


def test_save_and_load_keep_everything(tmp_path: Path) -> None:
    tokenizer = WordPieceTokenizer(
        TOKENS, lower_case=True, unicode_normalization="NFKC", max_word_characters=100
    )
    tokenizer.save(tmp_path)
    for path in (tmp_path, tmp_path / "vocab.txt"):
        loaded = Tokenizer.load(path)
        assert loaded.vocabulary == tuple(TOKENS)
        assert loaded.vocab_size == len(TOKENS)
        file_digest = hashlib.sha256((tmp_path / "vocab.txt").read_bytes()).hexdigest()
        assert loaded.vocabulary_sha256 == file_digest
        assert loaded.settings == {
            "lower_case": True,
            "strip_accents": False,
            "unicode_normalization": "NFKC",
            "max_word_characters": 100,
        }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tokenizer.json", "vocab.txt"]


def test_settings_beside_the_vocabulary_rule_and_a_contradiction_is_refused(
    tmp_path: Path,
) -> None:
    WordPieceTokenizer(TOKENS, lower_case=True).save(tmp_path)
    assert Tokenizer.load(tmp_path, TokenizerConfig()).settings["lower_case"] is True
    assert Tokenizer.load(tmp_path, TokenizerConfig(lower_case=True)).settings["lower_case"]
    with pytest.raises(ValueError, match=r"lower_case=False, the file has True"):
        Tokenizer.load(tmp_path, TokenizerConfig(lower_case=False))


def test_a_settings_file_without_the_limit_leaves_it_to_the_configuration(tmp_path: Path) -> None:
    WordPieceTokenizer(TOKENS, lower_case=True).save(tmp_path)
    path = tmp_path / "tokenizer.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    del settings["max_word_characters"]
    path.write_text(json.dumps(settings), encoding="utf-8")
    assert Tokenizer.load(tmp_path).settings == {**settings, "max_word_characters": 200}
    config = TokenizerConfig(max_word_characters=100)
    assert Tokenizer.load(tmp_path, config).settings == {**settings, "max_word_characters": 100}


def test_a_foreign_settings_file_is_refused(tmp_path: Path) -> None:
    WordPieceTokenizer(TOKENS).save(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {}}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"tokenizer\.json: .*Received: \['model'\]"):
        Tokenizer.load(tmp_path)


def test_a_plain_vocabulary_takes_the_configurations_settings(tmp_path: Path) -> None:
    WordPieceTokenizer(TOKENS).save(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    assert Tokenizer.load(tmp_path, TokenizerConfig(lower_case=True)).settings["lower_case"]
    assert not Tokenizer.load(tmp_path).settings["lower_case"]


def test_missing_control_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must hold .*without \[MASK\]"):
        WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
