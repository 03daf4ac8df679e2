"""Flash attention with dropout in Pallas: three kernels that keep no scores in memory.

Letters in shapes as in `bert_tf.layers.attention`: B, F, T, N, H; P parts (query, key, value) that
lie beside one another in one array, (B, length, P, N, H), as the matrix product leaves them.
Lengths here are whole blocks; `Problem` says how many positions of them are real.

A program has one head of one row of the batch and one block of positions, and goes over the other
side in a loop. The backward pass draws weights and dropout again from the log-sum-exp of each row.
Exponents are of 2, for which a GPU has an instruction.

Source: Dao 2023, "FlashAttention-2", algorithms 1 and 2; Rabe and Staats 2021.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
from jax import lax
from jax import numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

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


def forward(
    asking: Any, answering: Any, mask: Any, seed: Any, problem: Problem, blocks: Blocks
) -> tuple[Any, Any]:
    """Context (B, F, N, H) and each row's log-sum-exp (B, N, F), float32, in base 2.

    Args:
        asking: (B, F, P, N, H) with the queries.
        answering: (B, T, P, N, H) with keys and values; in self-attention the same array.
        mask: int8, (B or 1, N or 1, F or 1, T), not 0 where attention is allowed; or None.
        seed: int32, (2,), of `dropout_mask`; None for no dropout.

    A row that may attend to nothing has the log-sum-exp inf, by which `backward` knows it.
    """
    batch, rows, _, num_heads, size = asking.shape
    block = blocks.asking
    return pl.pallas_call(
        functools.partial(_forward_kernel, problem=problem, blocks=blocks),
        grid=(rows // block, num_heads, batch),
        in_specs=[
            None if seed is None else _seed_spec(),
            _part_spec(block, problem.query_part, size),
            _part_spec(None, problem.key_part, size, length=answering.shape[1]),
            _part_spec(None, problem.value_part, size, length=answering.shape[1]),
            _mask_spec(mask, rows=block, columns=None),
        ],
        out_specs=[_context_spec(block, size), _row_spec(block)],
        out_shape=[
            jax.ShapeDtypeStruct((batch, rows, num_heads, size), asking.dtype),
            jax.ShapeDtypeStruct((batch, num_heads, rows), jnp.float32),
        ],
        name="attention_forward",
        **_how(problem, blocks),
    )(seed, asking, answering, answering, mask)


def backward_answering(
    asking: Any,
    answering: Any,
    mask: Any,
    seed: Any,
    rows: tuple[Any, Any, Any],
    problem: Problem,
    blocks: Blocks,
) -> Any:
    """Gradient of keys and values in an array like `answering`, whose other part stays undefined.

    Args:
        rows: the context's gradient (B, F, N, H); `forward`'s log-sum-exp; and of each row the sum
            of the context times its gradient, divided by dropout's scale, (B, N, F), float32.
    """
    batch, num_rows, _, num_heads, size = asking.shape
    length, num_parts = answering.shape[1:3]
    block = blocks.answering
    return pl.pallas_call(
        functools.partial(_answering_kernel, problem=problem, blocks=blocks),
        grid=(length // block, num_heads, batch),
        in_specs=[
            None if seed is None else _seed_spec(),
            _part_spec(None, problem.query_part, size, length=num_rows),
            _part_spec(block, problem.key_part, size),
            _part_spec(block, problem.value_part, size),
            _mask_spec(mask, rows=None, columns=block),
            _context_spec(None, size, length=num_rows),
            _row_spec(None, length=num_rows),
            _row_spec(None, length=num_rows),
        ],
        out_specs=pl.BlockSpec(
            (None, block, num_parts, None, size), lambda i, n, b: (b, i, 0, n, 0)
        ),
        out_shape=jax.ShapeDtypeStruct(answering.shape, answering.dtype),
        name="attention_backward_answering",
        **_how(problem, blocks),
    )(seed, asking, answering, answering, mask, *rows)


def backward_asking(
    asking: Any,
    answering: Any,
    mask: Any,
    seed: Any,
    rows: tuple[Any, Any, Any],
    problem: Problem,
    blocks: Blocks,
    *,
    into: Any = None,
) -> Any:
    """Gradient of the queries in an array like `asking`; in `into`, which is given up, if given."""
    batch, num_rows, _, num_heads, size = asking.shape
    block, length = blocks.asking, answering.shape[1]
    num_inputs = sum(x is not None for x in (seed, asking, answering, answering, mask, *rows))
    return pl.pallas_call(
        functools.partial(_asking_kernel, problem=problem, blocks=blocks),
        grid=(num_rows // block, num_heads, batch),
        in_specs=[
            None if seed is None else _seed_spec(),
            _part_spec(block, problem.query_part, size),
            _part_spec(None, problem.key_part, size, length=length),
            _part_spec(None, problem.value_part, size, length=length),
            _mask_spec(mask, rows=block, columns=None),
            _context_spec(block, size),
            _row_spec(block),
            _row_spec(block),
            None if into is None else _part_spec(block, problem.query_part, size),
        ],
        out_specs=_part_spec(block, problem.query_part, size),
        out_shape=jax.ShapeDtypeStruct(asking.shape, asking.dtype),
        input_output_aliases={} if into is None else {num_inputs: 0},
        name="attention_backward_asking",
        **_how(problem, blocks),
    )(seed, asking, answering, answering, mask, *rows, into)


def _forward_kernel(
    seed_ref, query_ref, key_ref, value_ref, mask_ref, context_ref, row_ref, *, problem, blocks
):
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


def _answering_kernel(
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
            # No gradient reaches the scores of a row that may attend to nothing.
            query = jnp.where(is_dead.T, jnp.zeros_like(query), query)
        weights = jnp.exp2(_without_filling(scores, answering, problem) - row)
        dropped = drop(weights, asking[None, :], answering)
        of_value += _dot(dropped.astype(gradient.dtype), gradient)
        of_weights = drop(_dot_transposed(value, gradient), asking[None, :], answering)
        of_scores = weights * (of_weights - delta)
        of_key += _dot(of_scores.astype(query.dtype), query)
        return of_key, of_value

    zeros = jnp.zeros(key.shape, jnp.float32)
    of_key, of_value = lax.fori_loop(
        0, query_ref.shape[0] // blocks.asking, answer, (zeros, zeros)
    )
    of_key *= problem.factor * problem.scale
    output_ref[:, problem.key_part, :] = of_key.astype(output_ref.dtype)
    output_ref[:, problem.value_part, :] = (of_value * problem.scale).astype(output_ref.dtype)


def _asking_kernel(
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
    """Scores and log-sum-exps whose difference is right for dead rows, too, and which are dead.

    A dead row may attend to nothing: its weights are equal.
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


def _how(problem, blocks):
    return {
        "interpret": problem.is_interpreted,
        "compiler_params": triton.CompilerParams(
            num_warps=blocks.num_warps, num_stages=blocks.num_stages
        ),
    }


# What a program is given. Its place in the grid is (block i, head n, row b of the batch); a whole
# length is `block=None`, read in parts by the kernel.


def _seed_spec():
    return pl.BlockSpec((2,), lambda i, n, b: (0,))


def _part_spec(block, part, size, *, length=None):
    """(block or length, H) of (B, length, P, N, H)."""
    return pl.BlockSpec(
        (None, block or length, None, None, size),
        lambda i, n, b: (b, i if block else 0, part, n, 0),
    )


def _context_spec(block, size, *, length=None):
    """(block or length, H) of (B, F, N, H)."""
    return pl.BlockSpec(
        (None, block or length, None, size), lambda i, n, b: (b, i if block else 0, n, 0)
    )


def _row_spec(block, *, length=None):
    """(block or length,) of (B, N, F)."""
    return pl.BlockSpec(
        (None, None, block or length), lambda i, n, b: (b, n, i if block else 0)
    )


def _mask_spec(mask, *, rows, columns):
    """(T,) or (F, T) of (B or 1, N or 1, F or 1, T)."""
    if mask is None:
        return None
    batch, heads, asking, answering = mask.shape
    return pl.BlockSpec(
        (None, None, None if asking == 1 else rows or asking, columns or answering),
        lambda i, n, b: (
            b if batch > 1 else 0,
            n if heads > 1 else 0,
            i if rows and asking > 1 else 0,
            i if columns else 0,
        ),
    )
