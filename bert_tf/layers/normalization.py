"""LayerNorm, alone and after dropout and residual sum; in training by a fused kernel if there is.

Shapes: hidden states (…, width), compute dtype; biases (width).
"""

from typing import Any

import keras

from bert_tf.layers.dropout import Dropout
from bert_tf.layers.projection import add_bias


def normalize(x: Any, layer_norm: keras.layers.LayerNormalization, *, training: bool) -> Any:
    """`layer_norm(x)`."""
    if keras.backend.backend() == "tensorflow":
        weights = (layer_norm.gamma, layer_norm.beta)
        if training:
            from bert_tf.layers.tensorflow import fused

            return fused.layer_norm(x, *weights, epsilon=layer_norm.epsilon)
        if layer_norm.compute_dtype in ("float32", "bfloat16"):
            from bert_tf.layers.tensorflow import inference

            return inference.layer_norm(x, *weights, epsilon=layer_norm.epsilon)
    return layer_norm(x)


def drop_add_norm(
    update_and_bias: tuple[Any, Any],
    residual: Any,
    dropout: Dropout,
    layer_norm: keras.layers.LayerNormalization,
    training: bool,
) -> Any:
    """`layer_norm(residual + dropout(update + bias))`."""
    update, bias = update_and_bias
    if not (training and keras.backend.backend() == "tensorflow"):
        dropped = dropout(add_bias(update, bias), training=training)
        return normalize(residual + dropped, layer_norm, training=training)
    from bert_tf.layers.tensorflow import fused

    return fused.drop_add_norm(
        update,
        bias,
        residual,
        layer_norm.gamma,
        layer_norm.beta,
        dropout.next_seed(),
        epsilon=layer_norm.epsilon,
        **dropout.settings,
    )
