"""The moving average of the weights."""

import numpy as np
import pytest
import tensorflow as tf

from tests.training.updates import initial_values, make_updates, weights_after


def averages(updates) -> list[np.ndarray]:
    return [slots["average"].numpy() for slots in updates.optimizer.slots]


def test_averages_equal_tensorflows():
    updates = make_updates(ema_decay=0.9)
    weights = [tf.Variable(value) for value in initial_values()]
    reference = tf.train.ExponentialMovingAverage(0.9)
    reference.apply(weights)  # begins with the weights
    for step in range(4):
        updates.make([step])
        for weight, value in zip(weights, updates.weights(), strict=True):
            weight.assign(value)
        reference.apply(weights)
    for weight, average in zip(weights, averages(updates), strict=True):
        np.testing.assert_allclose(average, reference.average(weight).numpy(), rtol=1e-6)


def test_averages_begin_with_the_weights_and_do_not_change_them():
    updates = make_updates(ema_decay=0.9)
    for average, value in zip(averages(updates), initial_values(), strict=True):
        np.testing.assert_array_equal(average, value)
    updates.make(range(3))
    for weight, expected in zip(updates.weights(), weights_after(3), strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_the_model_has_the_averages_inside_and_its_own_weights_after(num_replicas):
    updates = make_updates(ema_decay=0.9, num_replicas=num_replicas)
    updates.make(range(3))
    before, expected = updates.state(), averages(updates)
    read = tf.function(lambda: updates.strategy.run(lambda: updates.optimizer.weights[0] + 0.0))
    with updates.optimizer.averaged_weights():
        for weight, average in zip(updates.weights(), expected, strict=True):
            np.testing.assert_array_equal(weight, average)
        for part in updates.strategy.experimental_local_results(read()):
            np.testing.assert_array_equal(part, expected[0])
    assert before.keys() == updates.state().keys()
    for name, value in updates.state().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    updates.make([3])  # shares no memory with what was exchanged
    untouched = make_updates(ema_decay=0.9, num_replicas=num_replicas)
    untouched.make(range(4))
    for name, value in untouched.state().items():
        np.testing.assert_array_equal(updates.state()[name], value, err_msg=name)


def test_the_weights_come_back_after_an_error():
    updates = make_updates(ema_decay=0.9)
    updates.make([0])
    before = updates.weights()
    with pytest.raises(KeyError, match="stop"), updates.optimizer.averaged_weights():
        raise KeyError("stop")
    for weight, value in zip(updates.weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_a_finished_run_adopts_its_averages():
    updates = make_updates(ema_decay=0.9, num_replicas=2)
    updates.make(range(2))
    expected = averages(updates)
    updates.optimizer.adopt_averages()
    for weight, average in zip(updates.weights(), expected, strict=True):
        np.testing.assert_array_equal(weight, average)


def test_without_averages_the_weights_stay():
    updates = make_updates()
    assert all("average" not in slots for slots in updates.optimizer.slots)
    with updates.optimizer.averaged_weights():
        updates.optimizer.adopt_averages()
        for weight, value in zip(updates.weights(), initial_values(), strict=True):
            np.testing.assert_array_equal(weight, value)
