"""Multi-head scaled dot-product attention, and the masks of what may attend to what.

Letters in shapes: B batch, F positions that ask, T positions that answer (F = T in
self-attention), N heads, H size of a head, W = N * H width.
"""

import functools
import math
from typing import Any

import keras
from keras import ops

from bert_tf.layers.dropout import Dropout
from bert_tf.layers.projection import add_bias, biased_product, dense, matmul

# Finite, so that a row with nothing to attend to gives equal weights instead of NaN.
MASKED_SCORE = -1e9
LARGEST_FLOAT16 = 65504.0
# Of Q, K and V in the arrays of a projection: in one for self-attention, else in two.
PARTS = {1: (3,), 2: (1, 2)}


def padding_mask(input_mask):
    """True at positions that hold a token. (B, T) of 0 and 1 -> (B, 1, 1, T) bool."""
    return ops.expand_dims(ops.cast(input_mask, "bool"), (1, 2))


def causal_mask(length):
    """True where position f may see position t <= f. -> (1, 1, length, length) bool."""
    positions = ops.arange(length)
    return ops.expand_dims(positions[:, None] >= positions[None, :], (0, 1))


def sequence_mask(sequence_ids):
    """True inside one of several sequences that share a row. (B, T) int -> (B, 1, T, T) bool."""
    return ops.expand_dims(ops.equal(sequence_ids[:, :, None], sequence_ids[:, None, :]), 1)


def combine_masks(*masks):
    """True where every mask allows attention; None stands for no mask.

    Bool tensors that broadcast to (B, N, F, T) -> the same, or None where all are None. A causal
    decoder over packed rows: `combine_masks(padding_mask(m), causal_mask(t), sequence_mask(s))`.
    """
    given = [mask for mask in masks if mask is not None]
    return functools.reduce(ops.logical_and, given) if given else None


class MultiHeadAttention(keras.layers.Layer):
    """softmax(Q K^T / sqrt(H) + mask) V over N heads, then a projection back to the width.

    One layer is bidirectional, causal or cross-attention by what it is given: a padding, causal or
    sequence mask (several through `combine_masks`), or a `memory` to attend to.

    Inputs: `query` (B, F, W); `memory` (B, T, W) or None for self-attention; `attention_mask` bool,
    broadcastable to (B, N, F, T), True where attention is allowed.
    Output: (B, F, W), compute dtype; with `return_weights` also the weights (B, N, F, T) before
    dropout, float32. The softmax runs in float32 whatever the compute dtype. A row that may attend
    to nothing gets equal weights, and no gradient reaches its scores.

    Raises:
        ValueError: the number of heads does not divide the width.

    Source: Vaswani et al. 2017, section 3.2; dropout on the weights as in google-research/bert.
    """

    def __init__(
        self,
        hidden_size: int,
        *,
        num_heads: int,
        dropout_rate: float,
        initializer_range: float,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if hidden_size % num_heads:
            raise ValueError(
                "num_heads must divide hidden_size. Received: "
                f"hidden_size={hidden_size}, num_heads={num_heads}. "
                f"Use a divisor of {hidden_size}."
            )
        self.hidden_size = hidden_size
        self.num_heads = num_heads
        self.dropout_rate = dropout_rate
        self.initializer_range = initializer_range
        # Columns: all heads' Q, then K, then V: one matrix product instead of three.
        self.query_key_value = dense(
            3 * hidden_size,
            initializer_range=initializer_range,
            name="query_key_value",
            dtype=self.dtype_policy,
        )
        self.dropout = Dropout(dropout_rate, name="dropout", dtype=self.dtype_policy)
        self.output_projection = dense(
            hidden_size,
            initializer_range=initializer_range,
            name="output",
            dtype=self.dtype_policy,
        )

    def build(self, query_shape, memory_shape=None):
        width = (None, None, self.hidden_size)
        self.query_key_value.build(width)
        self.dropout.build(width)
        self.output_projection.build(width)

    def call(self, query, memory=None, attention_mask=None, return_weights=False, training=False):
        context, weights = self.context(
            query, memory, attention_mask, return_weights=return_weights, training=training
        )
        output = self.output_projection(context)  # (B, F, W)
        return (output, weights) if return_weights else output

    def context(
        self,
        query,
        memory=None,
        attention_mask=None,
        *,
        return_weights=False,
        training=False,
        layout=None,
    ):
        """What `call` projects to its output, (B, F, W), and the weights or None.

        With a `layout` (see `tensorflow.padding`) query and output are tokens only, the output's
        those asked for.
        """
        projected = self._project(query, memory, training)
        if not return_weights and self._has_kernel():
            return self._attend_in_one_kernel(projected, attention_mask, training), None
        heads = self._heads(projected, layout)  # (B, N, F, H), 2 x (B, N, T, H)
        return self._context_of_heads(
            heads, attention_mask, return_weights=return_weights, training=training, layout=layout
        )

    def memory_heads(self, memory):
        """Key and value of what `step_over_memory` attends to: (B, T, W) -> 2 x (B, N, T, H)."""
        projected = self._product_with(slice(self.hidden_size, None), memory)
        return tuple(self._split_heads(projected, num_parts=2))

    def step_over_memory(self, query, heads, attention_mask=None):
        """The context of positions that ask what `memory_heads` gave, not in training: (B, F, W).

        Those that ask need not be of one sequence: each is answered alone.
        """
        projected = self._product_with(slice(self.hidden_size), query)
        asked = self._split_heads(projected, num_parts=1)
        context, _ = self._context_of_heads((*asked, *heads), attention_mask)
        return context

    def step(self, query, cache):
        """The context of a sequence's newest position, which sees itself and all before it.

        Not in training. Here B is batch times hypotheses, and every position has its own sequence.

        `query` (B, W); `cache` (B, T, 2 * W), keys and values of the positions before.
        -> context (B, W), and the cache with this position behind it, (B, T + 1, 2 * W).
        """
        projected = biased_product(query, self.query_key_value, training=False)
        asked, answers = ops.split(projected[:, None], [self.hidden_size], axis=-1)
        cache = ops.concatenate([cache, answers], axis=1)
        heads = self._heads((asked, cache), None)
        context, _ = self._context_of_heads(heads, None)
        return ops.squeeze(context, 1), cache

    def _context_of_heads(
        self, heads, attention_mask, *, return_weights=False, training=False, layout=None
    ):
        query, key, value = heads
        weights = None
        if layout is not None and not return_weights and self.compute_dtype != "float16":
            dropped = self._inferred_weights(query, key, attention_mask)
        else:
            scores, factor = self._scores(query, key)
            if training and not return_weights and keras.backend.backend() == "tensorflow":
                dropped = self._fused_weights(scores, attention_mask, factor=factor)
            else:
                weights = _softmax(scores, attention_mask, factor=factor)  # (B, N, F, T)
                dropped = self.dropout(ops.cast(weights, self.compute_dtype), training=training)
        context = matmul(dropped, value)  # (B, N, F, H)
        if layout is not None:
            return layout.of_heads(context), weights
        context = ops.transpose(context, (0, 2, 1, 3))  # (B, F, N, H)
        return ops.reshape(context, (*ops.shape(context)[:2], self.hidden_size)), weights

    @property
    def _factor(self):
        return 1.0 / math.sqrt(self.hidden_size // self.num_heads)

    def _scores(self, query, key):
        """Scores, and the factor that they still lack."""
        if self.compute_dtype != "float16":
            return matmul(query, key, transpose_b=True), self._factor
        # The bare product overflows at 65504.
        scores = matmul(query * self._factor, key, transpose_b=True)
        return ops.clip(scores, -LARGEST_FLOAT16, LARGEST_FLOAT16), 1.0

    def _inferred_weights(self, query, key, attention_mask):
        from bert_tf.layers.tensorflow import inference

        return inference.attention_weights(
            query, key, attention_mask, factor=self._factor, masked_score=MASKED_SCORE
        )

    def _fused_weights(self, scores, attention_mask, *, factor):
        from bert_tf.layers.tensorflow import fused

        return fused.attention_weights(
            scores,
            attention_mask,
            self.dropout.next_seed(),
            factor=factor,
            masked_score=MASKED_SCORE,
            **self.dropout.settings,
        )

    def _has_kernel(self):
        if keras.backend.backend() != "jax":
            return False
        from bert_tf.layers.jax.attention import takes_kernel

        return takes_kernel(head_size=self.hidden_size // self.num_heads)

    def _attend_in_one_kernel(self, projected, attention_mask, training):
        from bert_tf.layers.jax.attention import attend

        return attend(
            projected,
            attention_mask,
            self.dropout.next_seed() if training and self.dropout_rate > 0.0 else None,
            num_heads=self.num_heads,
            factor=self._factor,
            masked_score=MASKED_SCORE,
            **self.dropout.settings,
        )

    def _project(self, query, memory, training):
        """Q, K and V side by side, (B, T, 3 * W); with a memory (B, F, W) and (B, T, 2 * W)."""
        if memory is None:
            projected = biased_product(query, self.query_key_value, training=training)
            return (projected,)
        # By a split, not by slices: its gradient is one copy of the kernel's.
        kernel = ops.cast(self.query_key_value.kernel, self.compute_dtype)
        bias = ops.cast(self.query_key_value.bias, self.compute_dtype)
        kernels = ops.split(kernel, [self.hidden_size], axis=1)
        biases = ops.split(bias, [self.hidden_size])
        return tuple(
            add_bias(matmul(x, part), part_bias, training=training)
            for x, part, part_bias in zip((query, memory), kernels, biases, strict=True)
        )

    def _product_with(self, columns, x):
        """The product of `x` with these columns of Q, K and V; not in training."""
        kernel = ops.cast(self.query_key_value.kernel[:, columns], self.compute_dtype)
        bias = ops.cast(self.query_key_value.bias[columns], self.compute_dtype)
        return add_bias(matmul(x, kernel), bias)

    def _heads(self, projected, layout):
        """Each part of what `_project` gives, (B, N, length, H)."""
        if layout is not None:
            return layout.heads(projected[0], parts=3, num_heads=self.num_heads)
        heads = []
        for array, num_parts in zip(projected, PARTS[len(projected)], strict=True):
            heads += self._split_heads(array, num_parts=num_parts)
        return heads

    def _split_heads(self, array, *, num_parts):
        """(B, length, num_parts * W) -> num_parts x (B, N, length, H)."""
        batch, length = ops.shape(array)[:2]
        head_size = self.hidden_size // self.num_heads
        array = ops.reshape(array, (batch, length, num_parts, self.num_heads, head_size))
        array = ops.transpose(array, (2, 0, 3, 1, 4))
        # Along the first axis: a part is a piece of memory, and nothing is copied.
        return [ops.squeeze(part, 0) for part in ops.split(array, num_parts, axis=0)]

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_size": self.hidden_size,
            "num_heads": self.num_heads,
            "dropout_rate": self.dropout_rate,
            "initializer_range": self.initializer_range,
        }


def _softmax(scores, attention_mask, *, factor):
    """Attention weights, float32, whatever the type of the scores."""
    if scores.shape[-1] == 1:
        return ops.ones_like(scores, dtype="float32")  # of which Keras would warn
    scores = ops.cast(scores, "float32") * factor
    if attention_mask is not None:
        scores = ops.where(attention_mask, scores, MASKED_SCORE)
    return ops.softmax(scores, axis=-1)
