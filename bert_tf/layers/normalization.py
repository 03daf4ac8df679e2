"""LayerNorm, alone and after dropout and residual sum; in training by a fused kernel if there is.

Shapes: hidden states (…, width), compute dtype; biases (width).
"""

from typing import Any

import keras

from bert_tf.layers.dropout import Dropout


def normalize(x: Any, layer_norm: keras.layers.LayerNormalization, *, training: bool) -> Any:
    """`layer_norm(x)`."""
    if not (training and keras.backend.backend() == "tensorflow"):
        return layer_norm(x)
    from bert_tf.layers import fused_tensorflow

    return fused_tensorflow.layer_norm(
        x, layer_norm.gamma, layer_norm.beta, epsilon=layer_norm.epsilon
    )


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
        return layer_norm(residual + dropout(update + bias, training=training))
    from bert_tf.layers import fused_tensorflow

    return fused_tensorflow.drop_add_norm(
        update,
        bias,
        residual,
        layer_norm.gamma,
        layer_norm.beta,
        dropout.next_seed(),
        epsilon=layer_norm.epsilon,
        **dropout.settings,
    )
