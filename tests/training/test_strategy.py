"""Devices, number types, and how a global batch is dealt to replicas."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.training.engine import strategy as strategies
from bert_tf.training.engine.strategy import (
    check_batch_size,
    dtype_policy,
    make_strategy,
    split_batches,
)


def test_each_replica_gets_its_rows_in_order():
    strategy = make_strategy(num_logical_devices=2)
    batches = tf.data.Dataset.from_tensor_slices(np.arange(8)).batch(4)
    first = next(iter(split_batches(lambda: batches, strategy)))
    rows = [part.numpy().tolist() for part in strategy.experimental_local_results(first)]
    assert rows == [[0, 1], [2, 3]]


def test_precision_names_a_policy(monkeypatch):
    assert dtype_policy("float32") == "float32"
    assert dtype_policy("bfloat16") == "mixed_bfloat16"
    assert dtype_policy("float16") == "mixed_float16"
    has_units = strategies.has_bfloat16_units()
    assert dtype_policy("auto") == ("mixed_bfloat16" if has_units else "float32")


def test_a_batch_that_cannot_be_dealt_is_refused():
    strategy = make_strategy(num_logical_devices=3)
    check_batch_size(6, 2, strategy)
    with pytest.raises(ValueError, match=r"batch_size=32, 3 replicas x 1. Use a multiple of 3"):
        check_batch_size(32, 1, strategy)


def test_more_logical_devices_than_the_process_has_are_refused():
    tf.constant(0)
    with pytest.raises(RuntimeError, match=r"before TensorFlow starts. Received: 5 wanted, 4 th"):
        make_strategy(num_logical_devices=5)
