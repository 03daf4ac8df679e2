"""SentencePiece beside its own library, lossless on hostile texts, and what is refused."""

import gzip
import json
import random
from pathlib import Path

import keras
import pytest
import sentencepiece
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2

from bert_tf.config import TokenizerConfig, VocabularyConfig
from bert_tf.data.text import offsets
from bert_tf.data.text.sentencepiece import SentencePieceTokenizer
from bert_tf.data.text.sentencepiece_learning import learn_model
from bert_tf.data.text.sentencepiece_model import SPACE
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.vocabulary import CONTROL_TOKENS, MASK
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.exporting.servability import check_file
from tests.data.conftest import make_text
from tests.data.offsets_reference import (
    CASES,
    CHARACTERS,
    HOSTILE,
    Character,
    in_form,
    is_control,
    is_white_space,
    lowered,
    without_marks,
)

KINDS = pytest.mark.parametrize("kind", ["unigram", "bpe"])
LOSSLESS = {"lossless": True, "unicode_normalization": "none"}
MORE = [
    "[MASK] [CLS] [PAD] [UNK] <s> </s> <unk> <pad> <0x41> [unused0]",
    "▁ ▁a▁ ▁▁",
    "\x01a\x01 \x01b \x1f\x1e\x7f",
    "a\x00b\x00",
    "  two  spaces\tand\n\nlines \n",
    "\ufdd0\ufffe\U0010ffff\U000e0001",
    "\u2047 ⁇ \u2585",
    "ㅋ" * 3000,
    "long" * 2000,
    "שלום العالم \u202eabc\u202c नमस्ते",
    "👩\u200d👩\u200d👧 🇰🇷 1\ufe0f\u20e3 Z\u0301\u0302\u0303\u0323",
]
TEXTS = [*HOSTILE, *MORE]
CORPUS = [make_text(num_documents=100), "don't stop, café déjà vu. 영화가 재미있다! 나는 간다."] * 2


def learn(kind: str, documents: list[str] = CORPUS, **options) -> bytes:
    config = VocabularyConfig(kind=kind, **{"size": 420, "num_reserved_tokens": 2, **options})
    return learn_model(documents, config=config, tokenizer=TokenizerConfig())


@pytest.fixture(scope="module")
def models() -> dict[str, bytes]:
    return {kind: learn(kind) for kind in ("unigram", "bpe")}


def library_ids(model: bytes, texts: list[str]) -> list[list[int]]:
    return sentencepiece.SentencePieceProcessor(model_proto=model).encode(texts)


def normalized(tokenizer: Tokenizer, texts: list[str]) -> list[str]:
    return [text.decode() for text in tokenizer.normalize(tf.constant(texts)).numpy()]


@KINDS
@pytest.mark.parametrize("case", [*CASES[::4], LOSSLESS])
def test_hostile_texts_give_the_librarys_ids(models, kind, case):
    """But for "▁", which the library reads as a space."""
    tokenizer = SentencePieceTokenizer(models[kind], **case)
    texts = [text for text in TEXTS if SPACE not in text]
    expected = library_ids(models[kind], normalized(tokenizer, texts))
    for text, ours, theirs in zip(
        texts, tokenizer.tokenize(texts).to_list(), expected, strict=True
    ):
        assert ours == theirs, ascii(text)


@KINDS
def test_real_texts_give_the_librarys_ids_and_come_back(shared_data: Path, kind):
    """Of segmentations with one score the library's version here may choose another order."""
    german = gzip.decompress((shared_data / "en/multi30k/val.de.gz").read_bytes()).decode()
    files = ("ko/reviews.txt", "en/wikitext2_valid.txt")
    parts = [(shared_data / name).read_text(encoding="utf-8") for name in files]
    texts = [line for part in (*parts, german) for line in part.split("\n")[:1500] if line]
    model = learn(kind, texts[::3], size=3000)
    tokenizer = SentencePieceTokenizer(model, **LOSSLESS)
    ids = tokenizer.tokenize(texts)
    expected = library_ids(model, texts)
    different = [
        (ours, theirs)
        for ours, theirs in zip(ids.to_list(), expected, strict=True)
        if ours != theirs
    ]
    assert len(texts) > 3500
    assert len(different) <= (0 if kind == "bpe" else len(texts) // 100)
    assert all(sorted(ours) == sorted(theirs) for ours, theirs in different)
    assert [text.decode() for text in tokenizer.detokenize(ids).numpy()] == texts


@KINDS
def test_every_text_comes_back_as_it_was(models, kind):
    tokenizer = SentencePieceTokenizer(models[kind], **LOSSLESS)
    draw = random.Random(0)
    mixed = [
        "".join(draw.choices([*CHARACTERS, SPACE, "\x01"], k=draw.randrange(1, 20)))
        for _ in range(500)
    ]
    texts = [*TEXTS, *mixed]
    assert normalized(tokenizer, texts) == texts
    back = tokenizer.detokenize(tokenizer.tokenize(texts)).numpy()
    for text, found in zip(texts, back, strict=True):
        assert found.decode() == text, ascii(text)


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_unicode_text_comes_back(models, text):
    tokenizer = tokenizer_of_any_text(models)
    assert tokenizer.detokenize(tokenizer.tokenize([text])).numpy()[0].decode() == text


def tokenizer_of_any_text(models, cache={}) -> SentencePieceTokenizer:  # noqa: B006
    return cache.setdefault(0, SentencePieceTokenizer(models["unigram"], **LOSSLESS))


@KINDS
@pytest.mark.parametrize("case", [{}, CASES[5]])
def test_normalised_text_comes_back_and_its_ids_are_those_of_the_text(models, kind, case):
    tokenizer = SentencePieceTokenizer(models[kind], **case)
    expected = normalized(tokenizer, TEXTS)
    ids = tokenizer.tokenize(TEXTS)
    assert [text.decode() for text in tokenizer.detokenize(ids).numpy()] == expected
    assert not any("  " in text or text != text.strip() for text in expected)


@KINDS
def test_no_spelling_of_a_control_token_gives_its_id(models, kind):
    tokenizer = SentencePieceTokenizer(models[kind], **LOSSLESS)
    parts = [
        *CONTROL_TOKENS,
        "[unused0]",
        "<s>",
        "</s>",
        "[",
        "]",
        "MASK",
        SPACE,
        " ",
        "x",
        "<0x41>",
    ]
    draw = random.Random(0)
    texts = ["".join(draw.choices(parts, k=draw.randrange(1, 9))) for _ in range(2000)]
    control = set(range(7))
    assert [tokenizer.vocabulary[i] for i in range(5)] == list(CONTROL_TOKENS)
    assert not control.intersection(tokenizer.tokenize(texts).flat_values.numpy().tolist())
    with_masks = tokenizer.tokenize_with_masks(tf.constant(texts)).to_list()
    special = [[i for i in row if i in control] for row in with_masks]
    assert special == [[tokenizer.mask_id] * text.count(MASK) for text in texts]
    assert tokenizer.tokenize(["<0x41>"]).to_list() != tokenizer.tokenize(["A"]).to_list()


@pytest.mark.parametrize("case", [{}, LOSSLESS])
def test_a_mask_stands_for_a_word_with_the_space_before_it(models, case):
    tokenizer = SentencePieceTokenizer(models["bpe"], **case)
    whole = "the cat sees the dog"
    for masked, before, behind in (
        ("the [MASK] sees the dog", "the", " sees the dog"),
        ("[MASK] sees the dog", "", " sees the dog"),
        ("the cat sees the [MASK]", "the cat sees the", ""),
        ("the cat [MASK]s the dog", "the cat", "s the dog"),
        ("the c[MASK]t", "the c", "t"),
    ):
        (row,) = tokenizer.tokenize_with_masks(tf.constant([masked])).to_list()
        at = row.index(tokenizer.mask_id)
        assert row[:at] == tokenizer.tokenize([before]).to_list()[0]
        rest = "".join(tokenizer.vocabulary[i] for i in row[at + 1 :])
        assert rest == behind.replace(" ", SPACE), masked
    assert tokenizer.tokenize_with_masks([whole]).to_list() == tokenizer.tokenize([whole]).to_list()


@KINDS
@pytest.mark.parametrize("number", [0, 2, 5, 8, None])
def test_places_are_those_of_the_librarys_pieces_followed_by_hand(models, kind, number):
    """The library's pieces, laid over the characters of the normalised text one by one."""
    case = LOSSLESS if number is None else CASES[number]
    tokenizer = SentencePieceTokenizer(models[kind], **case)
    library = sentencepiece.SentencePieceProcessor(model_proto=models[kind])
    draw = random.Random(1)
    mixed = [
        "".join(draw.choices([*CHARACTERS, "\x01"], k=draw.randrange(1, 14))) for _ in range(200)
    ]
    texts = [text for text in (*TEXTS, *mixed) if SPACE not in text and len(text) < 999]
    found = tokenizer.tokenize_with_offsets(tf.constant(texts))
    assert found.ids.to_list() == tokenizer.tokenize(texts).to_list()
    rows = zip(texts, found.starts.to_list(), found.ends.to_list(), strict=True)
    for text, starts, ends in rows:
        expected = reference_places(text, library, case)
        assert list(zip(starts, ends, strict=True)) == expected, ascii(text)
        assert starts == sorted(starts)


@KINDS
def test_places_are_the_librarys_own_without_white_space(models, kind):
    """The library has a character's place at the last of its bytes alone."""
    tokenizer = SentencePieceTokenizer(models[kind], **LOSSLESS)
    library = sentencepiece.SentencePieceProcessor(model_proto=models[kind])
    texts = [text for text in TEXTS if SPACE not in text]
    found = tokenizer.tokenize_with_offsets(tf.constant(texts))
    num_compared = 0
    for text, starts, ends in zip(texts, found.starts.to_list(), found.ends.to_list(), strict=True):
        octets, theirs = text.encode(), library.encode(text, return_type="proto").pieces
        assert len(theirs) == len(starts)
        for piece, start, end in zip(theirs, starts, ends, strict=True):
            first = len(octets[: piece.begin].decode())
            part = octets[piece.begin : piece.end].decode()
            seen = [place for place, c in enumerate(part, first) if not is_white_space(c)]
            if seen:
                assert (start, end) == (seen[0], seen[-1] + 1), ascii(text)
                num_compared += 1
    assert num_compared > 1000


def reference_places(text: str, library, case: dict) -> list[tuple[int, int]]:
    characters = [Character(c, place, place + 1) for place, c in enumerate(text)]
    if case is not LOSSLESS:
        characters = normalized_characters(characters, case)
    places = []
    octets = [it for it in characters for _ in it.character.encode()]
    pieces = library.encode("".join(it.character for it in characters), out_type=str)
    at = -1  # The space before the text.
    for piece in pieces:
        is_byte = piece.startswith("<0x") and len(piece) == 6
        length = 1 if is_byte else len(piece.replace(SPACE, " ").encode())
        covered = [octets[i] for i in range(max(at, 0), at + length)]
        seen = [it for it in covered if not is_white_space(it.character)]
        blank = (octets[max(at, 0)].start,) * 2
        places.append((seen[0].start, seen[-1].end) if seen else blank)
        at += length
    assert at == len(octets) or not pieces
    return places


def normalized_characters(characters: list[Character], case: dict) -> list[Character]:
    if case["unicode_normalization"] != "none":
        characters = in_form(characters, case["unicode_normalization"])
    characters = [it for it in characters if not is_control(it.character)]
    if case["lower_case"]:
        characters = lowered(characters)
    if case["strip_accents"]:
        characters = without_marks(in_form(characters, "NFD"))
    kept: list[Character] = []
    for it in characters:
        if not is_white_space(it.character):
            kept.append(it)
        elif kept and kept[-1].character == " ":
            kept[-1] = it._replace(character=" ")
        elif kept:
            kept.append(it._replace(character=" "))
    return kept[:-1] if kept and kept[-1].character == " " else kept


def test_words_begin_behind_white_space_and_beside_punctuation(models):
    tokenizer = SentencePieceTokenizer(models["bpe"])
    text = "the cat's 나무, 👩 (3)."
    (row,) = zip(*(it.to_list() for it in tokenizer.tokenize_with_offsets([text])), strict=True)
    begins = sorted({start for _, start, _, begin in zip(*row, strict=True) if begin})
    assert begins == [
        text.index(c) for c in ("t", "c", "'", "s ", "나", ",", "👩", "(", "3", ")", ".")
    ]
    for _, start, end, begin in zip(*row, strict=True):
        assert not (begin and start == end)


@KINDS
def test_a_text_is_read_alone_as_in_a_batch(models, kind):
    tokenizer = SentencePieceTokenizer(models[kind])
    together = tokenizer.tokenize(TEXTS).to_list()
    assert together == [tokenizer.tokenize([text]).to_list()[0] for text in TEXTS]
    assert together[::-1] == tokenizer.tokenize(TEXTS[::-1]).to_list()
    places = [it.to_list()[::5] for it in tokenizer.tokenize_with_offsets(TEXTS)]
    some = TEXTS[::5]
    alone = [[it.to_list()[0] for it in tokenizer.tokenize_with_offsets([text])] for text in some]
    assert places == [list(column) for column in zip(*alone, strict=True)]


@pytest.mark.parametrize("texts", [[], [""], ["", ""], [" "], ["\u200b\x00"], [b"\xff"]])
@pytest.mark.parametrize("case", [{}, LOSSLESS])
def test_batches_without_text_are_answered(models, texts, case):
    tokenizer = SentencePieceTokenizer(models["unigram"], **case)
    texts = tf.constant(texts, tf.string)
    ids = tokenizer.tokenize(texts)
    assert ids.nrows() == len(texts)
    assert tokenizer.tokenize_with_offsets(texts).ids.to_list() == ids.to_list()
    assert tokenizer.detokenize(ids).shape == [len(texts)]
    assert case or not tf.size(ids.values)


def test_invalid_utf8_is_its_replacement(models):
    draw = random.Random(0)
    octets = "aé각 ,".encode() + b"\xf0\x9f\xc0\x80\xed\xa0\xff\xfe"
    texts = [bytes(draw.choices(octets, k=draw.randrange(12))) for _ in range(500)]
    replaced = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
    for case in ({}, LOSSLESS):
        tokenizer = SentencePieceTokenizer(models["unigram"], **case)
        found = [it.to_list() for it in tokenizer.tokenize_with_offsets(texts)]
        assert found == [it.to_list() for it in tokenizer.tokenize_with_offsets(replaced)]
        back = tokenizer.detokenize(tokenizer.tokenize(texts)).numpy()
        assert (back == tokenizer.normalize(replaced).numpy()).all()


@KINDS
def test_the_same_texts_give_the_same_model_in_any_order(models, kind):
    assert learn(kind) == models[kind] == learn(kind, CORPUS[::-1])
    assert learn(kind, [*CORPUS, "another"]) != models[kind]


def test_user_and_reserved_tokens_stand_where_they_are_said_to():
    model = learn("bpe", user_tokens=("garden", "바다"))
    tokenizer = SentencePieceTokenizer(model)
    assert tokenizer.vocabulary[:9] == (*CONTROL_TOKENS, "[unused0]", "[unused1]", "garden", "바다")
    (ids,) = tokenizer.tokenize(["gardens"]).to_list()
    assert "garden" in [tokenizer.vocabulary[i] for i in ids]


def test_ids_that_no_text_gives_are_written_as_far_as_they_are_text(models):
    tokenizer = SentencePieceTokenizer(models["bpe"], **LOSSLESS)
    (ids,) = tokenizer.tokenize(["나무 the"]).to_list()
    begin, end, reserved = tokenizer.start_id, tokenizer.end_id, tokenizer.vocabulary.index
    octet = tokenizer.vocabulary.index("<0xF0>")
    rows = [[begin, *ids, end, tokenizer.pad_id], [reserved("[unused1]"), *ids], [octet], []]
    found = tokenizer.detokenize(tf.ragged.constant(rows, tf.int32, row_splits_dtype=tf.int64))
    assert [text.decode() for text in found.numpy()] == ["나무 the", "나무 the", "\ufffd", ""]


def test_without_bytes_rare_characters_are_unknown():
    tokenizer = SentencePieceTokenizer(learn("unigram", byte_fallback=False, size=120))
    ids = tokenizer.tokenize(["the 👩cat"])
    assert tokenizer.unk_id in ids.to_list()[0]
    assert tokenizer.detokenize(ids).numpy()[0].decode() == "the [UNK]cat"
    found = tokenizer.tokenize_with_offsets(["the 👩👩cat"])
    (place,) = [i for i, it in enumerate(found.ids.to_list()[0]) if it == tokenizer.unk_id]
    assert (found.starts[0][place], found.ends[0][place]) == (4, 6)


def test_it_is_saved_loaded_and_told_by_its_files(models, tmp_path: Path):
    WordPieceTokenizer([*CONTROL_TOKENS, "a"]).save(tmp_path)
    tokenizer = SentencePieceTokenizer(models["unigram"], lower_case=True)
    tokenizer.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"spm.model", "tokenizer.json"}
    assert (tmp_path / "spm.model").read_bytes() == models["unigram"]
    for path in (tmp_path, tmp_path / "spm.model"):
        loaded = Tokenizer.load(path)
        assert isinstance(loaded, SentencePieceTokenizer)
        assert loaded.settings == tokenizer.settings
        assert loaded.vocabulary_sha256 == tokenizer.vocabulary_sha256
        assert loaded.files == ("spm.model", "tokenizer.json")
    with pytest.raises(ValueError, match=r"max_word_characters must be left at 200"):
        Tokenizer.load(tmp_path, TokenizerConfig(max_word_characters=100))
    with pytest.raises(ValueError, match=r"lower_case=False, the file has True"):
        Tokenizer.load(tmp_path, TokenizerConfig(lower_case=False))
    (tmp_path / "vocab.txt").write_text("\n".join(CONTROL_TOKENS), encoding="utf-8")
    with pytest.raises(ValueError, match=r"must hold one vocabulary.*vocab\.txt and spm\.model"):
        Tokenizer.load(tmp_path)


def test_a_wordpiece_vocabulary_is_never_lossless(tmp_path: Path):
    WordPieceTokenizer([*CONTROL_TOKENS, "a"]).save(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    config = TokenizerConfig(**LOSSLESS)
    with pytest.raises(ValueError, match="lossless needs a SentencePiece vocabulary"):
        Tokenizer.load(tmp_path, config)


def test_models_that_the_graph_cannot_follow_are_refused(models, tmp_path: Path):
    def changed(change) -> bytes:
        model = sentencepiece_model_pb2.ModelProto.FromString(models["bpe"])
        change(model)
        return model.SerializeToString()

    def set_rules(model):
        model.normalizer_spec.precompiled_charsmap = b"rules"

    def set_word(model):
        model.trainer_spec.model_type = sentencepiece_model_pb2.TrainerSpec.WORD

    def rename_mask(model):
        model.pieces[4].piece = "<mask>"

    def make_mask_text(model):
        model.pieces[4].type = model.SentencePiece.USER_DEFINED

    for change, message in (
        (set_rules, "rules of its own normaliser, bytes=5"),
        (set_word, "model_type=3"),
        (rename_mask, r"no \[MASK\]"),
        (make_mask_text, r"no \[MASK\]"),
    ):
        with pytest.raises(ValueError, match=message):
            SentencePieceTokenizer(changed(change))
    size = sentencepiece_model_pb2.ModelProto.FromString(models["bpe"]).normalizer_spec.ByteSize()
    for end in [*range(0, len(models["bpe"]) - size, 53), len(models["bpe"]) - size - 2]:
        with pytest.raises(ValueError, match="a SentencePiece model must be whole"):
            SentencePieceTokenizer(models["bpe"][:end])
    file = tmp_path / "spm.model"
    file.write_bytes(b"\xff" + models["bpe"][:100])
    with pytest.raises(ValueError, match=r"spm\.model: a SentencePiece model must be whole"):
        Tokenizer.load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"other\.model: a SentencePiece model must exist"):
        Tokenizer.load(tmp_path / "other.model")
    with pytest.raises(ValueError, match="lossless needs a vocabulary with byte fallback"):
        SentencePieceTokenizer(learn("bpe", byte_fallback=False, size=120), **LOSSLESS)


def test_a_damaged_model_is_refused_or_read_and_nothing_else(models):
    draw = random.Random(0)
    num_refused = 0
    for _ in range(60):
        damaged = bytearray(models["bpe"])
        damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        try:
            SentencePieceTokenizer(bytes(damaged))
        except ValueError:
            num_refused += 1
    assert num_refused > 20


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"min_frequency must be left as it is .*kind=bpe"):
        VocabularyConfig(kind="bpe", min_frequency=3)
    with pytest.raises(ValueError, match=r"byte_fallback must be left .*kind=wordpiece"):
        VocabularyConfig(byte_fallback=False)
    with pytest.raises(ValueError, match="lossless needs text as it is"):
        TokenizerConfig(lossless=True)
    with pytest.raises(ValueError, match=r"vocabulary\.size must hold .*Received: 100"):
        learn("unigram", size=100)
    with pytest.raises(ValueError, match="learned from text"):
        learn("unigram", documents=["", " \n"])
    for token in ("two words", f"a{SPACE}", "[MASK]", "cafe\u0301"):
        with pytest.raises(ValueError, match=r"user_tokens must be whole words"):
            learn("bpe", user_tokens=(token,))


def test_a_saved_model_reads_and_writes_with_operations_that_serving_has(models, tmp_path: Path):
    module = tf.Module()
    module.tokenizer = SentencePieceTokenizer(models["unigram"], **CASES[3])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(texts: tf.Tensor) -> dict[str, tf.Tensor]:
        found = module.tokenizer.tokenize_with_offsets(texts, with_few_marks=True)
        packed = offsets.packed_offsets(found, max_seq_length=9)
        masked = module.tokenizer.tokenize_with_masks(texts).to_tensor(-1)
        back = module.tokenizer.detokenize(module.tokenizer.tokenize(texts))
        return {**packed, "ids": found.ids.to_tensor(-1), "masked": masked, "texts": back}

    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": serve})
    operations, *_ = check_file(tmp_path)
    assert not operations.faults
    reloaded = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    for texts in (TEXTS, ["abc"], [], ["é" * 300, ""]):
        texts = tf.constant(texts, tf.string)
        answers, expected = reloaded(texts), serve(texts)
        assert set(answers) == set(expected)
        for name, values in expected.items():
            tf.debugging.assert_equal(answers[name], values, message=name)


def test_it_outlives_a_cleared_keras_session(models):
    tokenizers = [SentencePieceTokenizer(models[kind]) for kind in ("unigram", "bpe")]
    compiled = [tf.function(it.tokenize, autograph=False) for it in tokenizers]
    texts = tf.constant(["the cat", "나무"])
    expected = [it.tokenize(texts).to_list() for it in tokenizers]
    assert [it(texts).to_list() for it in compiled] == expected
    assert expected[0] != expected[1]
    keras.utils.clear_session()
    assert [it.tokenize(texts).to_list() for it in tokenizers] == expected
    assert [it(texts).to_list() for it in compiled] == expected


def test_wordpiece_writes_words_with_spaces_between_them():
    tokens = [*CONTROL_TOKENS, *["don", "'", "t", "stop", "##ping", ".", "나", "##무", "cafe"]]
    tokenizer = WordPieceTokenizer(tokens, lower_case=True, strip_accents=True)
    texts = ["Don't  stopping.", "", "xyz 나무", "stop [MASK] café"]
    found = tokenizer.detokenize(tokenizer.tokenize_with_masks(tf.constant(texts))).numpy()
    expected = ["don ' t stopping .", "", "[UNK] [UNK]", "stop cafe"]
    assert [text.decode() for text in found] == expected
    packed = tokenizer.pack(tokenizer.tokenize_with_masks(texts), max_seq_length=16)
    dense = tf.RaggedTensor.from_tensor(packed["input_ids"])
    assert tokenizer.detokenize(dense).numpy().tolist() == found.tolist()


def test_settings_files_are_of_their_kind(models, tmp_path: Path):
    SentencePieceTokenizer(models["bpe"]).save(tmp_path)
    written = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert set(written) == {"lower_case", "strip_accents", "unicode_normalization", "lossless"}
    written["max_word_characters"] = 200
    (tmp_path / "tokenizer.json").write_text(json.dumps(written), encoding="utf-8")
    with pytest.raises(ValueError, match=r"tokenizer\.json: tokenizer settings must be lower_case"):
        Tokenizer.load(tmp_path)
