"""AdamW and LAMB against code that others wrote, and what all optimizers share."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.training.engine.checkpoints import Checkpoints
from bert_tf.training.optimizers import make_optimizer
from bert_tf.training.optimizers.lamb import Lamb
from tests.training.updates import (
    CONSTANT,
    OptimizerConfig,
    gradients_of,
    initial_values,
    make_updates,
    weights_after,
)

# TensorFlow's kernel takes 1 - 0.999 in float32, 5e-5 off; a step here is 0.01.
ROUNDING = 1e-6
ALL = [{"name": "adamw"}, {"name": "lamb"}, {"name": "adamw", "ema_decay": 0.9}]


def test_adamw_equals_keras():
    theirs = [keras.Variable(value) for value in initial_values()]
    reference = keras.optimizers.AdamW(0.01, weight_decay=0.1, epsilon=1e-6)
    reference.exclude_from_weight_decay(var_list=theirs[1:2])
    reference.build(theirs)
    for step in range(5):
        reference.apply(gradients_of(step), theirs)
    ours = weights_after(5, weight_decay_rate=0.1)
    for our_weight, their_weight in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our_weight, their_weight, atol=ROUNDING)


@pytest.mark.slow
def test_adamw_equals_pytorch():
    torch = pytest.importorskip("torch")
    theirs = [torch.nn.Parameter(torch.tensor(value)) for value in initial_values()]
    reference = torch.optim.AdamW(
        [
            {"params": [theirs[0], theirs[2]], "weight_decay": 0.1},
            {"params": [theirs[1]], "weight_decay": 0.0},
        ],
        lr=0.01,
        eps=1e-12,  # added at another place; see the class
    )
    for step in range(5):
        for weight, gradient in zip(theirs, gradients_of(step), strict=True):
            weight.grad = torch.tensor(gradient.numpy())
        reference.step()
    ours = weights_after(5, weight_decay_rate=0.1, epsilon=1e-12)
    for our_weight, their_weight in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our_weight, their_weight.detach().numpy(), atol=ROUNDING)


# What AdamWeightDecayOptimizer(0.01, weight_decay_rate=0.01) of bert-tensorflow 1.0.4, which is
# google-research/bert, made of the first two variables in three steps, on TensorFlow 2.20.0.
GOOGLES = (
    [
        [0.016027804, -0.14342147, 0.60080016, 0.22057398],
        [-0.63728434, 0.26023835, 1.4170423, 0.8430665],
        [-0.7667696, -1.310718, -0.72267514, 0.008878081],
    ],
    [-2.211026, -0.1048453, -1.1889936, -0.78702706],
)


def test_adamw_without_bias_correction_equals_googles():
    ours = weights_after(3, bias_correction=False)
    for our_weight, their_weight in zip(ours, GOOGLES, strict=False):
        np.testing.assert_allclose(our_weight, their_weight, atol=ROUNDING)


@pytest.mark.parametrize("weight_decay_rate", [0.1, 0.0])
def test_lamb_equals_model_gardens_with_a_variable_each_for_query_key_and_value(weight_decay_rate):
    import tf_keras
    from official.modeling.optimization.lamb import LAMB

    def apart(values):
        kernel, bias, stacked = (np.asarray(value) for value in values)
        return [kernel, bias, *np.split(stacked, 3, axis=-1)]

    names = ("kernel", "bias", "query", "key", "value")
    values = apart(initial_values())
    theirs = [tf.Variable(value, name=name) for name, value in zip(names, values, strict=True)]
    reference = LAMB(
        0.01, weight_decay_rate=weight_decay_rate, exclude_from_weight_decay=["bias"], epsilon=1e-6
    )
    assert isinstance(reference, tf_keras.optimizers.legacy.Optimizer)
    for step in range(5):
        reference.apply_gradients(zip(apart(gradients_of(step)), theirs, strict=True))
    ours = apart(weights_after(5, name="lamb", weight_decay_rate=weight_decay_rate))
    for name, our_weight, their_weight in zip(names, ours, theirs, strict=True):
        np.testing.assert_allclose(our_weight, their_weight.numpy(), rtol=1e-5, err_msg=name)


def test_lamb_moves_weights_of_zero_by_adams_step():
    updates = make_updates(name="lamb")
    kernel = updates.optimizer.parameters[0].variable
    kernel.assign(np.zeros(kernel.shape))
    updates.make([0])
    np.testing.assert_allclose(updates.weights()[0], -0.01 * np.sign(gradients_of(0)[0]), rtol=1e-4)


@pytest.mark.parametrize("settings", ALL)
def test_two_replicas_equal_one(settings):
    states = []
    for num_replicas in (1, 2):
        updates = make_updates(num_replicas=num_replicas, **settings)
        updates.make(range(3))
        states.append(updates.state())
    assert len(states[1]) == 2 * len(states[0])
    for name, value in states[1].items():
        np.testing.assert_array_equal(value, states[0][f"{name[:-2]}@0"], err_msg=name)


@pytest.mark.parametrize("settings", ALL)
@pytest.mark.parametrize("num_replicas", [1, 2])
def test_a_skipped_step_changes_nothing(settings, num_replicas):
    updates = make_updates(num_replicas=num_replicas, **settings)
    updates.make([0, 1], is_finite=True)
    before = updates.state()
    updates.make([2], is_finite=False)
    after = updates.state()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)
    assert before["num_updates@0"] == 2
    updates.make([3], is_finite=True)
    unaware = make_updates(num_replicas=num_replicas, **settings)
    unaware.make([0, 1, 3])
    for name, value in unaware.state().items():
        np.testing.assert_array_equal(updates.state()[name], value, err_msg=name)


@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_a_rate_factor_is_a_lower_learning_rate(name):
    lower = weights_after(2, name=name, learning_rate=0.0025)
    for weight, expected in zip(weights_after(2, name=name, rate_factor=0.25), lower, strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("settings", [{"name": "lamb", "ema_decay": 0.9}, {"name": "adamw"}])
def test_a_restored_optimizer_goes_on_bit_by_bit(tmp_path, settings):
    def start():
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(4, name="dense")], name="model"
        )
        model.layers[0].kernel.assign(initial_values()[0])
        config = OptimizerConfig(**{**CONSTANT, **settings})
        optimizer = make_optimizer(model, config=config, num_steps=10)
        return optimizer, Checkpoints(tmp_path, model=model, optimizer=optimizer, keep=1)

    def update(optimizer, step):
        gradients = gradients_of(step)[:2]
        tf.distribute.get_strategy().run(
            lambda: optimizer.apply(gradients, step=tf.constant(step, tf.int64))
        )

    first, checkpoints = start()
    assert isinstance(first, Lamb) == (settings["name"] == "lamb")
    update(first, 0)
    update(first, 1)
    checkpoints.save(2)
    update(first, 2)
    second, checkpoints = start()
    assert checkpoints.restore_newest() == 2
    update(second, 2)
    assert int(second.num_updates) == 3
    for one, other in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.name)
