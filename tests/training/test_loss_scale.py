"""float16: the scale of the loss, and a run that overflows."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import OptimizerConfig
from bert_tf.models.objective import Sums
from bert_tf.training.engine import loss_scale
from bert_tf.training.engine.loss_scale import LossScale
from bert_tf.training.engine.step import make_train_step
from bert_tf.training.engine.strategy import make_strategy, split_batches
from bert_tf.training.optimizers import make_optimizer
from tests.training.runs import make_run, train_and_read


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_it_halves_after_an_overflow_and_doubles_after_many_good_steps(monkeypatch, num_replicas):
    monkeypatch.setattr(loss_scale, "STEPS_TO_DOUBLE", 3)
    monkeypatch.setattr(loss_scale, "MAXIMUM", 2.0**15)
    strategy = make_strategy(num_logical_devices=num_replicas)
    with strategy.scope():
        scale = LossScale()

    def scale_of() -> float:
        return float(scale.scale.numpy())

    @tf.function
    def update(is_finite):
        return strategy.run(scale.update, (is_finite,))

    def after(*steps: bool) -> list[bool]:
        return [
            bool(strategy.experimental_local_results(update(tf.constant(is_finite)))[-1])
            for is_finite in steps
        ]

    assert after(False, False) == [True, True]
    assert scale_of() == 2.0**13
    assert after(True, True, False, True, True) == [False, False, True, False, False]
    assert scale_of() == 2.0**12, "two good steps are not three in a row"
    after(True)
    assert scale_of() == 2.0**13
    after(*12 * [True])
    assert scale_of() == 2.0**15, "the highest"
    assert after(*15 * [False]) == 15 * [True]
    assert after(False) == [False], "at the lowest scale an overflow is none"
    assert scale_of() == 1.0


class Linear(keras.Model):
    """Begins as the sum of `x`."""

    def __init__(self, *, dtype):
        super().__init__(dtype=dtype)
        self.dense = keras.layers.Dense(
            1, name="dense", kernel_initializer="ones", use_bias=False, dtype=self.dtype_policy
        )

    def call(self, inputs, training=False):
        return self.dense(inputs["x"])


class SquaredError:
    """One term."""

    def weights(self, batch):
        return {"error": tf.cast(tf.shape(batch["x"])[0], tf.float32)}

    def sums(self, outputs, batch):
        error = tf.cast(outputs, tf.float32)[:, 0] - batch["y"]
        zero = tf.zeros(())
        return Sums({"error": tf.reduce_sum(error * error)}, {"error": zero})


def take_steps(num_steps, *, dtype, num_replicas=1, y=3.0):
    """Extras of each step of a linear model, and its weights after the last one."""
    strategy = make_strategy(num_logical_devices=num_replicas)
    with strategy.scope():
        model = Linear(dtype=dtype)
        model.dense.build((None, 4))
        config = OptimizerConfig(learning_rate=0.01)
        optimizer = make_optimizer(model, config=config, num_steps=100)
        scale = LossScale() if dtype == "mixed_float16" else None
    step = make_train_step(
        model,
        SquaredError(),
        optimizer,
        strategy=strategy,
        num_parts=1,
        max_grad_norm=100.0,
        seed=0,
        loss_scale=scale,
    )
    batch = {"x": np.eye(4, dtype=np.float32), "y": np.full(4, y, np.float32)}
    batches = iter(split_batches(lambda: tf.data.Dataset.from_tensors(batch).repeat(), strategy))
    extras = [step(batches, tf.constant(i, tf.int64))[2] for i in range(num_steps)]
    seen = [{name: value.numpy() for name, value in each.items()} for each in extras]
    return seen, [weight.numpy() for weight in model.weights]


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_an_overflow_is_skipped_and_the_gradient_is_that_of_float32(monkeypatch, num_replicas):
    monkeypatch.setattr(loss_scale, "START", 2.0**18)
    exact, _ = take_steps(1, dtype="float32")
    seen, weights = take_steps(5, dtype="mixed_float16", num_replicas=num_replicas)
    # d loss / d output is -1: 2^16 and more overflow.
    assert [step["loss_scale"] for step in seen] == [2.0**18, 2.0**17, 2.0**16, 2.0**15, 2.0**15]
    for name in ("is_skipped", "is_overflow"):
        assert [step[name] for step in seen] == [True, True, True, False, False]
    assert seen[3]["gradient_norm"] == pytest.approx(exact[0]["gradient_norm"], rel=1e-3)
    _, begun = take_steps(3, dtype="mixed_float16", num_replicas=num_replicas)
    np.testing.assert_array_equal(begun[0], np.ones((4, 1)), err_msg="nothing was updated")
    assert (weights[0][:, 0] > 1.0).all()


def test_what_no_scale_mends_is_no_overflow_for_long():
    seen, _ = take_steps(17, dtype="mixed_float16", y=np.nan)
    assert all(step["is_skipped"] for step in seen)
    assert [step["is_overflow"] for step in seen] == 15 * [True] + 2 * [False]


@pytest.mark.flows
def test_bert_in_float16_is_the_same_on_two_replicas_and_close_to_float32(tmp_path):
    runs = [
        train_and_read(make_run(tmp_path / f"{dtype}{count}", num_replicas=count, dtype=dtype))[0]
        for dtype, count in (("float32", 1), ("mixed_float16", 1), ("mixed_float16", 2))
    ]
    for exact, one, two in zip(*runs, strict=True):
        assert one["train/skipped_steps"] == two["train/skipped_steps"] == 0
        assert one["train/loss_scale"] == two["train/loss_scale"] == loss_scale.START
        assert one["train/loss"] == pytest.approx(exact["train/loss"], rel=0.02)
        assert two["train/loss"] == pytest.approx(exact["train/loss"], rel=0.02)
        assert two["train/gradient_norm"] == pytest.approx(one["train/gradient_norm"], rel=0.05)
