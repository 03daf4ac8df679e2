"""The encoder's switches: pooler, packed rows, pre-LN, sinusoidal positions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import ModelConfig
from bert_tf.layers.tensorflow.padding import TokenLayout
from bert_tf.models.bert import BertEncoder

CONFIG = ModelConfig(
    num_hidden_layers=2,
    hidden_size=24,
    num_attention_heads=3,
    intermediate_size=40,
    vocab_size=60,
    max_position_embeddings=20,
)


def make_encoder(*, dtype: str = "float32", options: dict | None = None, **changes):
    """An encoder whose weights, biases too, are random; `options` are its own arguments."""
    keras.utils.set_random_seed(0)
    config = ModelConfig(**(CONFIG.model_dump() | changes))
    encoder = BertEncoder(config, dtype=dtype, **(options or {}))
    encoder.build(None)
    rng = np.random.default_rng(0)
    for weight in encoder.weights:
        centre = 1.0 if weight.path.endswith("gamma") else 0.0
        weight.assign(rng.normal(centre, 0.2, weight.shape).astype(np.float32))
    return encoder


def random_inputs(*, batch: int = 2, length: int = 11, seed: int = 1) -> dict[str, np.ndarray]:
    """Rows without padding."""
    rng = np.random.default_rng(seed)
    return {
        "input_ids": rng.integers(0, 60, (batch, length), np.int32),
        "input_mask": np.ones((batch, length), np.int32),
        "segment_ids": rng.integers(0, 2, (batch, length), np.int32),
    }


def test_without_a_pooler_there_is_no_such_layer_and_no_pooled_output():
    whole, bare = make_encoder(), make_encoder(options={"has_pooler": False})
    for weight, same in zip(bare.weights, whole.weights, strict=False):
        weight.assign(same)
    names = {weight.path for weight in whole.weights} - {weight.path for weight in bare.weights}
    assert names == {"encoder/pooler/dense/kernel", "encoder/pooler/dense/bias"}
    outputs = bare(random_inputs())
    assert set(outputs) == {"sequence_output"}
    np.testing.assert_array_equal(
        outputs["sequence_output"], whole(random_inputs())["sequence_output"]
    )


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("position_embedding", ["learned", "sinusoidal"])
def test_configuration_round_trips(norm_first, position_embedding):
    encoder = make_encoder(
        norm_first=norm_first,
        position_embedding=position_embedding,
        options={"has_pooler": False, "rematerialize": True},
    )
    copy = BertEncoder.from_config(encoder.get_config())
    copy.build(None)
    assert copy.get_config() == encoder.get_config()
    assert [w.path for w in copy.weights] == [w.path for w in encoder.weights]
    copy.set_weights(encoder.get_weights())
    np.testing.assert_array_equal(
        copy(random_inputs())["sequence_output"], encoder(random_inputs())["sequence_output"]
    )


def test_pre_layer_norm_ends_in_a_layer_norm_that_post_layer_norm_does_not_have():
    post, pre = make_encoder(), make_encoder(norm_first=True)
    names = {weight.path for weight in pre.weights} - {weight.path for weight in post.weights}
    assert names == {"encoder/final_layer_norm/gamma", "encoder/final_layer_norm/beta"}
    pre.final_layer_norm.gamma.assign(np.ones(24))
    pre.final_layer_norm.beta.assign(np.zeros(24))
    states = []
    pre.transformer_layers[-1].call = _spy(pre.transformer_layers[-1].call, states)
    outputs = pre(random_inputs())
    (last,) = (np.asarray(state) for state in states)
    expected = (last - last.mean(-1, keepdims=True)) / last.std(-1, keepdims=True)
    np.testing.assert_allclose(outputs["sequence_output"], expected, atol=1e-5)
    np.testing.assert_array_equal(outputs["pooled_output"], pre.pooler(outputs["sequence_output"]))


def _spy(call, outputs):
    def spying(*args, **kwargs):
        outputs.append(call(*args, **kwargs))
        return outputs[-1]

    return spying


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("position_embedding", ["learned", "sinusoidal"])
def test_packed_sequences_equal_the_same_ones_in_rows_of_their_own(norm_first, position_embedding):
    encoder = make_encoder(norm_first=norm_first, position_embedding=position_embedding)
    alone = random_inputs(batch=3, length=7)
    alone["input_mask"] = (np.arange(7) < np.array([[4], [7], [5]])).astype(np.int32)
    expected = np.asarray(encoder(alone)["sequence_output"])
    lengths = alone["input_mask"].sum(1)
    packed = {
        name: np.concatenate([row[:n] for row, n in zip(value, lengths, strict=True)])
        for name, value in alone.items()
    } | {
        "position_ids": np.concatenate([np.arange(n) for n in lengths]),
        "sequence_ids": np.repeat([0, 1, 2], lengths),
    }
    # Three positions of padding, which carry the last sequence's id: the padding mask rules.
    packed = {name: np.pad(value, (0, 3), mode="edge")[None] for name, value in packed.items()}
    packed["input_mask"][:, -3:] = 0
    output = np.asarray(
        encoder({k: v.astype(np.int32) for k, v in packed.items()})["sequence_output"]
    )
    is_token = alone["input_mask"].astype(bool)
    np.testing.assert_allclose(output[0, :-3], expected[is_token], atol=1e-5)
    del packed["sequence_ids"]
    mixed = np.asarray(
        encoder({k: v.astype(np.int32) for k, v in packed.items()})["sequence_output"]
    )
    assert np.abs(mixed[0, :-3] - expected[is_token]).max() > 0.01


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_a_row_of_padding_alone_gives_finite_outputs_and_gradients(dtype):
    encoder = make_encoder(dtype=dtype)
    inputs = random_inputs() | {"sequence_ids": np.zeros((2, 11), np.int32)}
    inputs["input_mask"][0] = 0
    with tf.GradientTape() as tape:
        outputs = encoder(inputs, training=True)
        loss = tf.reduce_mean(tf.cast(outputs["pooled_output"], tf.float32))
    gradients = tape.gradient(loss, [weight.value for weight in encoder.weights])
    for value in (*outputs.values(), *gradients):
        assert np.isfinite(np.asarray(tf.convert_to_tensor(value), np.float32)).all()


MASKS = {
    "ends": [[1] * 4 + [0] * 7, [1] * 11, [1] * 5 + [0] * 6],
    "no padding": [[1] * 11] * 3,
    "holes": [[0, 1, 1, 0, 1, 1, 0, 0, 1, 0, 0], [1] * 11, [0] * 10 + [1]],
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_without_computing_padding_every_token_has_the_same_vector(mask, norm_first, dtype):
    encoder = make_encoder(norm_first=norm_first, dtype=dtype)
    inputs = random_inputs(batch=3) | {"input_mask": np.array(mask, np.int32)}
    is_token = np.array(mask, bool)
    expected = tf.cast(encoder(inputs)["sequence_output"], tf.float32).numpy()
    encoder.skips_padding = True
    outputs = tf.function(encoder)(inputs)
    received = tf.cast(outputs["sequence_output"], tf.float32).numpy()
    tolerance = 1e-5 if dtype == "float32" else 0.1
    np.testing.assert_allclose(received[is_token], expected[is_token], atol=tolerance)
    assert not received[~is_token].any()
    assert received.shape == expected.shape


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_where_no_tokens_are_read_the_pooled_output_is_the_same(
    mask, num_layers, norm_first, dtype
):
    encoder = make_encoder(norm_first=norm_first, num_hidden_layers=num_layers, dtype=dtype)
    inputs = random_inputs(batch=3) | {"input_mask": np.array(mask, np.int32)}
    encoder.skips_padding = True
    expected = tf.function(encoder)(inputs)["pooled_output"]
    received = tf.function(lambda x: encoder(x, reads_tokens=False))(inputs)
    assert list(received) == ["pooled_output"]
    np.testing.assert_allclose(
        tf.cast(received["pooled_output"], tf.float32).numpy(),
        tf.cast(expected, tf.float32).numpy(),
        atol=1e-5 if dtype == "float32" else 0.02,
    )


def test_no_row_has_no_pooled_output():
    encoder = make_encoder()
    encoder.skips_padding = True
    outputs = tf.function(lambda x: encoder(x, reads_tokens=False))(random_inputs(batch=0))
    assert outputs["pooled_output"].shape[0] == 0


@pytest.mark.parametrize(
    ("number", "rounded"),
    [(0, 0), (1, 16), (16, 16), (17, 32), (256, 256), (257, 288), (513, 576), (70_000, 73_728)],
)
def test_numbers_of_tokens_are_rounded_up_to_few_sizes(number, rounded):
    layout = TokenLayout.of(tf.ones([1, number], tf.int32))
    assert layout.positions.shape == (rounded,)


def test_rows_of_nothing_but_padding_are_zeros_and_training_computes_every_position():
    encoder = make_encoder(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    inputs = random_inputs() | {"input_mask": np.zeros((2, 11), np.int32)}
    in_training = np.asarray(encoder(inputs, training=True)["sequence_output"])
    encoder.skips_padding = True
    assert not np.asarray(encoder(inputs)["sequence_output"]).any()
    np.testing.assert_array_equal(
        np.asarray(encoder(inputs, training=True)["sequence_output"]), in_training
    )
