"""What stands in for a layer in a model that is served: the same product, stored otherwise.

An export may give a layer another form, such as one whose weights are 8-bit integers. The layers
that ask for products and lookups take it where it is there; training never sees one.
"""

from typing import Any

import keras

_ATTRIBUTE = "_bert_tf_served_form"


def served_form(layer: keras.layers.Layer) -> Any | None:
    """A callable, or None.

    Of a dense layer: `form(x, activation=None)` gives the layer's output, bias and activation
    included, float32. Of an embedding: `form(ids)` gives vectors. Of the masked-token head:
    `form(x)` gives the scores of all tokens.
    """
    return getattr(layer, _ATTRIBUTE, None)


def set_served_form(layer: keras.layers.Layer, form: Any | None) -> None:
    """`form` from now on stands in for the layer; None: the layer itself."""
    object.__setattr__(layer, _ATTRIBUTE, form)  # no weight of the layer: Keras need not know it
