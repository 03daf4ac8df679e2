"""Answers row by row: a row that cannot be answered says so itself, and leaves the others alone.

A server runs the rows of several clients as one batch, and an operation that fails there fails all
of them. So a signature never fails for what a row holds: it has an output `status`, `OK` or a
sentence about that row alone, and a row that is refused has zeros and empty strings for the rest.
"""

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

STATUS = "status"
OK = "OK"


def first_fault(*faults: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """`OK`, or the sentence of the first of `faults` that a row has: strings (batch).

    Each is whether a row has it, bool (batch), and a sentence of each row, string (batch).
    """
    status = tf.fill(tf.shape(faults[0][0]), OK)
    for has_it, sentence in reversed(faults):
        status = tf.where(has_it, sentence, status)
    return status


def blanked(
    outputs: Mapping[str, tf.Tensor],
    is_kept: tf.Tensor,
    *,
    blank: Callable[[tf.Tensor], tf.Tensor] = tf.zeros_like,
) -> dict[str, tf.Tensor]:
    """Outputs (batch, ...) with zeros, or empty strings, where `is_kept`, bool, is false.

    `is_kept` is of each row, (batch), or of each token, (batch, length).
    """
    return {
        name: tf.where(_like(is_kept, value), value, blank(value))
        for name, value in outputs.items()
    }


def refused(
    outputs: Mapping[str, tf.Tensor], faults: Sequence[tuple[tf.Tensor, tf.Tensor]]
) -> dict[str, tf.Tensor]:
    """Outputs that are blank in rows with one of `faults`, which `STATUS` tells there."""
    status = first_fault(*faults)
    is_right = tf.equal(status, OK)
    own = outputs.get(STATUS, OK)
    return {**blanked(outputs, is_right), STATUS: tf.where(is_right, own, status)}


def same_number_of_rows(names: Sequence[str], *inputs: tf.Tensor) -> tf.Operation:
    """Fails where the first dimensions of inputs differ: what comes after depends on it."""
    numbers = tf.stack([tf.shape(x)[0] for x in inputs])
    received = tf.strings.reduce_join(tf.strings.as_string(numbers), separator=", ")
    return tf.debugging.Assert(
        tf.reduce_all(numbers == numbers[0]),
        [f"{', '.join(names)} must have the same number of rows. Received:", received],
    )


def not_a_number(value: tf.Tensor) -> tf.Tensor:
    """A `blank` for what 0 would be an answer of."""
    return tf.fill(tf.shape(value), tf.constant(float("nan"), value.dtype))


def _like(is_kept: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """With dimensions of 1 for those that `value` has besides."""
    missing = value.shape.rank - is_kept.shape.rank
    return tf.reshape(is_kept, tf.concat([tf.shape(is_kept), tf.ones([missing], tf.int32)], axis=0))
