"""The activations of the feed-forward network and of the masked-LM head."""

import functools
from collections.abc import Callable
from typing import Any

import keras

from bert_tf.layers.projection import add_bias, product
from bert_tf.layers.served_form import served_form

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "gelu": functools.partial(keras.activations.gelu, approximate=True),
    "gelu_exact": functools.partial(keras.activations.gelu, approximate=False),
    "relu": keras.activations.relu,
}
"""`gelu` is the tanh approximation of google-research/bert."""


def activated(x: Any, layer: keras.layers.Dense, name: str, *, training: bool) -> Any:
    """The activation of what a built dense layer gives; in training by a fused kernel if there is.

    A served form computes both as one.
    """
    form = served_form(layer)
    if form is not None:
        return form(x, activation=name)
    projected, bias = product(x, layer)
    if training and name == "gelu" and keras.backend.backend() == "tensorflow":
        from bert_tf.layers.tensorflow import fused

        return fused.gelu(projected, bias)
    return ACTIVATIONS[name](add_bias(projected, bias))
