"""One Transformer decoder layer: causal self-attention, attention to a memory, feed-forward."""

from typing import Any

import keras
from keras import ops

from bert_tf.layers.normalization import Residual
from bert_tf.layers.projection import product
from bert_tf.layers.transformer import TransformerSublayers


class TransformerDecoderLayer(TransformerSublayers):
    """Causal self-attention, attention to a memory, feed-forward network; post-LN or pre-LN.

    Inputs: `hidden` (batch, length, width); `memory` (batch, source length, width), the encoder's
    output; `attention_mask` bool, broadcastable to (batch, heads, length, length), the causal one;
    `memory_mask` bool, broadcastable to (batch, heads, length, source length).
    Output: (batch, length, width), compute dtype.

    `step` computes the same for the newest position of each sequence alone, outside of training.

    Source: Vaswani et al. 2017, section 3.1.
    """

    def __init__(self, hidden_size: int, **settings: Any):
        super().__init__(hidden_size, **settings)
        self.cross_attention = self._attention("cross_attention")
        self.cross_attention_dropout = self._dropout("cross_attention_dropout")
        self.cross_attention_layer_norm = self._layer_norm("cross_attention_layer_norm")

    def build(
        self, hidden_shape, memory_shape=None, attention_mask_shape=None, memory_mask_shape=None
    ):
        self._build_sublayers()
        width = (None, None, self.hidden_size)
        self.cross_attention.build(width)
        self.cross_attention_dropout.build(width)
        self.cross_attention_layer_norm.build(width)

    def call(self, hidden, memory, attention_mask=None, memory_mask=None, training=False):
        with keras.name_scope("attention"):  # see `TransformerLayer`
            hidden, _ = self._attend_to_self(hidden, attention_mask, False, training)
        with keras.name_scope("cross_attention"):
            residual = self._residual_of_cross_attention
            context, _ = self.cross_attention.context(
                residual.asked(hidden, training=training),
                memory,
                memory_mask,
                training=training,
            )
            update = product(context, self.cross_attention.output_projection)
            hidden = residual.added(update, hidden, training=training)
        with keras.name_scope("feed_forward"):
            return self._feed_forward(hidden, training)

    def step(self, hidden, cache, memory_heads, memory_mask=None):
        """The output of the newest position of each sequence, of which the others are cached.

        Args:
            hidden: (batch, hypotheses, width).
            cache: (batch, hypotheses, length, 2 * width), self-attention's keys and values of the
                positions before; length may be 0.
            memory_heads: of `cross_attention.memory_heads`, the same for all hypotheses.
            memory_mask: (batch, 1, 1, source length) bool.

        Returns the output, (batch, hypotheses, width), and the cache, one position longer.
        """
        width = self.hidden_size
        batch, num_hypotheses, length = ops.shape(cache)[:3]
        residual = self._residual_of_attention
        asked = ops.reshape(residual.asked(hidden, training=False), (-1, width))
        # Not by -1: of a cache of length 0 no size follows from the others.
        rows = ops.reshape(cache, (batch * num_hypotheses, length, 2 * width))
        context, rows = self.attention.step(asked, rows)
        context = ops.reshape(context, (batch, num_hypotheses, width))
        cache = ops.reshape(rows, (batch, num_hypotheses, length + 1, 2 * width))
        update = product(context, self.attention.output_projection)
        hidden = residual.added(update, hidden, training=False)

        residual = self._residual_of_cross_attention
        context = self.cross_attention.step_over_memory(
            residual.asked(hidden, training=False), memory_heads, memory_mask
        )
        update = product(context, self.cross_attention.output_projection)
        hidden = residual.added(update, hidden, training=False)
        return self._feed_forward(hidden, False), cache

    @property
    def _residual_of_cross_attention(self):
        return Residual(
            self.cross_attention_dropout, self.cross_attention_layer_norm, self.norm_first
        )
