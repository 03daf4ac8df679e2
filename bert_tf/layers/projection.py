"""The dense layer as BERT initialises it: one definition for attention, feed-forward and heads."""

from typing import Any

import keras


def dense(
    units: int, *, initializer_range: float, name: str, dtype: Any, activation: Any = None
) -> keras.layers.Dense:
    """A dense layer: kernel from a truncated normal, bias zero.

    Source: Devlin et al. 2019; google-research/bert, modeling.py (`create_initializer`).
    """
    return keras.layers.Dense(
        units,
        activation=activation,
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=initializer_range),
        name=name,
        dtype=dtype,
    )


def product(x: Any, layer: keras.layers.Dense) -> tuple[Any, Any]:
    """What a built dense layer gives without its bias, and the bias: for who adds it elsewhere.

    Both in the layer's compute dtype, as the layer itself has them.
    """
    kernel = keras.ops.cast(layer.kernel, layer.compute_dtype)
    return keras.ops.matmul(x, kernel), keras.ops.cast(layer.bias, layer.compute_dtype)
