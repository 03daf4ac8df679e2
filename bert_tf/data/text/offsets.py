"""Where in the user's text each token comes from, in the graph.

In: texts, what each stage of normalisation makes of them, and the places of tokens in the last
stage's texts, in bytes. Out: places in the user's texts, in code points. Each code point is
followed through the stages with its range, the user's code points that it was made of:

    text   C a f e U+0301 , ﬁ n       after NFKC   C   a   f   é   ,   f   i   n
    place  0 1 2 3    4   5 6 7       range        0-1 1-2 2-3 3-5 5-6 6-7 6-7 7-8

The code points of a batch are one vector, text after text. Every text has `END` at its end, so that
none is empty and no mark at the beginning of a text joins the text before.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import tensorflow as tf
import tensorflow_text as tf_text

from bert_tf.data.text.packing import pack_beside
from bert_tf.data.text.vocabulary import CONTROL_CHARACTERS

END = "\n"
"""White space: it belongs to no token, and no stage changes or removes it."""
MARKS = r"\p{Mn}+"
MAX_MARKS = 30
"""Combining marks in a row, as Unicode's stream-safe text has them at most (UAX 15, section 13):
normalisation sorts such marks, and of thousands takes longer than a model does."""
MARKER = "\x01"
"""Stands for one character that a pattern matches; a control character, so in no text but for the
stage that removes these."""
LONGER_IN_LOWER_CASE = "İ"
"""Becomes two code points: "i" and U+0307. Any other stays one (Unicode, SpecialCasing.txt)."""
WHITE_SPACE = r"[\t\n\r\p{Z}]"
"""What words stand between, as Google's `BasicTokenizer` has it; all else of it is control."""
DECOMPOSITION = {"NFC": "NFD", "NFKC": "NFKD", "NFD": "NFD"}
GIVEN_UP = 0x10000
"""LINEAR B SYLLABLE B008 A: a letter of four bytes, the most that a code point takes."""


class TokenOffsets(NamedTuple):
    """Tokens of texts and their places: each ragged, (batch, (tokens)).

    `starts` and `ends` are half-open and count code points of the text as it was given; a sequence
    that is no UTF-8 counts as the U+FFFD that stand for it. Starts never fall.
    """

    ids: tf.RaggedTensor
    """int32, those of `Tokenizer.tokenize`."""
    starts: tf.RaggedTensor
    """int32."""
    ends: tf.RaggedTensor
    """int32."""
    begins_word: tf.RaggedTensor
    """bool: no piece that goes on with a word. An unknown word of WordPiece is one token."""


class Stage(NamedTuple):
    """What a stage of normalisation did, and the texts after it: string, (batch)."""

    change: (
        Literal["few marks", "NFC", "NFKC", "NFD", "control", "lower", "marks"]
        | Literal["given up", "one space", "prefix"]
    )
    texts: tf.Tensor


def packed_offsets(first: TokenOffsets, *, max_seq_length: int) -> dict[str, tf.Tensor]:
    """Offsets beside the columns of `pack(first.ids, …)`: [CLS] first [SEP], cut to fit.

    Result: `token_starts`, `token_ends`, `begins_word`, int32 (batch, longest in the batch): 0 at
    [CLS], at [SEP] and in the padding.

        starts [[0, 2, 5]]  ->  [[0, 0, 2, 5, 0]]
    """

    begins_word = first.begins_word.with_values(tf.cast(first.begins_word.values, tf.int32))
    values = {"token_starts": first.starts, "token_ends": first.ends, "begins_word": begins_word}
    return {name: pack_beside(it, max_seq_length=max_seq_length) for name, it in values.items()}


def few_marks(texts: tf.Tensor) -> tf.Tensor:
    """Texts with at most `MAX_MARKS` combining marks in a row: string, (batch), in and out."""
    return tf.strings.regex_replace(texts, rf"(\p{{M}}{{{MAX_MARKS}}})\p{{M}}+", r"\1")


def with_ends(texts: tf.Tensor) -> tf.Tensor:
    """The texts, valid UTF-8, as they are followed: string, (batch), in and out."""
    return tf.strings.join([texts, END])


def find_sources(
    places: tuple[tf.RaggedTensor, tf.RaggedTensor],
    *,
    texts: tf.Tensor,
    stages: Sequence[Stage],
    trims_white_space: bool = False,
) -> tuple[tf.RaggedTensor, tf.RaggedTensor]:
    """Starts and ends in the user's `texts` of starts and ends in the texts of the last stage.

    `places`: bytes, (batch, (tokens)), none empty. `texts`: string, (batch), of `with_ends`.
    Result: int32, code points, (batch, (tokens)). `trims_white_space`: tokens have white space, of
    which none is in the places; one of white space alone has an empty place.
    """
    num_code_points = tf.strings.length(texts, unit="UTF8_CHAR")
    everything = tf.range(tf.reduce_sum(num_code_points))
    ranges, before = _Ranges(everything, everything + 1), texts
    for stage in stages:
        ranges, before = _follow(ranges, before=before, stage=stage), stage.texts
    starts, ends = places
    row = starts.value_rowids()
    code_point = tf.cumsum(tf.cast(_begins_code_point(_octets(before)), tf.int32)) - 1
    first_octet = tf.gather(tf.cumsum(tf.strings.length(before), exclusive=True), row)
    first_code_point = tf.gather(tf.cumsum(num_code_points, exclusive=True), row)
    first = tf.gather(code_point, first_octet + tf.cast(starts.values, tf.int32))
    last = tf.gather(code_point, first_octet + tf.cast(ends.values, tf.int32) - 1)
    is_empty = tf.zeros_like(first, tf.bool)
    if trims_white_space:
        first, last, is_empty = _trimmed(first, last, texts=before)
    first, last = tf.gather(ranges.starts, first), tf.gather(ranges.ends, last)
    return (
        starts.with_values(first - first_code_point),
        starts.with_values(tf.where(is_empty, first, last) - first_code_point),
    )


def give_up_long_words(texts: tf.Tensor, *, limit: int, word_breaks: str) -> tf.Tensor:
    """`texts` of as many code points, in which words beyond `limit` have more than 4 `limit` bytes.

    `texts`: string, (batch), of `with_ends`; `word_breaks`: the inside of a class of RE2.
    """
    is_break = _is_match(texts, f"[{word_breaks}]")
    word = tf.cumsum(tf.cast(is_break, tf.int32))  # a break, and what follows up to the next
    length = tf.math.segment_sum(tf.cast(~is_break, tf.int32), word)
    is_given_up = ~is_break & (tf.gather(length, word) > limit)
    code_points = tf.strings.unicode_decode(texts, "UTF-8")
    code_points = code_points.with_values(tf.where(is_given_up, GIVEN_UP, code_points.values))
    return tf.strings.unicode_encode(code_points, "UTF-8")


class _Ranges(NamedTuple):
    """The user's code points that each code point was made of, counted over all texts."""

    starts: tf.Tensor
    """int32, (code points). They never fall, nor do the ends."""
    ends: tf.Tensor
    """int32, (code points)."""


def _follow(ranges: _Ranges, *, before: tf.Tensor, stage: Stage) -> _Ranges:
    if stage.change == "few marks":
        return _where(ranges, ~_is_excess(before))
    if stage.change == "control":
        return _where(ranges, ~_is_match(before, CONTROL_CHARACTERS.removesuffix("+")))
    if stage.change == "lower":
        number = 1 + tf.cast(_is_match(before, LONGER_IN_LOWER_CASE), tf.int32)
        return _Ranges(*(tf.repeat(values, number) for values in ranges))
    if stage.change == "marks":
        return _without_marks(ranges, before=before)
    if stage.change == "given up":
        return ranges
    if stage.change == "one space":
        return _where(ranges, _is_kept_space(before))
    if stage.change == "prefix":
        is_first, is_last = _ends_of_texts(before)
        number = 1 + tf.cast(is_first & ~is_last, tf.int32)
        return _Ranges(*(tf.repeat(values, number) for values in ranges))
    form = DECOMPOSITION[stage.change]
    return tf.cond(
        tf.reduce_all(tf.equal(before, stage.texts)),  # as most texts are
        lambda: ranges,
        lambda: _in_form(ranges, before=before, after=stage.texts, decomposition=form),
    )


def _where(ranges: _Ranges, is_kept: tf.Tensor) -> _Ranges:
    return _Ranges(*(tf.boolean_mask(values, is_kept) for values in ranges))


def _is_excess(texts: tf.Tensor) -> tf.Tensor:
    """What `few_marks` leaves out: bool, (code points)."""
    is_mark = tf.cast(_is_match(texts, r"\p{M}"), tf.int32)
    number = tf.cumsum(is_mark)
    run = tf.cumsum(1 - is_mark)  # a code point that is no mark, and the marks behind it
    before = tf.gather(tf.math.segment_min(number - is_mark, run), run)
    return (is_mark > 0) & (number - before > MAX_MARKS)


def _is_kept_space(texts: tf.Tensor) -> tf.Tensor:
    """What `one_space` keeps: bool, (code points). Of white space the last before something."""
    is_space = _is_space(texts)
    is_first, is_last = _ends_of_texts(texts)
    num_before = tf.cumsum(tf.cast(~is_space, tf.int32))
    text = tf.cumsum(tf.cast(is_first, tf.int32)) - 1
    is_leading = tf.equal(num_before, tf.gather(tf.math.segment_min(num_before, text), text))
    is_leading &= is_space & tf.gather(tf.boolean_mask(is_space, is_first), text)
    is_before_text = tf.concat([~is_space[1:], [False]], axis=0)[: tf.size(is_space)]
    return ~is_space | (is_before_text & ~is_leading) | is_last


def _ends_of_texts(texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Which code points are the first of their texts and which the last: bool, (code points)."""
    lengths = tf.strings.length(texts, unit="UTF8_CHAR")
    place = tf.ragged.range(lengths).values
    return tf.equal(place, 0), tf.equal(place, tf.repeat(lengths, lengths) - 1)


def _trimmed(
    first: tf.Tensor, last: tf.Tensor, *, texts: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """First and last code points that are no white space, and of which tokens there are none.

    `first`, `last`: int32 (tokens), places among all code points of `texts`.
    """
    is_text = ~_is_space(texts)
    number = tf.cumsum(tf.cast(is_text, tf.int32))
    places = tf.cast(tf.where(is_text)[:, 0], tf.int32)
    next_text = tf.gather(
        tf.concat([places, [tf.size(is_text)]], axis=0), number - tf.cast(is_text, tf.int32)
    )
    text_before = tf.gather(tf.concat([[-1], places], axis=0), number)
    trimmed_first, trimmed_last = tf.gather(next_text, first), tf.gather(text_before, last)
    is_empty = trimmed_first > trimmed_last
    return (
        tf.where(is_empty, first, trimmed_first),
        tf.where(is_empty, last, trimmed_last),
        is_empty,
    )


def _without_marks(ranges: _Ranges, *, before: tf.Tensor) -> _Ranges:
    """A mark that is removed goes to the code point before: its range ends behind the mark."""
    is_kept = ~_is_match(before, MARKS.removesuffix("+"))
    kept = tf.where(is_kept)[:, 0]
    next_kept = tf.concat([kept, [tf.size(is_kept, tf.int64)]], axis=0)[1:]
    return _Ranges(tf.gather(ranges.starts, kept), tf.gather(ranges.ends, next_kept - 1))


def _in_form(
    ranges: _Ranges, *, before: tf.Tensor, after: tf.Tensor, decomposition: str
) -> _Ranges:
    """_Ranges of the code points of `after`, which is `before` in a Unicode form.

    A text and its form, each code point decomposed, are the same but for the order of marks. Where
    as much of both has the same parts, and both have a code point's end, they can be cut: what is
    between two such cuts was made of what is between them. The parts are compared by sums of their
    hashes.
    """
    old, new = (_decompose(texts, decomposition) for texts in (before, after))
    is_cut = tf.equal(tf.cumsum(old.hashes - new.hashes), 0) & old.is_last & new.is_last
    zone = tf.cumsum(tf.cast(is_cut, tf.int32), exclusive=True)
    zone_before, zone_after = (tf.boolean_mask(zone, parts.is_last) for parts in (old, new))
    return _Ranges(
        tf.gather(tf.math.segment_min(ranges.starts, zone_before), zone_after),
        tf.gather(tf.math.segment_max(ranges.ends, zone_before), zone_after),
    )


class _Parts(NamedTuple):
    """What the code points of texts decompose into, in their order: (parts)."""

    hashes: tf.Tensor
    """int64."""
    is_last: tf.Tensor
    """bool: of a code point's parts."""


def _decompose(texts: tf.Tensor, form: str) -> _Parts:
    code_points = tf.strings.unicode_decode(texts, "UTF-8").values
    different, index = tf.unique(code_points)
    characters = tf.strings.unicode_encode(different[:, tf.newaxis], "UTF-8")
    parts = tf.strings.unicode_split(tf_text.normalize_utf8(characters, form), "UTF-8")
    hashes = tf.strings.to_hash_bucket_fast(parts.values, 1 << 40)
    of_each = tf.gather(parts.with_values(hashes), index)
    owner = of_each.value_rowids()
    return _Parts(of_each.values, tf.concat([tf.not_equal(owner[1:], owner[:-1]), [True]], axis=0))


def _is_match(texts: tf.Tensor, pattern: str) -> tf.Tensor:
    """Of each code point whether `pattern`, which matches one, matches it: bool, (code points)."""
    octets = _octets(tf.strings.regex_replace(texts, pattern, MARKER))
    first_octets = tf.boolean_mask(octets, _begins_code_point(octets))
    return tf.equal(first_octets, ord(MARKER))


def _is_space(texts: tf.Tensor) -> tf.Tensor:
    """Of each code point whether it is white space, also where control characters are kept."""
    octets = _octets(texts)
    is_marker = tf.equal(tf.boolean_mask(octets, _begins_code_point(octets)), ord(MARKER))
    return _is_match(texts, WHITE_SPACE) & ~is_marker


def _octets(texts: tf.Tensor) -> tf.Tensor:
    """All bytes of all texts: int8, (bytes)."""
    return tf.io.decode_raw(tf.strings.reduce_join(texts), tf.int8)


def _begins_code_point(octets: tf.Tensor) -> tf.Tensor:
    """The other bytes of UTF-8 are 0x80 to 0xBF, which are below -64 as int8."""
    return octets >= -64
