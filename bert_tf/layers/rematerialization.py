"""Computes a layer's intermediate values twice instead of keeping them (gradient checkpointing)."""

from typing import Any

import keras

from bert_tf.layers.dropout import dropout_seed


def rematerialize(layer: keras.layers.Layer, hidden: Any, *, attention_mask: Any, seed: Any) -> Any:
    """`layer(hidden, attention_mask=..., training=True)`, computed again for its gradient.

    Between the two passes only the layer's input is kept. Dropout draws from `seed` both times,
    so that value and gradient are those of one pass.

    Args:
        layer: built; its weights must be all the state it reads.
        seed: int32 (2,), see `dropout_seed`; the scope of the caller has ended by the time of the
            second pass.

    Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".
    """

    def compute(hidden: Any, attention_mask: Any, seed: Any) -> Any:
        with dropout_seed(seed):
            return layer(hidden, attention_mask=attention_mask, training=True)

    if keras.backend.backend() == "tensorflow":
        from bert_tf.layers.tensorflow import rematerialization

        return rematerialization.recompute(compute, layer.weights, hidden, attention_mask, seed)
    return keras.remat(compute)(hidden, attention_mask, seed)
