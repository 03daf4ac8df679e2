"""What one program of each attention kernel computes, in Pallas.

Letters in shapes as in `bert_tf.layers.attention`. A program has one head of one row of the batch
and a block of positions, and goes over the blocks of the other side in a loop; no scores leave it.
The backward kernels compute weights and dropout again, from the log-sum-exp of each row. Exponents
are of 2, for which a GPU has an instruction. References are to `attention_calls`' blocks; those to
`seed` and `mask` may be None. A dead row is one that may attend to nothing.

Source: Dao 2023, "FlashAttention-2", algorithms 1 and 2.
"""

import math
from typing import NamedTuple

from jax import lax
from jax import numpy as jnp
from jax.experimental import pallas as pl

from bert_tf.layers.dropout_mask import is_kept

LOG2_E = math.log2(math.e)


class Blocks(NamedTuple):
    """Positions in a block of either side, and how many warps work on it in how many stages."""

    asking: int
    answering: int
    num_warps: int
    num_stages: int


class Problem(NamedTuple):
    """What the kernels are compiled for.

    `query_part`, `key_part` and `value_part` are places in P; `num_asking` and `num_answering` the
    F and T of a whole row, without what fills the last block; `is_filled` says that T has such.
    """

    num_asking: int
    num_answering: int
    query_part: int
    key_part: int
    value_part: int
    factor: float
    masked_score: float
    rate: float
    scale: float
    is_filled: bool
    is_interpreted: bool


def forward_kernel(
    seed_ref, query_ref, key_ref, value_ref, mask_ref, context_ref, row_ref, *, problem, blocks
):
    """Context (F, H) of a block of F, and the log-sum-exp of its rows, inf for dead ones."""
    query = query_ref[...]  # (F, H) of this block
    drop = _dropout(seed_ref, problem)
    asking = pl.program_id(0) * blocks.asking + jnp.arange(blocks.asking)[:, None]

    def attend_to(block, carry):
        context, largest, total = carry
        columns, answering = _block(block, blocks.answering)
        scores = _scores(query, key_ref[columns, :], problem)  # (F, T)
        if mask_ref is not None:
            is_allowed = _allowed(mask_ref, slice(None), columns)
            scores = jnp.where(is_allowed, scores, problem.masked_score)
        scores = _without_filling(scores, answering[None, :], problem)
        next_largest = jnp.maximum(largest, jnp.max(scores, axis=1))
        correction = jnp.exp2(largest - next_largest)
        weights = jnp.exp2(scores - next_largest[:, None])
        total = total * correction + jnp.sum(weights, axis=1)
        weights = drop(weights, asking, answering[None, :])
        value = value_ref[columns, :]
        context = context * correction[:, None] + _dot(weights.astype(value.dtype), value)
        return context, next_largest, total

    context, largest, total = lax.fori_loop(
        0,
        key_ref.shape[0] // blocks.answering,
        attend_to,
        (
            jnp.zeros(query.shape, jnp.float32),
            jnp.full(blocks.asking, -jnp.inf, jnp.float32),
            jnp.zeros(blocks.asking, jnp.float32),
        ),
    )
    context_ref[...] = (context * (problem.scale / total)[:, None]).astype(context_ref.dtype)
    row = largest + jnp.log2(total)
    if mask_ref is not None:
        row = jnp.where(largest <= problem.masked_score, jnp.inf, row)
    row_ref[...] = row


def answering_kernel(
    seed_ref,
    query_ref,
    key_ref,
    value_ref,
    mask_ref,
    gradient_ref,
    row_ref,
    delta_ref,
    output_ref,
    *,
    problem,
    blocks,
):
    """Gradient of a block of keys and values, (T, H) each, into its parts of the output."""
    key, value = key_ref[...], value_ref[...]  # (T, H) of this block
    drop = _dropout(seed_ref, problem)
    answering = pl.program_id(0) * blocks.answering + jnp.arange(blocks.answering)[:, None]

    def answer(block, carry):
        of_key, of_value = carry
        rows, asking = _block(block, blocks.asking)
        query, gradient = query_ref[rows, :], gradient_ref[rows, :]
        row, delta = row_ref[rows][None, :], delta_ref[rows][None, :]
        scores = _scores(key, query, problem)  # (T, F): what the products below begin with
        if mask_ref is not None:
            is_allowed = _allowed(mask_ref, rows, slice(None)).T
            scores, row, is_dead = _masked(scores, is_allowed, row, problem)
            # No gradient reaches the scores of a dead row.
            query = jnp.where(is_dead.T, jnp.zeros_like(query), query)
        weights = jnp.exp2(_without_filling(scores, answering, problem) - row)
        dropped = drop(weights, asking[None, :], answering)
        of_value += _dot(dropped.astype(gradient.dtype), gradient)
        of_weights = drop(_dot_transposed(value, gradient), asking[None, :], answering)
        of_scores = weights * (of_weights - delta)
        of_key += _dot(of_scores.astype(query.dtype), query)
        return of_key, of_value

    zeros = jnp.zeros(key.shape, jnp.float32)
    of_key, of_value = lax.fori_loop(0, query_ref.shape[0] // blocks.asking, answer, (zeros, zeros))
    of_key *= problem.factor * problem.scale
    output_ref[:, problem.key_part, :] = of_key.astype(output_ref.dtype)
    output_ref[:, problem.value_part, :] = (of_value * problem.scale).astype(output_ref.dtype)


def asking_kernel(
    seed_ref,
    query_ref,
    key_ref,
    value_ref,
    mask_ref,
    gradient_ref,
    row_ref,
    delta_ref,
    into_ref,
    output_ref,
    *,
    problem,
    blocks,
):
    """Gradient of a block of queries, (F, H)."""
    del into_ref  # the same memory as `output_ref`
    query, gradient = query_ref[...], gradient_ref[...]  # (F, H) of this block
    row, delta = row_ref[...][:, None], delta_ref[...][:, None]
    drop = _dropout(seed_ref, problem)
    asking = pl.program_id(0) * blocks.asking + jnp.arange(blocks.asking)[:, None]

    def ask(block, of_query):
        columns, answering = _block(block, blocks.answering)
        key = key_ref[columns, :]
        scores, shift = _scores(query, key, problem), row  # (F, T)
        if mask_ref is not None:
            is_allowed = _allowed(mask_ref, slice(None), columns)
            scores, shift, _ = _masked(scores, is_allowed, row, problem)
        weights = jnp.exp2(_without_filling(scores, answering[None, :], problem) - shift)
        of_weights = _dot_transposed(gradient, value_ref[columns, :])
        of_weights = drop(of_weights, asking, answering[None, :])
        of_scores = weights * (of_weights - delta)
        return of_query + _dot(of_scores.astype(key.dtype), key)

    of_query = lax.fori_loop(
        0,
        key_ref.shape[0] // blocks.answering,
        ask,
        jnp.zeros(query.shape, jnp.float32),
    )
    if mask_ref is not None:
        of_query = jnp.where(jnp.isinf(row), 0.0, of_query)
    output_ref[...] = (of_query * (problem.factor * problem.scale)).astype(output_ref.dtype)


def _scores(a, b, problem):
    """a b^T, scaled, in base 2, float32: of no mask yet."""
    return _dot_transposed(a, b) * (problem.factor * LOG2_E)


def _allowed(mask_ref, rows, columns):
    """Bool, (F or 1, T), of these rows and columns."""
    if mask_ref.ndim == 1:
        return mask_ref[columns][None, :] != 0
    return mask_ref[rows, columns] != 0


def _masked(scores, is_allowed, row, problem):
    """Scores and log-sum-exps whose differences are right for dead rows, too; which are dead.

    The weights of a dead row are equal, and cannot be had from a log-sum-exp near -1e9.
    """
    is_dead = jnp.isinf(row)
    of_masked = jnp.where(is_dead, -math.log2(problem.num_answering), -jnp.inf)
    return jnp.where(is_allowed, scores, of_masked), jnp.where(is_dead, 0.0, row), is_dead


def _without_filling(scores, answering, problem):
    """-inf at the places that only fill the last block."""
    if not problem.is_filled:
        return scores
    return jnp.where(answering < problem.num_answering, scores, -jnp.inf)


def _dropout(seed_ref, problem):
    """A function of (x, places in F, places in T): 0 instead of x at what dropout drops.

    What it keeps is that of `dropout_mask` of the whole (B, N, F, T); the scale is left out.
    """
    if seed_ref is None:
        return lambda x, asking, answering: x
    head = pl.program_id(2) * pl.num_programs(1) + pl.program_id(1)
    first_row = head.astype(jnp.uint32) * jnp.uint32(problem.num_asking)
    keys = seed_ref[0].astype(jnp.uint32), seed_ref[1].astype(jnp.uint32)

    def drop(x, asking, answering):
        rows = (first_row + asking.astype(jnp.uint32)) * jnp.uint32(problem.num_answering)
        places = rows + answering.astype(jnp.uint32)
        return jnp.where(is_kept(places, keys, rate=problem.rate), x, 0.0)

    return drop


def _block(index, size):
    """The slice of a block, and its positions."""
    first = index * size
    return pl.ds(first, size), first + jnp.arange(size)


def _dot(a, b):
    return jnp.dot(a, b, preferred_element_type=jnp.float32)


def _dot_transposed(a, b):
    return _dot(a, b.T)
