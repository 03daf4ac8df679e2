"""Out-of-range numbers in batches: each kind is found, and its error says what to do."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.data.batches.ranges import RangeError, Sizes, check_batches, faults_named

SIZES = Sizes(vocab_size=10, type_vocab_size=2, max_position_embeddings=8, num_classes=3)
GOOD: dict[str, Any] = {
    "input_ids": [[0, 9, 3, 4]],
    "input_mask": [[1, 1, 1, 0]],
    "segment_ids": [[0, 0, 1, 0]],
    "position_ids": [[0, 1, 7, 0]],
    "masked_lm_positions": [[3, 0]],
    "masked_lm_ids": [[9, 0]],
    "masked_lm_weights": [[77.0, 0.0]],
    "sequence_positions": [[0, 3]],
    "next_sentence_labels": [[1, 0]],
    "labels": [2],
}


def read(**changes: Any) -> dict[str, np.ndarray]:
    batch = {name: tf.constant(value) for name, value in (GOOD | changes).items()}
    batches = check_batches(tf.data.Dataset.from_tensors(batch), SIZES)
    with faults_named():
        return next(batches.as_numpy_iterator())


def test_a_batch_in_range_is_left_as_it_is():
    for name, value in read().items():
        np.testing.assert_array_equal(value, GOOD[name], err_msg=name)
    read(labels=[7.5])
    read(masked_lm_positions=np.zeros((1, 0), np.int32))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("input_ids", [[0, 10]], r"input_ids must be from 0 to 9. Received: 10. .*vocabulary than"),
        ("input_ids", [[-1, 3]], r"input_ids must be from 0 to 9. Received: -1. "),
        ("input_ids", [[3, 2**31 - 1]], r"Received: 2,147,483,647. "),
        (
            "masked_lm_ids",
            [[10, 0]],
            r"masked_lm_ids must be from 0 to 9. Received: 10. .*tokenize",
        ),
        ("segment_ids", [[2]], r"segment_ids must be from 0 to 1. .* raise model.type_vocab_size"),
        ("position_ids", [[8]], r"position_ids must be from 0 to 7. .*max_position_embeddings"),
        ("masked_lm_positions", [[4]], r"masked_lm_positions must be from 0 to 3. Received: 4. "),
        ("sequence_positions", [[-4]], r"sequence_positions must be from 0 to 3. Received: -4. "),
        ("input_mask", [[2]], r"input_mask must be from 0 to 1. "),
        ("next_sentence_labels", [2], r"next_sentence_labels must be from 0 to 1. Received: 2. "),
        ("labels", [3], r"labels must be from 0 to 2. Received: 3. .*The batch was not trained on"),
    ],
)
def test_what_points_at_nothing_is_named_with_its_range_and_what_to_do(name, value, message):
    with pytest.raises(RangeError, match=message):
        read(**{name: value})


def test_other_errors_of_reading_pass():
    batches = tf.data.Dataset.from_tensors(1.0).map(
        lambda x: tf.debugging.check_numerics(x / 0, "")
    )
    with pytest.raises(tf.errors.InvalidArgumentError), faults_named():
        next(batches.as_numpy_iterator())


def check(sizes, **tensors):
    return next(check_batches(tf.data.Dataset.from_tensors(tensors), sizes).as_numpy_iterator())


def test_a_decoders_ids_are_below_the_size_of_its_own_vocabulary():
    sizes = SIZES._replace(target_vocab_size=6)
    ids = {"input_ids": [[9, 1]], "decoder_input_ids": [[1, 5]]}
    np.testing.assert_array_equal(check(sizes, **ids)["decoder_input_ids"], [[1, 5]])
    message = r"decoder_input_ids must be from 0 to 5. Received: 6. .*vocab"
    with pytest.raises(RangeError, match=message):
        faults_named()(check)(sizes, **ids | {"decoder_input_ids": [[6, 0]]})


def test_a_model_without_segments_reads_none():
    batch = check(SIZES._replace(type_vocab_size=0), input_ids=[[1]], segment_ids=[[1]])
    np.testing.assert_array_equal(batch["segment_ids"], [[1]])
