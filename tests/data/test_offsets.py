"""Places of tokens: by hand, beside a slow reference, beside Hugging Face's, and what must hold."""

import random
import sys
from pathlib import Path

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf.data.text import offsets
from bert_tf.data.text.normalization import WORD_BREAKS
from bert_tf.data.text.packing import pack
from bert_tf.data.text.vocabulary import CONTROL_TOKENS, UNK
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.exporting.servability import check_file
from tests.data.offsets_reference import (
    CASED,
    CASES,
    CHARACTERS,
    HOSTILE,
    HOSTILE_TOKENS,
    LIMIT,
    UNCASED_NFKC,
    Token,
    hostile_tokenizer,
    is_white_space,
    make_tokenizer,
    reference_tokens,
    tokens_of,
)

EVERY_CASE = pytest.mark.parametrize("number", range(len(CASES)))
STRIPPED = {"lower_case": True, "strip_accents": True}
NFKC = {"unicode_normalization": "NFKC"}
SINGLE = [("##x", place, place + 1) for place in range(1, 200)]
JAMO = "\u1100 ##\u1161 ##\u11a8"
PIECES = f"""un ##want ##ed want , ! . the café cafe x ##x 👩 ##🔧 שלום f ##ix {JAMO}
i\u0307 ##i ##\u0301"""
BY_HAND = [
    ({}, "want", [("want", 0, 4)]),
    ({}, " unwanted,", [("un", 1, 3), ("##want", 3, 7), ("##ed", 7, 9), (",", 9, 10)]),
    ({}, "un\u200bwant\u200b \u200b!", [("un", 0, 2), ("##want", 3, 7), ("!", 10, 11)]),
    ({}, "cafe\u0301 café", [("café", 0, 5), ("café", 6, 10)]),
    ({}, b"the\xff\xe4\xb8 \xf0\x9f\x99\x82", [("the", 0, 3), ("[UNK]", 6, 7)]),
    ({}, "x" * 200 + "!", [("x", 0, 1), *SINGLE, ("!", 200, 201)]),
    ({}, "the " + "x" * 201 + "!", [("the", 0, 3), ("[UNK]", 4, 205), ("!", 205, 206)]),
    ({}, "👩\u200d🔧 the", [("👩", 0, 1), ("##🔧", 2, 3), ("the", 4, 7)]),
    ({}, "\u202bשלום\u202c the", [("שלום", 1, 5), ("the", 7, 10)]),
    ({"lower_case": True}, "İi THE", [("i\u0307", 0, 1), ("##i", 1, 2), ("the", 3, 6)]),
    (STRIPPED, "cafe\u0301, café", [("cafe", 0, 5), (",", 5, 6), ("cafe", 7, 11)]),
    (STRIPPED, "x각", [("[UNK]", 0, 2)]),
    (STRIPPED, "각", [(piece, 0, 1) for piece in JAMO.split()]),
    (STRIPPED, "the\u200d\u0301\u0302 \u0301the", [("the", 0, 6), ("the", 8, 11)]),
    (NFKC, "ﬁx ﷺ", [("f", 0, 1), ("##ix", 0, 2), *[("[UNK]", 3, 4)] * 4]),
    (NFKC, "the…", [("the", 0, 3), *[(".", 3, 4)] * 3]),
    ({"unicode_normalization": "none"}, "cafe\u0301", [("cafe", 0, 4), ("##\u0301", 4, 5)]),
]


@pytest.mark.parametrize(("case", "text", "expected"), BY_HAND)
def test_places_are_those_worked_out_by_hand(case, text, expected):
    tokenizer = WordPieceTokenizer([*CONTROL_TOKENS, *PIECES.split()], **case)
    (found,) = tokens_of(tokenizer, [text])
    assert found == [Token(*token, not token[0].startswith("##")) for token in expected]


@EVERY_CASE
def test_hostile_texts_and_their_mixtures_give_the_references_tokens(number):
    draw = random.Random(0)
    mixtures = ["".join(draw.choices(CHARACTERS, k=draw.randrange(1, 14))) for _ in range(400)]
    joined = ["".join(draw.choices(HOSTILE, k=3)) for _ in range(40)]
    texts = [*HOSTILE, *mixtures, *joined]
    found = tokens_of(hostile_tokenizer(number), texts)
    options = {"vocabulary": set(HOSTILE_TOKENS), "max_word_characters": LIMIT, **CASES[number]}
    for text, tokens in zip(texts, found, strict=True):
        assert tokens == reference_tokens(text, **options), ascii(text)
    assert {len({token.piece == UNK for token in row}) for row in found} == {0, 1, 2}


@EVERY_CASE
def test_a_text_has_the_same_places_alone_as_in_a_batch(number):
    tokenizer = hostile_tokenizer(number)
    assert tokens_of(tokenizer, HOSTILE) == [tokens_of(tokenizer, [text])[0] for text in HOSTILE]


def test_what_is_no_utf8_counts_as_the_characters_that_replace_it():
    draw = random.Random(0)
    octets = "aé각 ,".encode() + b"\xf0\x9f\xc0\x80\xed\xa0\xff\xfe"
    texts = [bytes(draw.choices(octets, k=draw.randrange(12))) for _ in range(1000)]
    replaced = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
    tokenizer = hostile_tokenizer(0)
    found = tokens_of(tokenizer, texts)
    assert found == tokens_of(tokenizer, [text.decode() for text in replaced.numpy()])
    assert sum(map(len, found)) > 500


@pytest.mark.parametrize(
    "texts", [[], [""], ["", ""], [" "], ["\u200b\x00"], [b"\xff"], ["\u0301"]]
)
@EVERY_CASE
def test_batches_without_text_are_answered(number, texts):
    found = tokens_of(hostile_tokenizer(number), texts)
    assert len(found) == len(texts)
    assert not any(found) or texts == ["\u0301"]


@settings(max_examples=500, deadline=None)
@given(
    text=st.text(st.one_of(st.sampled_from(CHARACTERS), st.characters(exclude_categories=["Cs"]))),
    number=st.sampled_from([0, 2, 5, 8]),
)
def test_what_stands_at_a_tokens_place_gives_the_token(text, number):
    tokenizer = hostile_tokenizer(number)
    (tokens,) = tokens_of(tokenizer, [text])
    assert [token.start for token in tokens] == sorted(token.start for token in tokens)
    assert [token.end for token in tokens] == sorted(token.end for token in tokens)
    places = [text[token.start : token.end] for token in tokens]
    normalized = [place.decode() for place in tokenizer.normalize(places).numpy()] if tokens else []
    for token, place, becomes, alone in zip(
        tokens, places, normalized, tokens_of(tokenizer, places), strict=True
    ):
        assert 0 <= token.start < token.end <= len(text)
        assert not is_white_space(place[0])
        assert not is_white_space(place[-1])
        if token.piece == UNK:
            assert token.begins_word
            assert UNK in [it.piece for it in alone]
        else:
            assert token.begins_word != token.piece.startswith("##")
            piece = token.piece.removeprefix("##")
            assert without_last_sigma(piece) in without_last_sigma(becomes)


def without_last_sigma(text: str) -> str:
    """Lower-casing asks what is before and after a sigma."""
    return text.replace("ς", "σ")


def test_a_saved_model_answers_as_the_tokenizer_with_operations_that_serving_has(tmp_path: Path):
    module = tf.Module()
    module.tokenizer = make_tokenizer(UNCASED_NFKC, tokens=HOSTILE_TOKENS)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(texts: tf.Tensor) -> dict[str, tf.Tensor]:
        found = module.tokenizer.tokenize_with_offsets(texts)
        packed = offsets.packed_offsets(found, max_seq_length=9)
        return {**packed, "ids": found.ids.to_tensor(-1)}

    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": serve})
    operations, *_ = check_file(tmp_path)
    assert not operations.faults
    reloaded = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    for texts in (HOSTILE, ["abc"], [], ["é" * 300, ""]):
        found = module.tokenizer.tokenize_with_offsets(tf.constant(texts, tf.string))
        answers = reloaded(tf.constant(texts, tf.string))
        expected = offsets.packed_offsets(found, max_seq_length=9)
        expected["ids"] = found.ids.to_tensor(-1)
        assert set(answers) == set(expected)
        for name, values in expected.items():
            tf.debugging.assert_equal(answers[name], values, message=name)


def test_few_marks_keep_the_places_of_all_that_is_behind_them():
    tokenizer = make_tokenizer(CASED, tokens=HOSTILE_TOKENS)
    marks = "\u0301"
    texts = ["a" + marks * 90 + " b" + marks * 31 + "c d", marks * 33 + "b c", "", "a" + marks * 30]
    found = tokenizer.tokenize_with_offsets(tf.constant(texts), with_few_marks=True)
    few = offsets.few_marks(tf.constant(texts))
    assert found.ids.to_list() == tokenizer.tokenize(few).to_list()
    places = zip(found.starts.to_list(), found.ends.to_list(), strict=True)
    shown = [
        [text[start:end].replace(marks, "") for start, end in zip(*of_text, strict=True)]
        for text, of_text in zip(texts, places, strict=True)
    ]
    assert shown[0][-1] == "d"
    assert shown[1][-1] == "c"
    plain = tokenizer.tokenize_with_offsets(tf.constant(texts[3:]))
    same = tokenizer.tokenize_with_offsets(tf.constant(texts[3:]), with_few_marks=True)
    assert [it.to_list() for it in plain] == [it.to_list() for it in same]


@pytest.mark.parametrize("max_seq_length", [3, 6, 40])
@pytest.mark.parametrize("texts", [HOSTILE, [""], []], ids=["hostile", "empty", "none"])
def test_packed_places_stand_beside_packed_ids(texts, max_seq_length):
    tokenizer = make_tokenizer(CASED, tokens=HOSTILE_TOKENS)
    found = tokenizer.tokenize_with_offsets(tf.constant(texts, tf.string))
    packed = offsets.packed_offsets(found, max_seq_length=max_seq_length)
    sizes = {"max_seq_length": max_seq_length, "cls_id": 2, "sep_id": 3, "pad_id": 0}
    ids = pack(found.ids, **sizes)["input_ids"]
    assert {values.shape for values in packed.values()} == {ids.shape}
    assert {values.dtype for values in packed.values()} == {tf.int32}
    for row, row_ids in enumerate(ids.numpy().tolist()):
        for name, values in packed.items():
            kept = getattr(found, name.removeprefix("token_"))[row].numpy().tolist()
            kept = [int(value) for value in kept[: max_seq_length - 2]]
            padding = [0] * (len(row_ids) - len(kept) - 1)
            assert values[row].numpy().tolist() == [0, *kept, *padding], name


def test_lower_casing_makes_two_code_points_of_one_alone():
    characters = every_character()
    lowered = tf.strings.lower(tf.constant(characters), encoding="utf-8")
    lengths = tf.strings.length(lowered, unit="UTF8_CHAR").numpy()
    longer = [c for c, length in zip(characters, lengths, strict=True) if length != 1]
    assert longer == [offsets.LONGER_IN_LOWER_CASE]


def test_every_break_of_words_parts_words_without_spaces_around_it():
    """So a text with a word that is given up has its other tokens where they stand."""
    characters = every_character()
    is_break = tf.strings.regex_full_match(tf.constant(characters), f"[{WORD_BREAKS}]").numpy()
    tokenizer = WordPieceTokenizer([*CONTROL_TOKENS, "a"], unicode_normalization="none")
    is_kept = tokenizer.normalize(characters).numpy() != b""
    breaks = [c for c, is_one in zip(characters, is_break & is_kept, strict=True) if is_one]
    assert len(breaks) > 80_000
    joined = tokenizer.tokenize(tf.constant([f"a{c}a" for c in breaks]))
    parted = tokenizer.tokenize(tf.constant([f"a {c} a" for c in breaks]))
    tf.debugging.assert_equal(joined.row_splits, parted.row_splits)
    tf.debugging.assert_equal(joined.values, parted.values)


def every_character() -> list[str]:
    """Of Unicode, but for U+0000, which is no text."""
    return [chr(code) for code in range(1, sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
