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
