"""One Transformer layer, post-LN and pre-LN, against keras-nlp's and tf-models-official's."""

from collections.abc import Callable
from typing import Any

import keras
import keras_nlp
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.layers.transformer import TransformerLayer

B, T, W, N = 3, 7, 24, 3
INNER = 40
OURS = {
    "query": "attention/query_key_value",
    "key": "attention/query_key_value",
    "value": "attention/query_key_value",
    "attention_output": "attention/output",
    "self_attention_layer_norm": "attention_layer_norm",
    "feedforward_intermediate_dense": "intermediate",
    "intermediate": "intermediate",
    "feedforward_output_dense": "output",
    "output": "output",
    "feedforward_layer_norm": "output_layer_norm",
    "output_layer_norm": "output_layer_norm",
}
"""Part of a layer: theirs (either library) -> ours."""


def make_layer(*, norm_first: bool, activation: str) -> TransformerLayer:
    layer = TransformerLayer(
        W,
        num_heads=N,
        intermediate_size=INNER,
        activation=activation,
        norm_first=norm_first,
        dropout_rate=0.0,
        attention_dropout_rate=0.0,
        initializer_range=0.02,
        layer_norm_eps=1e-12,
        name="layer",
    )
    layer.build((None, None, W))
    rng = np.random.default_rng(0)
    for weight in layer.weights:
        centre = 1.0 if weight.path.endswith("gamma") else 0.0
        weight.assign(rng.normal(centre, 0.3, weight.shape).astype(np.float32))
    return layer


def keras_nlp_layer(*, norm_first: bool, is_exact: bool) -> tuple[Any, Callable[..., Any]]:
    """The layer, and a function to call it by."""
    layer = keras_nlp.layers.TransformerEncoder(
        INNER,
        N,
        dropout=0.0,
        activation=lambda x: keras.activations.gelu(x, approximate=not is_exact),
        layer_norm_epsilon=1e-12,
        normalize_first=norm_first,
    )
    return layer, layer


def model_garden_layer(*, norm_first: bool, is_exact: bool) -> tuple[Any, Callable[..., Any]]:
    """The layer (Keras 2), and a function to call it by."""
    import tf_keras
    from official.nlp import modeling

    block = modeling.layers.TransformerEncoderBlock(
        N,
        INNER,
        lambda x: tf_keras.activations.gelu(x, approximate=not is_exact),
        norm_first=norm_first,
        norm_epsilon=1e-12,
    )

    def layer(x: Any, *, attention_mask: Any, training: bool) -> Any:
        return block((x, attention_mask), training=training)

    return block, layer


def theirs_from_ours(name: str, values: dict[str, np.ndarray], shape: Any) -> np.ndarray:
    """Of our values by path, the one for their weight `.../part/kernel`."""
    *_, part, kind = name.removesuffix(":0").split("/")
    value = values[f"layer/{OURS[part]}/{kind}"]
    if part in ("query", "key", "value"):
        value = np.split(value, 3, axis=-1)[("query", "key", "value").index(part)]
    return value.reshape(tuple(shape))


def value_and_gradients(layer: Any, inputs: Any, weights: Any) -> tuple[Any, list[np.ndarray]]:
    x, mask, upstream = inputs
    weights = [w.value if isinstance(w, keras.Variable) else w for w in weights]
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = layer(x, attention_mask=mask, training=True)
        loss = tf.reduce_sum(output * upstream)
    return output, [np.asarray(g) for g in tape.gradient(loss, [x, *weights])]


@pytest.mark.parametrize("make_theirs", [keras_nlp_layer, model_garden_layer])
@pytest.mark.parametrize("norm_first", [False, True], ids=["post-LN", "pre-LN"])
@pytest.mark.parametrize("activation", ["gelu", "gelu_exact"])
def test_value_and_every_gradient_in_training_equal_the_references(
    make_theirs, norm_first, activation
):
    ours = make_layer(norm_first=norm_first, activation=activation)
    theirs, call_theirs = make_theirs(norm_first=norm_first, is_exact=activation == "gelu_exact")
    rng = np.random.default_rng(1)
    x, upstream = (tf.constant(rng.normal(size=(B, T, W)), tf.float32) for _ in range(2))
    upstream /= B * T
    mask = rng.random((B, T, T)) < 0.7
    mask |= np.eye(T, dtype=bool)
    call_theirs(x, attention_mask=mask, training=False)  # creates the weights
    values = {weight.path: np.asarray(weight.value) for weight in ours.weights}
    for weight in theirs.weights:
        name = getattr(weight, "path", weight.name)
        weight.assign(theirs_from_ours(name, values, weight.shape))

    output, (x_gradient, *gradients) = value_and_gradients(
        ours, (x, mask[:, None], upstream), ours.weights
    )
    expected, (expected_x_gradient, *expected_gradients) = value_and_gradients(
        call_theirs, (x, mask, upstream), list(theirs.weights)
    )
    np.testing.assert_allclose(output, expected, atol=1e-5)
    np.testing.assert_allclose(x_gradient, expected_x_gradient, atol=1e-5)
    by_path = dict(zip(values, gradients, strict=True))
    assert len(expected_gradients) == 16
    for weight, gradient in zip(theirs.weights, expected_gradients, strict=True):
        name = getattr(weight, "path", weight.name)
        seen = theirs_from_ours(name, by_path, weight.shape)
        np.testing.assert_allclose(seen, gradient, atol=1e-5, err_msg=name)


def test_post_and_pre_layer_norm_have_the_same_weights():
    names = [
        [weight.path for weight in make_layer(norm_first=norm_first, activation="gelu").weights]
        for norm_first in (False, True)
    ]
    assert names[0] == names[1]
