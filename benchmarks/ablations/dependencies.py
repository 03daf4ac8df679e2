"""How many operations must follow one another, and how many layers lie between first and last."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from benchmarks.ablations.sequence_layers import make_layer

WIDTH, NUM_HEADS, KERNEL_SIZE = 8, 2, 3
BASE: dict[str, Any] = {"kind": "dot product", "length": 64}


def measure(
    settings: Mapping[str, Any], *, seed: int, data: Path, folder: Path
) -> dict[str, float]:
    """`chain`: the longest chain of operations of one layer's graph, each of which waits for the
    one before it; an LSTM's loop is unrolled. `layers`: how many, one upon the other, it takes
    until the last output depends on the first input, as the gradient has it.

    Convolutions are causal, kernels of 3; the dilated ones double the distance from layer to layer.

    Source: Vaswani et al. 2017, table 1; van den Oord et al. 2016 (dilated convolutions).
    """
    kind, length = settings["kind"], settings["length"]
    return {
        "chain": float(longest_chain(unrolled_layer(kind), length=length)),
        "layers": float(layers_to_first(kind, length=length)),
    }


def unrolled_layer(kind: str) -> keras.layers.Layer:
    """A layer whose graph has each operation as often as it is computed."""
    if kind == "LSTM":
        return keras.layers.LSTM(WIDTH, return_sequences=True, unroll=True)
    return _layer(kind, 0)


def longest_chain(layer: Callable[[Any], Any], *, length: int) -> int:
    """Of the operations between the layer's input and its output."""
    function = tf.function(layer, autograph=False)
    spec = tf.TensorSpec((1, length, WIDTH))
    graph = function.get_concrete_function(spec).graph
    (source,) = (
        op for op in graph.get_operations() if op.outputs and op.outputs[0] is graph.inputs[0]
    )
    depths = {source.name: 0}
    for operation in graph.get_operations():  # in an order in which inputs come first
        before = [depths[x.op.name] for x in operation.inputs if x.op.name in depths]
        if before:
            depths[operation.name] = max(before) + 1
    return depths[graph.outputs[0].op.name]


def layers_to_first(kind: str, *, length: int) -> int:
    """Layers until the gradient of the last position reaches the first."""
    x = tf.random.stateless_normal((1, length, WIDTH), seed=(0, 0))
    layers = [_layer(kind, depth) for depth in range(length)]
    for count in range(1, length + 1):
        with tf.GradientTape() as tape:
            tape.watch(x)
            hidden = x
            for layer in layers[:count]:
                hidden = layer(hidden)
            last = tf.reduce_sum(hidden[:, -1])
        if float(tf.reduce_max(tf.abs(tape.gradient(last, x)[:, 0]))) > 0.0:
            return count
    raise ValueError(f"{kind}: {length} layers must reach the first position. Received: none does.")


def _layer(kind: str, depth: int) -> Callable[[Any], Any]:
    if kind.endswith("convolution"):
        return _convolution(dilation=2**depth if kind == "dilated convolution" else 1)
    return make_layer(kind, width=WIDTH, num_heads=NUM_HEADS)


def _convolution(*, dilation: int) -> keras.layers.Layer:
    # Means, of which none vanishes: the gradient is 0 only where nothing is connected.
    kernel = keras.initializers.Constant(1.0 / (WIDTH * KERNEL_SIZE))
    return keras.layers.Conv1D(
        WIDTH, KERNEL_SIZE, padding="causal", dilation_rate=dilation, kernel_initializer=kernel
    )
