"""Counts the floating-point operations of a training step from the shapes of what is computed.

A product of (m, k) and (k, n) is 2mkn floating-point operations, and the backward pass two such
for each of the forward pass. With L layers, width W, intermediate size I, rows of T positions,
vocabulary V:

    positions   6 * L * (4 * W^2 + 2 * W * I)     query, key, value, output, feed-forward network
    positions   12 * L * T * W                    scores, and weights times values
    predictions 6 * (W^2 + V * W)                 the masked-token head at gathered positions
    sequences   3 * what the head says            pooler and next-sentence head, a task's head

A decoder of D layers over S source and T target positions, and its output, add

    sources     6 * D * 2 * W^2                   key and value of cross-attention
    targets     6 * D * (6 * W^2 + 2 * W * I)     an encoder's layer; query, output of cross
    targets     12 * D * (T + S) * W              scores, and weights times values
    targets     6 * V * W                         the scores of the vocabulary

Every position and prediction that is fed counts, padding too, since it is computed: what share of
them is real is another number (see `training.workload`). Lookups, everything element-wise and what
is computed twice (`rematerialize`) are no model FLOPs. Their rate as a share of what the hardware
reaches in one large product is the model FLOPs utilisation, MFU.

Source: Chowdhery et al. 2022 (PaLM), appendix B.
"""

from typing import Any

from bert_tf.config import ModelConfig


def training_flops(
    config: ModelConfig,
    *,
    num_rows: Any,
    length: Any,
    num_predictions: Any,
    num_sequences: Any,
    head_flops: float,
    target_length: Any = 0,
) -> Any:
    """Model FLOPs of one step, backward pass included.

    All but `head_flops` may be whole numbers or scalars of an array library; those as floats,
    since the result passes what 32 bits hold.

    Args:
        num_predictions: masked-token predictions of all rows, 0 without that head.
        num_sequences: of all rows; those that share a row are several.
        head_flops: of the pooler and what stands on it, for one sequence, forward.
        target_length: positions of a row of the decoder's, which has as many rows.
    """
    width, num_layers = config.hidden_size, config.num_hidden_layers
    layer = 4 * width**2 + 2 * width * config.intermediate_size
    of_position = 6 * num_layers * layer + 12 * num_layers * width * length
    of_prediction = 6 * (width**2 + (config.vocab_size or 0) * width)
    of_sequence = 3 * head_flops
    return (
        of_position * num_rows * length
        + of_prediction * num_predictions
        + of_sequence * num_sequences
        + _decoder_flops(config, source_length=length, target_length=target_length) * num_rows
    )


def _decoder_flops(config: ModelConfig, *, source_length: Any, target_length: Any) -> Any:
    """Of one row."""
    width, num_layers = config.hidden_size, config.num_decoder_layers
    if num_layers == 0:
        return 0
    of_source = 6 * num_layers * 2 * width**2
    layer = 6 * width**2 + 2 * width * config.intermediate_size
    of_target = (
        6 * num_layers * layer
        + 12 * num_layers * width * (target_length + source_length)
        + 6 * (config.target_vocab_size or config.vocab_size or 0) * width
    )
    return of_source * source_length + of_target * target_length


def classifier_flops(config: ModelConfig, *, num_outputs: int) -> float:
    """Of a pooler and `num_outputs` scores on it, for one sequence, forward."""
    width = config.hidden_size
    return 2.0 * (width**2 + num_outputs * width)
