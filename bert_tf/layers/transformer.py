"""One Transformer encoder layer: attention, then a point-wise feed-forward network."""

from typing import Any

import keras

from bert_tf.layers.activations import activate
from bert_tf.layers.attention import MultiHeadAttention
from bert_tf.layers.dropout import Dropout
from bert_tf.layers.projection import dense


class TransformerLayer(keras.layers.Layer):
    """Self-attention and feed-forward network, each with dropout, residual sum and LayerNorm.

    Inputs: `hidden` (batch, length, width); `attention_mask` bool, broadcastable to
    (batch, heads, length, length), True where attention is allowed.
    Output: (batch, length, width), compute dtype; with `return_weights` also the attention
    weights (batch, heads, length, length). LayerNorm stands after each sum (post-LN).

    Source: Vaswani et al. 2017, section 3.1; Devlin et al. 2019, section 3.
    """

    def __init__(
        self,
        hidden_size: int,
        *,
        num_heads: int,
        intermediate_size: int,
        activation: str,
        dropout_rate: float,
        attention_dropout_rate: float,
        initializer_range: float,
        layer_norm_eps: float,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self._settings = {
            "hidden_size": hidden_size,
            "num_heads": num_heads,
            "intermediate_size": intermediate_size,
            "activation": activation,
            "dropout_rate": dropout_rate,
            "attention_dropout_rate": attention_dropout_rate,
            "initializer_range": initializer_range,
            "layer_norm_eps": layer_norm_eps,
        }
        policy = self.dtype_policy
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.activation = activation
        self.attention = MultiHeadAttention(
            hidden_size,
            num_heads=num_heads,
            dropout_rate=attention_dropout_rate,
            initializer_range=initializer_range,
            name="attention",
            dtype=policy,
        )

        def projection(units: int, name: str) -> keras.layers.Dense:
            return dense(units, initializer_range=initializer_range, name=name, dtype=policy)

        def layer_norm(name: str) -> keras.layers.LayerNormalization:
            return keras.layers.LayerNormalization(epsilon=layer_norm_eps, name=name, dtype=policy)

        self.attention_dropout = Dropout(dropout_rate, name="attention_dropout", dtype=policy)
        self.attention_layer_norm = layer_norm("attention_layer_norm")
        self.intermediate = projection(intermediate_size, "intermediate")
        self.output_projection = projection(hidden_size, "output")
        self.output_dropout = Dropout(dropout_rate, name="output_dropout", dtype=policy)
        self.output_layer_norm = layer_norm("output_layer_norm")

    def build(self, hidden_shape, attention_mask_shape=None):
        width = (None, None, self.hidden_size)
        self.attention.build(width)
        self.attention_layer_norm.build(width)
        self.intermediate.build(width)
        self.output_projection.build((None, None, self.intermediate_size))
        self.output_layer_norm.build(width)

    def call(self, hidden, attention_mask=None, return_weights=False, training=False):
        attended, weights = self.attention(
            hidden, attention_mask=attention_mask, return_weights=True, training=training
        )
        attended = self.attention_dropout(attended, training=training)
        hidden = self.attention_layer_norm(hidden + attended)
        expanded = activate(self.intermediate(hidden), self.activation, training=training)
        transformed = self.output_projection(expanded)
        transformed = self.output_dropout(transformed, training=training)
        hidden = self.output_layer_norm(hidden + transformed)
        return (hidden, weights) if return_weights else hidden

    def get_config(self):
        return {**super().get_config(), **self._settings}
