"""Answers the texts of a batch in groups of like length.

    lengths 5 90 7 128 8 6 9 110  ->  5 6 7 8, padded to 8  |  9 90 110 128, padded to 128

Attention costs the square of the length that a row is padded to: it knows rows, not tokens. A batch
of few texts, or of short ones, is one group. The groups are one loop, so the model is in the graph
once.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

LEAST_TEXTS = 8
"""Of a group: with fewer, products are too small to be fast."""
LEAST_PLACES = 512
"""Of a group, padding included: of fewer, what padding costs in attention is less than what the
operations of another group take to start."""
MOST_GROUPS = 4
MOST_TEXTS = 256
"""Of a group, so that memory is bounded: texts with many choices or windows make more groups."""
_WIDTH_MULTIPLE = 8

Inputs = dict[str, tf.Tensor]
Function = Callable[[Inputs], Any]


def by_length(function: Function) -> Function:
    """`function` of the encoder's inputs, (batch, length), and of numbers of each row, (batch),
    asked for groups of rows.

    Its outputs are tensors in a dict, or one, (batch, …). Those of unknown second dimension have a
    value a token, and get zeros, or empty strings, where a group was narrower.
    """

    def grouped(inputs: Inputs) -> Any:
        traced = tf.function(function, autograph=False).get_concrete_function(
            {
                name: tf.TensorSpec([None] * it.shape.rank, it.dtype, name)
                for name, it in inputs.items()
            }
        )
        lengths = tf.reduce_sum(inputs["input_mask"], axis=1)
        width, num_rows = tf.shape(inputs["input_ids"])[1], tf.size(lengths)
        most = tf.minimum(num_rows // LEAST_TEXTS, num_rows * width // LEAST_PLACES)
        num_groups = tf.clip_by_value(most, 1, MOST_GROUPS)
        num_groups = tf.maximum(num_groups, -(-num_rows // MOST_TEXTS))
        order = tf.argsort(lengths, stable=True)
        specs = tf.nest.flatten(traced.structured_outputs)
        arrays = tuple(
            tf.TensorArray(
                spec.dtype, num_groups, infer_shape=False, element_shape=[None, *spec.shape[1:]]
            )
            for spec in specs
        )

        def answer(group: tf.Tensor, arrays: tuple[tf.TensorArray, ...]) -> Any:
            start, end = (_part(num_rows, it, num_groups) for it in (group, group + 1))
            rows = order[start:end]
            longest = tf.reduce_max(tf.concat([[1], tf.gather(lengths, rows)], 0))
            own = tf.minimum(-(-longest // _WIDTH_MULTIPLE) * _WIDTH_MULTIPLE, width)
            part = {
                name: tf.gather(it if it.shape.rank == 1 else it[:, :own], rows)
                for name, it in inputs.items()
            }
            outputs = [_widened(it, width) for it in tf.nest.flatten(traced(part))]
            return group + 1, tuple(
                array.write(group, it) for array, it in zip(arrays, outputs, strict=True)
            )

        _, arrays = tf.while_loop(
            lambda group, _: group < num_groups, answer, (0, arrays), parallel_iterations=1
        )
        back = tf.argsort(order)
        outputs = [tf.gather(array.concat(), back) for array in arrays]
        for output, spec in zip(outputs, specs, strict=True):
            output.set_shape([None, *spec.shape[1:]])
        return tf.nest.pack_sequence_as(traced.structured_outputs, outputs)

    return grouped


def _part(whole: tf.Tensor, number: tf.Tensor, parts: tf.Tensor) -> tf.Tensor:
    """int32 `whole * number // parts`, whose product may pass what 32 bits hold."""
    whole, number, parts = (tf.cast(it, tf.int64) for it in (whole, number, parts))
    return tf.cast(whole * number // parts, tf.int32)


def _widened(output: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """(rows, own width, …) -> (rows, width, …), where the second dimension is one of tokens."""
    if output.shape.rank < 2 or output.shape[1] is not None:
        return output
    missing = width - tf.shape(output)[1]
    return tf.pad(
        output,
        [[0, 0], [0, missing], *[[0, 0]] * (output.shape.rank - 2)],
        constant_values="" if output.dtype == tf.string else 0,
    )
