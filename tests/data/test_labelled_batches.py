"""Batches of encoded examples: their order, their lengths, what they hold."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.data.batches.labelled import encode_texts, labelled_batches
from bert_tf.data.text.tokenizer import Tokenizer
from bert_tf.data.text.windows import TextLimits


def make_texts(num_rows: int) -> list[str]:
    return [" ".join(["cat"] * (1 + row % 40)) + f" {row}" for row in range(num_rows)]


def batches(
    texts: list[str],
    tokenizer: Tokenizer,
    *,
    pairs: list[str] | None = None,
    max_seq_length: int = 64,
    **overrides: Any,
) -> tf.data.Dataset:
    """Of each text the label is its row modulo 3."""
    labels = np.arange(len(texts), dtype=np.int32) % 3
    encoded = encode_texts(
        texts,
        pairs,
        targets={"labels": labels},
        tokenizer=tokenizer,
        limits=TextLimits(max_seq_length),
    )
    options = {"batch_size": 4, "is_training": True, "seed": 5}
    return labelled_batches(encoded, **options | overrides)


def test_training_batch_holds_what_was_asked_for(tokenizer: Tokenizer) -> None:
    texts = make_texts(30)
    spec = batches(texts, tokenizer).element_spec
    assert spec["input_ids"].shape.as_list() == [4, None]
    for batch in batches(texts, tokenizer).take(20).as_numpy_iterator():
        longest = batch["input_mask"].sum(axis=1).max()
        assert batch["input_ids"].shape == (4, min(n for n in (16, 24, 32, 48) if n >= longest))
        assert batch["input_ids"].dtype == batch["labels"].dtype == np.int32
        for ids, mask, label in zip(
            batch["input_ids"], batch["input_mask"], batch["labels"], strict=True
        ):
            pieces = [tokenizer.vocabulary[token_id] for token_id in ids[1 : mask.sum() - 1]]
            row = texts.index(" ".join(pieces).replace(" ##", ""))
            assert label == row % 3


def test_pairs_are_packed_with_segments_and_trimmed(tokenizer: Tokenizer) -> None:
    texts, pairs = ["cat dog", "cat " * 40], ["house", "dog " * 40]
    options = {"is_training": False, "batch_size": 2, "max_seq_length": 24}
    (batch,) = batches(texts, tokenizer, pairs=pairs, **options).as_numpy_iterator()
    cls, sep = tokenizer.cls_id, tokenizer.sep_id
    cat, dog, house = tokenizer.tokenize(["cat dog house"]).to_list()[0]
    assert batch["input_ids"][0, :7].tolist() == [cls, cat, dog, sep, house, sep, 0]
    assert batch["segment_ids"][0, :7].tolist() == [0, 0, 0, 0, 1, 1, 0]
    assert batch["input_ids"][1].tolist() == [cls, *[cat] * 11, sep, *[dog] * 10, sep]


def test_training_is_positioned_at_any_step(tokenizer: Tokenizer) -> None:
    texts = make_texts(30)
    everything = list(batches(texts, tokenizer).take(25).as_numpy_iterator())
    for start_step in (3, 7, 20):
        positioned = batches(texts, tokenizer, start_step=start_step).take(3)
        for left, right in zip(
            positioned.as_numpy_iterator(), everything[start_step:], strict=False
        ):
            np.testing.assert_array_equal(left["input_ids"], right["input_ids"])
            np.testing.assert_array_equal(left["labels"], right["labels"])


def test_each_epoch_has_every_row_once_in_another_order(tokenizer: Tokenizer) -> None:
    texts = make_texts(30)
    rows = [
        tuple(ids[ids != 0])
        for batch in batches(texts, tokenizer).take(15).as_numpy_iterator()
        for ids in batch["input_ids"]
    ]
    assert Counter(rows[:30]) == Counter(rows[30:])
    assert len(set(rows[:30])) == 30
    assert rows[:30] != rows[30:]


def test_evaluation_is_one_pass_in_order_with_the_last_batch_filled(tokenizer: Tokenizer) -> None:
    texts = make_texts(6)
    first, second = batches(texts, tokenizer, is_training=False).as_numpy_iterator()
    assert first["labels"].tolist() == [0, 1, 2, 0]
    assert first["weights"].tolist() == [1, 1, 1, 1]
    assert second["labels"][:2].tolist() == [1, 2]
    assert second["weights"].tolist() == [1, 1, 0, 0]


def test_training_without_a_seed_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="need a seed"):
        batches(make_texts(6), tokenizer, seed=None)


def test_batches_say_which_examples_they_hold(tokenizer: Tokenizer) -> None:
    texts = make_texts(6)
    first, second = batches(texts, tokenizer, is_training=False).as_numpy_iterator()
    assert first["rows"].tolist() == [0, 1, 2, 3]
    assert second["rows"].tolist()[:2] == [4, 5]


def test_targets_of_any_shape_go_along(tokenizer: Tokenizer) -> None:
    targets = {"labels": np.eye(6, 3, dtype=np.float32)}
    encoded = encode_texts(
        make_texts(6), targets=targets, tokenizer=tokenizer, limits=TextLimits(16)
    )
    found = labelled_batches(encoded, batch_size=4, is_training=False)
    assert found.element_spec["labels"].shape.as_list() == [4, 3]
    np.testing.assert_array_equal(next(iter(found))["labels"], targets["labels"][:4])
