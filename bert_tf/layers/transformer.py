"""One Transformer encoder layer, and the parts that it shares with a decoder layer."""

from typing import Any

import keras

from bert_tf.layers.activations import activated
from bert_tf.layers.attention import MultiHeadAttention
from bert_tf.layers.dropout import Dropout
from bert_tf.layers.normalization import Residual
from bert_tf.layers.projection import dense, product


class TransformerSublayers(keras.layers.Layer):
    """Self-attention and feed-forward network, each with dropout, residual sum and LayerNorm.

    A layer adds its `call`, which names what is computed, and what else it is made of.

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
        self._settings: dict[str, Any] = {
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
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.activation = activation
        self.norm_first = norm_first
        self.attention = self._attention("attention")
        self.attention_dropout = self._dropout("attention_dropout")
        self.attention_layer_norm = self._layer_norm("attention_layer_norm")
        self.intermediate = self._projection(intermediate_size, "intermediate")
        self.output_projection = self._projection(hidden_size, "output")
        self.output_dropout = self._dropout("output_dropout")
        self.output_layer_norm = self._layer_norm("output_layer_norm")

    def _attention(self, name: str) -> MultiHeadAttention:
        return MultiHeadAttention(
            self.hidden_size,
            num_heads=self._settings["num_heads"],
            dropout_rate=self._settings["attention_dropout_rate"],
            initializer_range=self._settings["initializer_range"],
            name=name,
            dtype=self.dtype_policy,
        )

    def _dropout(self, name: str) -> Dropout:
        return Dropout(self._settings["dropout_rate"], name=name, dtype=self.dtype_policy)

    def _layer_norm(self, name: str) -> keras.layers.LayerNormalization:
        epsilon = self._settings["layer_norm_eps"]
        return keras.layers.LayerNormalization(epsilon=epsilon, name=name, dtype=self.dtype_policy)

    def _projection(self, units: int, name: str) -> keras.layers.Dense:
        initializer_range = self._settings["initializer_range"]
        return dense(units, initializer_range=initializer_range, name=name, dtype=self.dtype_policy)

    def _build_sublayers(self):
        width = (None, None, self.hidden_size)
        self.attention.build(width)
        self.attention_dropout.build(width)
        self.attention_layer_norm.build(width)
        self.intermediate.build(width)
        self.output_projection.build((None, None, self.intermediate_size))
        self.output_dropout.build(width)
        self.output_layer_norm.build(width)

    def _attend_to_self(self, hidden, attention_mask, return_weights, training, layout=None):
        residual = self._residual_of_attention
        context, weights = self.attention.context(
            residual.asked(hidden, training=training),
            attention_mask=attention_mask,
            return_weights=return_weights,
            training=training,
            layout=layout,
        )
        if layout is not None:
            hidden = layout.asked(hidden)
        update = product(context, self.attention.output_projection)
        return residual.added(update, hidden, training=training), weights

    @property
    def _residual_of_attention(self):
        return Residual(self.attention_dropout, self.attention_layer_norm, self.norm_first)

    def _feed_forward(self, hidden, training):
        residual = Residual(self.output_dropout, self.output_layer_norm, self.norm_first)
        asked = residual.asked(hidden, training=training)
        inner = activated(asked, self.intermediate, self.activation, training=training)
        return residual.added(product(inner, self.output_projection), hidden, training=training)

    def get_config(self):
        return {**super().get_config(), **self._settings}


class TransformerLayer(TransformerSublayers):
    """An encoder layer: self-attention, then a point-wise feed-forward network.

    Inputs: `hidden` (batch, length, width); `attention_mask` bool, broadcastable to
    (batch, heads, length, length), True where attention is allowed. With a `layout` (see
    `tensorflow.padding`) hidden and output are (tokens, width), the output's of those asked for.
    Output: (batch, length, width), compute dtype; with `return_weights` also the attention
    weights (batch, heads, length, length).

    See `TransformerSublayers` for where LayerNorm stands.
    """

    def build(self, hidden_shape, attention_mask_shape=None):
        self._build_sublayers()

    def call(self, hidden, attention_mask=None, return_weights=False, training=False, layout=None):
        # By these names the profiler tells the two halves of a layer apart.
        with keras.name_scope("attention"):
            hidden, weights = self._attend_to_self(
                hidden, attention_mask, return_weights, training, layout
            )
        with keras.name_scope("feed_forward"):
            hidden = self._feed_forward(hidden, training)
        return (hidden, weights) if return_weights else hidden
