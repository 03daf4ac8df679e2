"""Layers that read a sequence, by name: attention of two kinds, an LSTM, a convolution."""

from typing import Any

import keras
import tensorflow as tf

from benchmarks.ablations.variants import AdditiveAttention
from bert_tf.layers.attention import MultiHeadAttention

INITIALIZER_RANGE = 0.09


def make_layer(kind: str, *, width: int, num_heads: int) -> keras.layers.Layer:
    """From (batch, length, width) to the same shape."""
    attention = {
        "num_heads": num_heads,
        "dropout_rate": 0.0,
        "initializer_range": INITIALIZER_RANGE,
    }
    if kind == "dot product":
        return MultiHeadAttention(width, **attention)
    if kind == "additive":
        return AdditiveAttention(width, **attention)
    if kind == "additive, recomputed":
        return AdditiveAttention(width, is_recomputed=True, **attention)
    if kind == "LSTM":
        return keras.layers.LSTM(width, return_sequences=True)
    if kind == "convolution":
        return keras.layers.Conv1D(width, kernel_size=3, padding="same")
    raise ValueError(f"A layer must be one of those of `make_layer`. Received: {kind!r}.")


def make_step(kind: str, *, width: int, num_heads: int, batch_size: int, length: int) -> Any:
    """A function that computes the layer and its gradients, of input and weights, once."""
    layer = make_layer(kind, width=width, num_heads=num_heads)
    shape = (batch_size, length, width)
    layer.build(shape)
    x = tf.random.stateless_normal(shape, seed=(0, 1))
    upstream = tf.random.stateless_normal(shape, seed=(0, 2))

    @tf.function(autograph=False)
    def step() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x, training=True)
        weights = [variable.value for variable in layer.trainable_variables]
        return tape.gradient(output, [x, *weights], output_gradients=upstream)

    return step
