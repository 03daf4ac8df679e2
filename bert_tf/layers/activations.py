"""The activations of the feed-forward network and of the masked-LM head."""

import functools
from collections.abc import Callable
from typing import Any

import keras

from bert_tf.layers.projection import add_bias

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "gelu": functools.partial(keras.activations.gelu, approximate=True),
    "gelu_exact": functools.partial(keras.activations.gelu, approximate=False),
    "relu": keras.activations.relu,
}
"""`gelu` is the tanh approximation of google-research/bert."""


def activate(x: Any, bias: Any, name: str, *, training: bool) -> Any:
    """The activation of `x + bias`; in training by a fused kernel where there is one."""
    if training and name == "gelu" and keras.backend.backend() == "tensorflow":
        from bert_tf.layers.tensorflow import fused

        return fused.gelu(x, bias)
    return ACTIVATIONS[name](add_bias(x, bias))
