"""What only a GPU can show."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.training.engine.strategy import make_strategy
from tests.training.runs import make_run, train_and_read


@pytest.mark.gpu
def test_all_visible_gpus_are_used():
    num_gpus = len(tf.config.list_physical_devices("GPU"))
    assert num_gpus > 0
    assert make_strategy().num_replicas_in_sync == num_gpus


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_a_run_can_be_repeated_bit_by_bit(tmp_path, dtype):
    results = [
        train_and_read(make_run(tmp_path / name, num_replicas=None, dropout=0.1, dtype=dtype))[1]
        for name in ("first", "second")
    ]
    for name, value in results[0].items():
        np.testing.assert_array_equal(value, results[1][name], err_msg=name)
