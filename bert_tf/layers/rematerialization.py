"""Computes a layer's intermediate values twice instead of keeping them (gradient checkpointing)."""

from collections.abc import Sequence
from typing import Any

import keras

from bert_tf.layers.dropout import current_dropout_seed, dropout_seed


def apply_layers(
    layers: Sequence[keras.layers.Layer],
    hidden: Any,
    *memory: Any,
    training: bool,
    is_rematerialized: bool,
    seed_generator: keras.random.SeedGenerator,
    **masks: Any,
) -> Any:
    """`hidden` through one layer after another, each called as `layer(hidden, *memory, **masks)`.

    Args:
        is_rematerialized: in training each layer by `rematerialize`.
        seed_generator: of the dropout of rematerialised layers where no `dropout_seed` is around:
            both passes must drop the same all the same.
    """
    if not (is_rematerialized and training):
        for layer in layers:
            hidden = layer(hidden, *memory, **masks, training=training)
        return hidden
    seed = current_dropout_seed()
    if seed is None:
        seed = keras.ops.cast(seed_generator.next(), "int32")
    for layer in layers:
        hidden = rematerialize(layer, hidden, *memory, seed=seed, **masks)
    return hidden


def rematerialize(layer: keras.layers.Layer, *inputs: Any, seed: Any, **masks: Any) -> Any:
    """`layer(*inputs, **masks, training=True)`, computed again for its gradient.

    Between the two passes only the layer's inputs are kept. Dropout draws from `seed` both times,
    so that value and gradient are those of one pass.

    Args:
        layer: built; its weights must be all the state it reads.
        inputs: float tensors, which receive gradients.
        masks: by the layer's names of them; tensors or None, without gradients.
        seed: int32 (2,), see `dropout_seed`; the scope of the caller has ended by the time of the
            second pass.

    Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".
    """

    def compute(inputs: Any, masks: Any, seed: Any) -> Any:
        with dropout_seed(seed):
            return layer(*inputs, **masks, training=True)

    if keras.backend.backend() == "tensorflow":
        from bert_tf.layers.tensorflow import rematerialization

        return rematerialization.recompute(compute, layer.weights, inputs, masks, seed)
    return keras.remat(compute)(inputs, masks, seed)
