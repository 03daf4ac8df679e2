"""Places of tokens beside those of Hugging Face's tokenizers: hostile texts and real ones."""

import unicodedata

import pytest
import tokenizers

from bert_tf.config import TokenizerConfig, VocabularyConfig
from bert_tf.data.text.vocabulary import UNK, learn_vocabulary
from tests.data.offsets_reference import (
    CASED,
    CASED_NFKC,
    HOSTILE,
    HOSTILE_TOKENS,
    UNCASED,
    make_tokenizer,
    reference_tokens,
    tokens_of,
)


def hugging_faces(tokens: list[str], *, case: dict) -> tokenizers.Tokenizer:
    """Its BERT tokenizer after the Unicode form, which it has not, with our limit of a word."""
    ids = {token: index for index, token in enumerate(tokens)}
    bert = tokenizers.BertWordPieceTokenizer(
        ids, lowercase=case["lower_case"], strip_accents=case["strip_accents"]
    )
    model = tokenizers.models.WordPiece(ids, unk_token=UNK, max_input_chars_per_word=200)
    theirs = tokenizers.Tokenizer(model)
    theirs.pre_tokenizer = bert.pre_tokenizer
    form = getattr(tokenizers.normalizers, case["unicode_normalization"])()
    theirs.normalizer = tokenizers.normalizers.Sequence([form, bert.normalizer])
    return theirs


def check_against_hugging_face(texts: list[str], *, tokens: list[str], case: dict) -> int:
    """Equal places, but that it leaves composed and stripped marks, and all jamo of a syllable but
    the first, out of a token's end. Returns how many ends have such."""
    theirs = hugging_faces(tokens, case=case).encode_batch(texts)
    ours = tokens_of(make_tokenizer(case, tokens=tokens, limit=200), texts)
    num_marked = 0
    for text, found, expected in zip(texts, ours, theirs, strict=True):
        assert [tokens.index(it.piece) for it in found] == expected.ids, ascii(text)
        for token, (start, end) in zip(found, expected.offsets, strict=True):
            left_out = text[end : token.end]
            assert token.start == start, (ascii(text), token)
            assert token.end >= end, (ascii(text), token)
            assert all(is_joining(character) for character in left_out), (ascii(text), token)
            num_marked += bool(left_out)
    return num_marked


def is_joining(character: str) -> bool:
    """Composed or removed after another: marks, jamo behind the first, characters of no width."""
    return all(
        "\u1161" <= part <= "\u11ff" or unicodedata.category(part) in ("Mn", "Mc", "Cf")
        for part in unicodedata.normalize("NFKD", character)
    )


@pytest.mark.parametrize("case", [CASED, UNCASED, CASED_NFKC], ids=["cased", "uncased", "NFKC"])
def test_hostile_texts_have_hugging_faces_places(case):
    """But for marks that the Unicode form reorders, to which it gives places in their new order,
    and a word's last sigma, which its lower case does not know."""
    texts = [text for text in HOSTILE if "Σ" not in text and not has_reordered_marks(text)]
    assert len(HOSTILE) - len(texts) == NUM_LEFT_OUT
    assert check_against_hugging_face(texts, tokens=HOSTILE_TOKENS, case=case) > 3


NUM_LEFT_OUT = 11


def has_reordered_marks(text: str) -> bool:
    decomposed = "".join(unicodedata.normalize("NFD", character) for character in text)
    return decomposed != unicodedata.normalize("NFD", text)


@pytest.mark.parametrize("case", [CASED, UNCASED], ids=["cased", "uncased"])
def test_real_texts_have_hugging_faces_places(shared_data, case):
    texts = []
    for path in sorted(path for path in shared_data.rglob("*") if path.suffix in (".txt", ".tsv")):
        lines = path.read_text(encoding="utf-8").split("\n")
        texts += lines[:: max(1, len(lines) // 5)]
    tokens = learn_vocabulary(
        iter(texts), config=VocabularyConfig(size=6000), tokenizer=TokenizerConfig(**case)
    )
    check_against_hugging_face(texts, tokens=tokens, case=case)
    options = {"vocabulary": set(tokens), **case}
    sample = [text for text in texts if len(text) < 300][::10]
    for text, found in zip(
        sample, tokens_of(make_tokenizer(case, tokens=tokens, limit=200), sample), strict=True
    ):
        assert found == reference_tokens(text, **options), text
