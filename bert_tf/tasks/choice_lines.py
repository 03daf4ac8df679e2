"""Choices as the lines of one string: joined where tables are read, taken apart in the graph.

    ["red", "a\\nb"] -> "red\\na b"          "red\\na b" -> [["red", "a b"]], "OK"
                                            "red"       -> [[]], "choices must be from 2 to …"

A string a row is what TensorFlow Serving batches, whatever the number of choices.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

import tensorflow as tf

OK = "OK"
LEAST_CHOICES = 2
MAX_CHOICES = 100
_BREAKS = re.compile(r"[\r\n]+")


class ChoiceLines(NamedTuple):
    """The choices of a batch of rows; a row that is refused has none."""

    choices: tf.RaggedTensor
    """string (batch, (choices)), without white space around them."""
    status: tf.Tensor
    """string (batch): `OK`, or what is wrong with the row."""


def one_line(choice: str) -> str:
    """A choice as a line: line breaks become spaces."""
    return _BREAKS.sub(" ", choice).strip()


def join_choices(choices: Iterable[str]) -> str:
    """A line a choice."""
    return "\n".join(map(one_line, choices))


def split_choices(lines: tf.Tensor, *, max_choices: int) -> ChoiceLines:
    """Strings (batch), a choice a line, taken apart. The last line may end with a line break.

    Lines are counted before they are taken apart: a row of a million costs no more than its bytes.
    """
    lines = tf.strings.regex_replace(tf.convert_to_tensor(lines), r"\r?\n\z", "")
    without = tf.strings.regex_replace(lines, "\n", "")
    num_lines = 1 + tf.strings.length(lines) - tf.strings.length(without)
    is_number = (num_lines >= LEAST_CHOICES) & (num_lines <= max_choices)
    found = tf.strings.split(tf.where(is_number, lines, ""), sep="\n")
    found = found.with_values(tf.strings.strip(found.values))
    is_empty = tf.cast(tf.equal(found.values, ""), tf.int32)
    place = tf.range(tf.size(is_empty), dtype=tf.int64) - tf.gather(
        found.row_starts(), found.value_rowids()
    )
    # Of a row without an empty line the greatest number there is.
    first_empty = tf.math.unsorted_segment_min(
        tf.where(is_empty > 0, place, tf.int64.max), found.value_rowids(), found.nrows()
    )
    status = tf.where(
        first_empty < tf.int64.max,
        _sentence("every line of choices must hold one", "an empty line", first_empty),
        OK,
    )
    wanted = f"choices must be from {LEAST_CHOICES} to {max_choices} lines"
    status = tf.where(is_number, status, _sentence(wanted, "", num_lines))
    is_kept = tf.equal(status, OK)
    values = tf.boolean_mask(found.values, tf.gather(is_kept, found.value_rowids()))
    lengths = tf.where(is_kept, found.row_lengths(), 0)
    return ChoiceLines(tf.RaggedTensor.from_row_lengths(values, lengths, validate=False), status)


def _sentence(what: str, received: str, number: tf.Tensor) -> tf.Tensor:
    received = f"{received}, number " if received else ""
    return tf.strings.join([f"{what}. Received: {received}", tf.strings.as_string(number), "."])
