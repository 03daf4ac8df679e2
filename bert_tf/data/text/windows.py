"""Token ids of long texts in, overlapping windows of them out, in the graph.

A text of 7 tokens, windows of 4, a stride of 2, packed as `[CLS] window [SEP]`:

    input_ids          [CLS a b c d SEP] [CLS c d e f SEP] [CLS e f g SEP]
    document_columns   [ 0  1 2 3 0  0 ] [ 0  0 4 5 0  0 ] [ 0  0 6 7  0 ]
    owners                     0                 0                0

A token in several windows is read in the one where it has most of the text around it; there
`document_columns` says where it stands in `[CLS] text`, as if the text were one row.

Source: Devlin et al. 2019, google-research/bert, run_squad.py (windows, "max context").
"""

from typing import NamedTuple

import tensorflow as tf

from bert_tf.data.text.offsets import TokenOffsets, packed_offsets
from bert_tf.data.text.packing import keep_first, pack, pack_beside, pad_to

NUM_SPECIAL_TOKENS = 2
"""[CLS] and [SEP], which every text has; a pair has another [SEP]."""


class TextLimits(NamedTuple):
    """How much of a text a model reads."""

    max_seq_length: int
    """Tokens of a row, special ones included."""
    max_windows: int = 1
    """Rows that a text, of a pair the second, is read in at most."""
    window_stride: int | None = None
    """Tokens from the start of a window to that of the next; None: half of a row."""

    @property
    def stride(self) -> int:
        """At most a window of a text that stands alone: no token is left out."""
        room = self.max_seq_length - NUM_SPECIAL_TOKENS
        return min(self.window_stride or self.max_seq_length // 2, room)

    @property
    def document_length(self) -> int:
        """Tokens of the longest `[CLS] text [SEP]` of which all is read."""
        return self.max_seq_length + (self.max_windows - 1) * self.stride


class Windows(NamedTuple):
    """Windows of some texts, those of a text in a row: (windows)."""

    owners: tf.Tensor
    """int64: which text."""
    starts: tf.Tensor
    """int64: the first token in its text."""
    lengths: tf.Tensor
    """int64: tokens."""

    def of(self, tokens: tf.RaggedTensor) -> tf.RaggedTensor:
        """What `tokens`, ragged (texts, (tokens)), has in each window: (windows, (tokens))."""
        firsts = tf.gather(tokens.row_starts(), self.owners) + self.starts
        places = tf.ragged.range(firsts, firsts + self.lengths)
        return places.with_values(tf.gather(tokens.values, places.values))


class PackedWindows(NamedTuple):
    """Windows as rows of the encoder."""

    inputs: dict[str, tf.Tensor]
    """`input_ids`, `input_mask`, `segment_ids` and `document_columns`, int32 (windows, length)."""
    owners: tf.Tensor
    """int32 (windows): which text."""

    def padded(self, length: tf.Tensor | int, *, pad_id: int) -> "PackedWindows":
        """With `length` columns, which must be at least what it has."""
        return self._replace(inputs=pad_to(self.inputs, length, pad_id=pad_id))

    def of_each(self, num_texts: tf.Tensor, *, pad_id: int) -> dict[str, tf.Tensor]:
        """The inputs as int32 (texts, most windows of one, length): missing ones are padding."""
        return {
            name: tf.RaggedTensor.from_value_rowids(
                values, tf.cast(self.owners, tf.int64), num_texts, validate=False
            ).to_tensor(pad_id if name == "input_ids" else 0)
            for name, values in self.inputs.items()
        }


def lead_lengths(
    num_lead: tf.Tensor, num_tokens: tf.Tensor, *, max_seq_length: int, is_last: bool = False
) -> tf.Tensor:
    """How many tokens are kept of what stands before each window, such as a question.

    All, if one row holds it with the text; at most half of a row otherwise, as `trim_pair` has it.
    All int64 (texts). `is_last`: it stands behind each window, such as a choice.
    """
    room = max_seq_length - NUM_SPECIAL_TOKENS - 1
    half = room // 2 if is_last else room - room // 2
    return tf.minimum(num_lead, tf.maximum(room - num_tokens, half))


def window_rooms(
    num_tokens: tf.Tensor, num_lead: tf.Tensor | None, limits: TextLimits
) -> tf.Tensor:
    """Tokens that a window of each text holds, int64 (texts), beside `num_lead` that are kept."""
    room = tf.fill(
        tf.shape(num_tokens), tf.constant(limits.max_seq_length - NUM_SPECIAL_TOKENS, tf.int64)
    )
    return room if num_lead is None else room - 1 - num_lead


def covered_lengths(
    num_tokens: tf.Tensor, num_lead: tf.Tensor | None, limits: TextLimits
) -> tf.Tensor:
    """How many tokens of each text its windows hold, int64 (texts), of `num_lead` as they are."""
    if num_lead is not None:
        num_lead = lead_lengths(num_lead, num_tokens, max_seq_length=limits.max_seq_length)
    rooms = window_rooms(num_tokens, num_lead, limits)
    return tf.minimum(num_tokens, rooms + (limits.max_windows - 1) * _strides(rooms, limits))


def find_windows(num_tokens: tf.Tensor, rooms: tf.Tensor, limits: TextLimits) -> Windows:
    """The windows of texts, as far as these are not too long; an empty text has one.

    `num_tokens`, `rooms`: int64 (texts), see `window_rooms`.
    """
    strides = _strides(rooms, limits)
    missing = tf.maximum(num_tokens - rooms, 0)
    counts = tf.minimum(1 - (-missing // strides), limits.max_windows)
    numbers = tf.ragged.range(counts)
    owners = numbers.value_rowids()
    starts = numbers.values * tf.gather(strides, owners)
    left = tf.gather(num_tokens, owners) - starts
    return Windows(owners, starts, tf.minimum(left, tf.gather(rooms, owners)))


def row_lengths(
    num_tokens: tf.Tensor,
    num_lead: tf.Tensor | None,
    limits: TextLimits,
    *,
    lead_is_last: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Tokens of the row that `pack_windows` makes of each window, and which text it is of.

    Both int64 (windows). `num_tokens`, `num_lead`: int64 (texts).
    """
    num_special = tf.fill(tf.shape(num_tokens), tf.constant(NUM_SPECIAL_TOKENS, tf.int64))
    if num_lead is not None:
        num_lead = lead_lengths(
            num_lead, num_tokens, max_seq_length=limits.max_seq_length, is_last=lead_is_last
        )
        num_special += 1 + num_lead
    found = find_windows(num_tokens, window_rooms(num_tokens, num_lead, limits), limits)
    return found.lengths + tf.gather(num_special, found.owners), found.owners


def covered_offsets(
    tokens: TokenOffsets, lead: tf.RaggedTensor | None, limits: TextLimits
) -> tuple[tf.RaggedTensor, dict[str, tf.Tensor]]:
    """Of tokens that the windows of their texts hold the ids, and where they stand.

    int32 (texts, (tokens)), and `packed_offsets` of `[CLS] text [SEP]`. `lead`: as it is.
    """
    num_lead = None if lead is None else lead.row_lengths()
    read = covered_lengths(tokens.ids.row_lengths(), num_lead, limits)
    kept = TokenOffsets(*(keep_first(it, lengths=read) for it in tokens))
    return kept.ids, packed_offsets(kept, max_seq_length=limits.document_length)


def pack_windows(
    tokens: tf.RaggedTensor,
    lead: tf.RaggedTensor | None = None,
    *,
    limits: TextLimits,
    cls_id: int,
    sep_id: int,
    pad_id: int = 0,
    lead_is_last: bool = False,
) -> PackedWindows:
    """`[CLS] window [SEP]`, or `[CLS] lead [SEP] window [SEP]`, of each window of each text.

    With one window these are the rows of `pack`.

    Args:
        tokens: int32 (texts, (tokens)).
        lead: int32 (texts, (tokens)), what stands before each window, see `lead_lengths`.
        lead_is_last: it stands behind each, `[CLS] window [SEP] lead [SEP]`.
    """
    length, num_tokens = limits.max_seq_length, tokens.row_lengths()
    num_lead = None
    if lead is not None:
        num_lead = lead_lengths(
            lead.row_lengths(), num_tokens, max_seq_length=length, is_last=lead_is_last
        )
        lead = keep_first(lead, lengths=num_lead)
    windows = find_windows(num_tokens, window_rooms(num_tokens, num_lead, limits), limits)
    parts, columns = [windows.of(tokens)], [_document_columns(windows, tokens)]
    if lead is not None:
        leads = tf.gather(lead, windows.owners)
        place = 1 if lead_is_last else 0
        parts.insert(place, leads)
        columns.insert(place, tf.zeros_like(leads))
    inputs = pack(*parts, max_seq_length=length, cls_id=cls_id, sep_id=sep_id, pad_id=pad_id)
    inputs["document_columns"] = pack_beside(*columns, max_seq_length=length)
    return PackedWindows(inputs, tf.cast(windows.owners, tf.int32))


def pack_choices(
    tokens: tf.RaggedTensor,
    choices: tf.RaggedTensor,
    *,
    limits: TextLimits,
    cls_id: int,
    sep_id: int,
    pad_id: int = 0,
) -> tuple[PackedWindows, tf.Tensor]:
    """`[CLS] window [SEP] choice [SEP]` of each window of each text with each of its choices.

    Args:
        tokens: int32 (texts, (tokens)).
        choices: int32 (texts, (choices), (tokens)).

    Returns:
        The rows, and how many each choice has: int32 (texts, most choices), 0 of one that is
        missing.
    """
    texts = choices.value_rowids()
    packed = pack_windows(
        tf.gather(tokens, texts),
        choices.values,
        limits=limits,
        cls_id=cls_id,
        sep_id=sep_id,
        pad_id=pad_id,
        lead_is_last=True,
    )
    ones = tf.ones_like(packed.owners)
    counts = tf.math.unsorted_segment_sum(ones, packed.owners, tf.size(texts))
    rows = packed._replace(owners=tf.gather(tf.cast(texts, tf.int32), packed.owners))
    return rows, choices.with_values(counts).to_tensor()


def _strides(rooms: tf.Tensor, limits: TextLimits) -> tf.Tensor:
    # Beside an empty text there may be no room.
    return tf.clip_by_value(rooms, 1, tf.constant(limits.stride, tf.int64))


def _document_columns(windows: Windows, tokens: tf.RaggedTensor) -> tf.RaggedTensor:
    """1 and on at the tokens that a window has the most text around, else 0: int32."""
    places = windows.of(tokens.with_values(tf.range(tf.size(tokens.values, tf.int64))))
    window = places.value_rowids()
    number = tf.ragged.range(windows.lengths).values
    around = tf.minimum(number, tf.gather(windows.lengths, window) - 1 - number)
    # Of windows with as much around it the first has a token.
    score = around * (tf.size(windows.owners, tf.int64) + 1) - window
    best = tf.math.unsorted_segment_max(score, places.values, tf.size(tokens.values, tf.int64))
    is_best = tf.equal(score, tf.gather(best, places.values))
    columns = 1 + number + tf.gather(windows.starts, window)
    return places.with_values(tf.cast(tf.where(is_best, columns, 0), tf.int32))
