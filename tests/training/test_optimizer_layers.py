"""What a model's layers say about decay, learning rates and trust ratios."""

import keras
import pytest

from bert_tf.config import OptimizerConfig
from bert_tf.models.description import ModelDescription
from bert_tf.models.tensors import weights_by_name
from bert_tf.tasks.models import build_model
from bert_tf.training.optimizers import describe_decay, parameters_of, variables_without_decay
from tests.references import ARCHITECTURE


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return build_model(
        ModelDescription(kind="pretraining", architecture=ARCHITECTURE, max_seq_length=20)
    )


def by_name(model: keras.Model, **settings):
    parameters = parameters_of(model, config=OptimizerConfig(**settings))
    found = {id(parameter.variable): parameter for parameter in parameters}
    return {name: found[id(weight)] for name, weight in weights_by_name(model).items()}


def test_decay_leaves_out_exactly_biases_and_layer_norms(model):
    for name, parameter in by_name(model).items():
        assert parameter.decays != name.endswith(("bias", "beta", "gamma")), name


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


def test_a_frozen_layer_takes_no_part():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(2)])
    model.layers[0].trainable = False
    assert [v.path for v in variables_without_decay(model)] == [model.layers[1].bias.path]
    assert len(parameters_of(model, config=OptimizerConfig())) == 2


def test_rates_fall_from_the_heads_to_the_embeddings(model):
    depths = {"embeddings": 0, "layer_0": 1, "layer_1": 2}  # heads: 3
    for name, parameter in by_name(model, layer_decay=0.7).items():
        expected = 1.0
        for _ in range(depths.get(name.split("/")[1], 3), 3):
            expected *= 0.7
        assert parameter.rate_factor == pytest.approx(expected), name
    assert {parameter.rate_factor for parameter in by_name(model).values()} == {1.0}


def test_layer_decay_needs_an_encoder():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)], name="plain")
    with pytest.raises(ValueError, match=r"one BERT encoder. Received: 0 in plain. Set optimizer"):
        parameters_of(model, config=OptimizerConfig(layer_decay=0.9))


def test_query_key_and_value_are_blocks_of_one_variable(model):
    for name, parameter in by_name(model).items():
        is_stacked = name.endswith("query_key_value/kernel")
        assert parameter.num_blocks == (3 if is_stacked else 1), name


def test_the_table_counts_what_is_decayed_and_names_what_is_not(model):
    config = OptimizerConfig(layer_decay=0.5)
    text = describe_decay(parameters_of(model, config=config), config=config)
    weights = weights_by_name(model)
    vectors = [weight.shape[0] for weight in weights.values() if len(weight.shape) == 1]
    assert f"none on {len(vectors)} variables ({sum(vectors):,} parameters):" in text
    assert f"Weight decay 0.01 on {len(weights) - len(vectors)} variables" in text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "2 x encoder/layer_*/attention/query_key_value/bias 144" in lines
    assert "1 x masked_lm/bias 60" in lines
    assert "0.1250 x encoder/embeddings" in lines
    assert "0.5000 x encoder/layer_1" in lines
