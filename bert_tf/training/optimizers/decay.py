"""Which variables are not decayed, and which learn at a lower rate: by layer, not by name."""

import keras

from bert_tf.models.bert import BertEncoder
from bert_tf.models.decoder import TransformerDecoder


def variables_without_decay(model: keras.Model) -> list[keras.Variable]:
    """LayerNorm's weights and all biases that are trained.

    Raises:
        ValueError: a vector would be decayed or a matrix left out: a layer of an unknown kind.
    """
    excluded = []
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.LayerNormalization):
            excluded += layer.trainable_variables
        elif isinstance(getattr(layer, "bias", None), keras.Variable) and layer.bias.trainable:
            excluded.append(layer.bias)
    expected = {variable.path for variable in model.trainable_variables if len(variable.shape) == 1}
    if {variable.path for variable in excluded} != expected:
        raise ValueError(
            "Weight decay must leave out exactly the vectors (biases and LayerNorm). Received: "
            f"{sorted({v.path for v in excluded} ^ expected)} on one side only."
        )
    return excluded


def layer_rate_factors(model: keras.Model, *, layer_decay: float) -> dict[int, float]:
    """`id` of each trainable variable -> layer_decay ** (how far it is below the heads).

    With n Transformer layers the embeddings are n + 1 below the heads, layer i (from 0) is n - i
    below; pooler, final LayerNorm and heads learn at the full rate. So it is with the layers and
    embeddings of a decoder, counted from its own top.

    Raises:
        ValueError: there is decay, and the model has not one encoder.

    Source: Clark et al. 2020 (ELECTRA), appendix B, whose code leaves a step of two between heads
    and top layer; Bao et al. 2022 (BEiT), optim_factory.py, has one, as here.
    """
    factors = {id(variable): 1.0 for variable in model.trainable_variables}
    if layer_decay == 1.0:
        return factors
    encoders = [layer for layer in model._flatten_layers() if isinstance(layer, BertEncoder)]
    if len(encoders) != 1:
        raise ValueError(
            "layer_decay needs a model with one BERT encoder. Received: "
            f"{len(encoders)} in {model.name}. Set optimizer.layer_decay=1.0."
        )
    decoders: list[keras.layers.Layer] = [
        layer for layer in model._flatten_layers() if isinstance(layer, TransformerDecoder)
    ]
    for side in [*decoders, *encoders]:  # what both share, such as a table, is the encoder's
        stages = [side.embeddings, *side.transformer_layers]
        for depth, stage in enumerate(stages):
            for variable in stage.trainable_variables:
                factors[id(variable)] = layer_decay ** (len(stages) - depth)
    return factors
