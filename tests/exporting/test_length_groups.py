"""Rows that are answered in groups of like length answer as they do at once."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.exporting.length_groups import (
    LEAST_PLACES,
    LEAST_TEXTS,
    MOST_GROUPS,
    MOST_TEXTS,
    by_length,
)


def inputs_of(lengths, *, width):
    mask = np.arange(width)[np.newaxis] < np.array(lengths, int)[:, np.newaxis]
    ids = np.random.default_rng(0).integers(1, 100, size=mask.shape) * mask
    return {
        "input_ids": tf.constant(ids, tf.int32),
        "input_mask": tf.constant(mask, tf.int32),
    }


def answer(inputs):
    """What knows its row alone: a number a row, a word a row, a number and a word a token."""
    ids, mask = inputs["input_ids"], inputs["input_mask"]
    total = tf.reduce_sum(ids * mask, axis=1)
    return {
        "total": total,
        "pair": tf.stack([total, -total], axis=1),
        "word": tf.strings.as_string(total),
        "tokens": tf.cast(ids, tf.float32)[..., tf.newaxis] * [1.0, 2.0],
        "pieces": tf.where(tf.cast(mask, tf.bool), tf.strings.as_string(ids), ""),
    }


@pytest.mark.parametrize("num_rows", [0, 1, LEAST_TEXTS, 4 * LEAST_TEXTS + 3, 50])
def test_answers_are_those_of_all_rows_at_once(num_rows):
    lengths = np.random.default_rng(num_rows).integers(1, 41, size=num_rows)
    inputs = inputs_of(lengths, width=40)
    expected = answer(inputs)
    found = tf.function(by_length(answer))(inputs)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_short_rows_are_not_padded_to_the_longest():
    def widths(inputs):
        width = tf.shape(inputs["input_ids"])[1]
        return tf.repeat(width, tf.shape(inputs["input_ids"])[0])

    lengths = [3, 80, 5, 6, 73, 8, 2, 75, 7, 71, 4, 79, 78, 1, 77, 76]
    found = tf.function(by_length(widths))(inputs_of(lengths, width=84))
    assert found.numpy().tolist() == [8 if length <= 8 else 80 for length in lengths]


def test_there_are_so_many_groups_at_most():
    def size(inputs):
        number = tf.shape(inputs["input_ids"])[0]
        return tf.repeat(number, number)

    found = tf.function(by_length(size))(inputs_of([4] * 400, width=40))
    assert set(found.numpy()) == {400 // MOST_GROUPS}
    found = tf.function(by_length(size))(inputs_of([4] * 8 * MOST_TEXTS, width=40))
    assert set(found.numpy()) == {MOST_TEXTS}


def test_rows_that_are_all_short_are_one_group():
    def size(inputs):
        number = tf.shape(inputs["input_ids"])[0]
        return tf.repeat(number, number)

    most = LEAST_PLACES // 8
    found = tf.function(by_length(size))(inputs_of([4] * most, width=8))
    assert set(found.numpy()) == {most}
    found = tf.function(by_length(size))(inputs_of([4] * 2 * most, width=8))
    assert set(found.numpy()) == {most}
