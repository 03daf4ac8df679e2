"""AdamW against Keras', its schedule at points worked out by hand, its exclusions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import OptimizerConfig
from bert_tf.models.folder import ModelDescription, build_model
from bert_tf.models.tensors import weights_by_name
from bert_tf.training.optimizer import AdamW, learning_rate_at, variables_without_decay
from tests.references import ARCHITECTURE

CONSTANT = {"learning_rate": 0.01, "warmup_share": 0.0}


def two_variables() -> list[keras.Variable]:
    rng = np.random.default_rng(0)
    return [
        keras.Variable(rng.normal(size=shape).astype(np.float32), name=name)
        for shape, name in (((3, 4), "matrix"), ((4,), "vector"))
    ]


def gradients_of(step: int) -> list[tf.Tensor]:
    rng = np.random.default_rng(step + 1)
    return [tf.constant(rng.normal(size=s), tf.float32) for s in ((3, 4), (4,))]


def run_ours(*, num_steps: int, **settings) -> list[np.ndarray]:
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        variables = two_variables()
        optimizer = AdamW(
            variables,
            config=OptimizerConfig(**{**CONSTANT, **settings}),
            num_steps=10**9,
            without_decay=variables[1:],
        )

    @tf.function
    def apply(gradients, step):
        strategy.run(lambda *args: optimizer.apply(args[0], step=args[1]), (gradients, step))

    for step in range(num_steps):
        apply(gradients_of(step), tf.constant(step, tf.int64))
    return [np.asarray(variable.value) for variable in variables]


def test_equals_keras_adamw_with_the_same_exclusions():
    theirs = two_variables()
    ours = run_ours(num_steps=5, epsilon=1e-6, weight_decay_rate=0.1)
    reference = keras.optimizers.AdamW(0.01, weight_decay=0.1, epsilon=1e-6)
    reference.exclude_from_weight_decay(var_list=theirs[1:])
    reference.build(theirs)
    for step in range(5):
        reference.apply(gradients_of(step), theirs)
    for our_variable, their_variable in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our_variable, their_variable, rtol=1e-5)


def test_without_bias_correction_equals_googles_formula():
    expected = [np.asarray(variable).astype(np.float64) for variable in two_variables()]
    moments = [(np.zeros_like(value), np.zeros_like(value)) for value in expected]
    for step in range(3):
        for index, gradient in enumerate(gradients_of(step)):
            m, v = moments[index]
            m = 0.9 * m + 0.1 * gradient.numpy()
            v = 0.999 * v + 0.001 * gradient.numpy() ** 2
            moments[index] = (m, v)
            decay = 0.01 * expected[index] if index == 0 else 0.0
            expected[index] = expected[index] - 0.01 * (m / (np.sqrt(v) + 1e-6) + decay)
    variables = run_ours(num_steps=3, bias_correction=False)
    for variable, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable, value, rtol=1e-4)


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.1), (4, 0.5), (9, 1.0), (10, 1.0), (55, 0.5), (99, 1 / 90)],
)
def test_learning_rate_rises_then_falls_without_a_jump(step, expected):
    config = OptimizerConfig(learning_rate=1.0, warmup_share=0.1)
    rate = learning_rate_at(tf.constant(step), config=config, num_steps=100)
    assert float(rate) == pytest.approx(expected)


def test_decay_leaves_out_exactly_biases_and_layer_norms():
    model = build_model(
        ModelDescription(kind="pretraining", architecture=ARCHITECTURE, max_seq_length=20)
    )
    excluded = {id(variable) for variable in variables_without_decay(model)}
    for name, weight in weights_by_name(model).items():
        assert (id(weight) in excluded) == name.endswith(("bias", "beta", "gamma")), name


def test_a_vector_of_an_unknown_kind_is_refused():
    class Scaled(keras.Model):
        def build(self, shape):
            self.scale = self.add_weight(shape=(shape[-1],), name="scale")

        def call(self, x):
            return x * self.scale

    model = Scaled()
    model.build((None, 3))
    with pytest.raises(ValueError, match=r"exactly the vectors .* Received: \[.*scale"):
        variables_without_decay(model)
