import pytest
import tensorflow as tf
import tensorflow_text as tf_text

from bert_tf.data.text.packing import bucket_length, pack, pad_to, trim_pair

CLS, SEP = 101, 102


def ragged(*rows: list[int]) -> tf.RaggedTensor:
    return tf.ragged.constant(rows, dtype=tf.int32)


def test_a_pair_is_packed_as_worked_out_by_hand() -> None:
    features = pack(
        ragged([7, 8, 9], [1]), ragged([4], []), max_seq_length=16, cls_id=CLS, sep_id=SEP
    )
    assert features["input_ids"].numpy().tolist() == [
        [CLS, 7, 8, 9, SEP, 4, SEP],
        [CLS, 1, SEP, SEP, 0, 0, 0],
    ]
    assert features["input_mask"].numpy().tolist() == [[1] * 7, [1, 1, 1, 1, 0, 0, 0]]
    assert features["segment_ids"].numpy().tolist() == [
        [0, 0, 0, 0, 0, 1, 1],
        [0, 0, 0, 1, 0, 0, 0],
    ]
    assert {values.dtype for values in features.values()} == {tf.int32}


def test_a_single_text_is_cut_to_fit() -> None:
    features = pack(ragged([1, 2, 3, 4], []), max_seq_length=5, cls_id=CLS, sep_id=SEP, pad_id=9)
    assert features["input_ids"].numpy().tolist() == [[CLS, 1, 2, 3, SEP], [CLS, SEP, 9, 9, 9]]
    assert features["segment_ids"].numpy().tolist() == [[0] * 5] * 2


@pytest.mark.parametrize("max_tokens", [7, 8])
def test_trimming_equals_tensorflow_texts_round_robin(max_tokens: int) -> None:
    lengths = [(9, 3), (3, 9), (9, 9), (2, 2), (0, 12), (12, 0), (4, 4), (4, 5), (5, 4)]
    first = ragged(*(list(range(a)) for a, _ in lengths))
    second = ragged(*(list(range(b)) for _, b in lengths))
    expected = tf_text.RoundRobinTrimmer(max_tokens).trim([first, second])
    actual = trim_pair(first, second, max_tokens=max_tokens)
    for left, right in zip(actual, expected, strict=True):
        assert left.to_list() == right.to_list()


def test_padding_to_a_length() -> None:
    features = pack(ragged([1, 2]), max_seq_length=8, cls_id=CLS, sep_id=SEP)
    padded = pad_to(features, 6, pad_id=3)
    assert padded["input_ids"].numpy().tolist() == [[CLS, 1, 2, SEP, 3, 3]]
    assert padded["input_mask"].numpy().tolist() == [[1, 1, 1, 1, 0, 0]]
    with pytest.raises(tf.errors.InvalidArgumentError, match="non-negative"):
        pad_to(features, 3)


def test_bucket_lengths_round_up_and_stop_at_the_limit() -> None:
    lengths = [
        int(bucket_length(tf.constant(longest), max_seq_length=40, multiple=16))
        for longest in (1, 16, 17, 33, 40)
    ]
    assert lengths == [16, 16, 32, 40, 40]
