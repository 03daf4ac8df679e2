"""One Transformer encoder layer: attention, then a point-wise feed-forward network."""

from typing import Any

import keras

from bert_tf.layers.activations import activated
from bert_tf.layers.attention import MultiHeadAttention
from bert_tf.layers.dropout import Dropout
from bert_tf.layers.normalization import drop_add_norm, normalize
from bert_tf.layers.projection import add_bias, dense, product


class TransformerLayer(keras.layers.Layer):
    """Self-attention and feed-forward network, each with dropout, residual sum and LayerNorm.

    Inputs: `hidden` (batch, length, width); `attention_mask` bool, broadcastable to
    (batch, heads, length, length), True where attention is allowed. With a `layout` (see
    `tensorflow.padding`) hidden and output are (tokens, width), the output's of those asked for.
    Output: (batch, length, width), compute dtype; with `return_weights` also the attention
    weights (batch, heads, length, length).

    LayerNorm stands after each residual sum (post-LN, BERT's) or, with `norm_first`, before
    attention and before the feed-forward network, inside the residual branches (pre-LN): then the
    last layer's output needs a LayerNorm of its own. The weights have the same names in both.

    Source: Vaswani et al. 2017, section 3.1; Devlin et al. 2019, section 3; pre-LN: Xiong et al.
    2020, figure 1.
    """

    def __init__(
        self,
        hidden_size: int,
        *,
        num_heads: int,
        intermediate_size: int,
        activation: str,
        norm_first: bool,
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
            "norm_first": norm_first,
            "dropout_rate": dropout_rate,
            "attention_dropout_rate": attention_dropout_rate,
            "initializer_range": initializer_range,
            "layer_norm_eps": layer_norm_eps,
        }
        policy = self.dtype_policy
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.activation = activation
        self.norm_first = norm_first
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
        self.attention_dropout.build(width)
        self.attention_layer_norm.build(width)
        self.intermediate.build(width)
        self.output_projection.build((None, None, self.intermediate_size))
        self.output_dropout.build(width)
        self.output_layer_norm.build(width)

    def call(self, hidden, attention_mask=None, return_weights=False, training=False, layout=None):
        # By these names the profiler tells the two halves of a layer apart.
        with keras.name_scope("attention"):
            hidden, weights = self._attend(hidden, attention_mask, return_weights, training, layout)
        with keras.name_scope("feed_forward"):
            hidden = self._feed_forward(hidden, training)
        return (hidden, weights) if return_weights else hidden

    def _attend(self, hidden, attention_mask, return_weights, training, layout):
        asked = hidden
        if self.norm_first:
            asked = normalize(hidden, self.attention_layer_norm, training=training)
        context, weights = self.attention.context(
            asked,
            attention_mask=attention_mask,
            return_weights=return_weights,
            training=training,
            layout=layout,
        )
        attended = product(context, self.attention.output_projection)
        if layout is not None:
            hidden = layout.asked(hidden)
        if self.norm_first:
            return hidden + self.attention_dropout(add_bias(*attended), training=training), weights
        normal = drop_add_norm(
            attended, hidden, self.attention_dropout, self.attention_layer_norm, training
        )
        return normal, weights

    def _feed_forward(self, hidden, training):
        asked = hidden
        if self.norm_first:
            asked = normalize(hidden, self.output_layer_norm, training=training)
        inner = activated(asked, self.intermediate, self.activation, training=training)
        expanded = product(inner, self.output_projection)
        if self.norm_first:
            return hidden + self.output_dropout(add_bias(*expanded), training=training)
        return drop_add_norm(
            expanded, hidden, self.output_dropout, self.output_layer_norm, training
        )

    def get_config(self):
        return {**super().get_config(), **self._settings}
