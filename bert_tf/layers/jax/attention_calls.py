"""The calls of the attention kernels: which blocks of which arrays a program is given.

Letters in shapes as in `bert_tf.layers.attention`; P parts (query, key, value) that lie side by
side in one array, (B, length, P, N, H), as a matrix product leaves them: nothing is transposed.
Lengths are whole blocks; `Problem` says how many positions are real.
"""

import functools
from typing import Any

import jax
from jax import numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from bert_tf.layers.jax import attention_kernels as kernels
from bert_tf.layers.jax.attention_kernels import Blocks, Problem


def forward(
    asking: Any, answering: Any, mask: Any, seed: Any, problem: Problem, blocks: Blocks
) -> tuple[Any, Any]:
    """Context (B, F, N, H) and each row's log-sum-exp (B, N, F), float32, in base 2.

    Args:
        asking: (B, F, P, N, H) with the queries.
        answering: (B, T, P, N, H) with keys and values; in self-attention the same array.
        mask: int8, (B or 1, N or 1, F or 1, T), not 0 where attention is allowed; or None.
        seed: int32, (2,), of `dropout_mask`; None for no dropout.

    A row that may attend to nothing has the log-sum-exp inf, by which the backward pass knows it.
    """
    batch, rows, _, num_heads, size = asking.shape
    block = blocks.asking
    return pl.pallas_call(
        functools.partial(kernels.forward_kernel, problem=problem, blocks=blocks),
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
        functools.partial(kernels.answering_kernel, problem=problem, blocks=blocks),
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
        functools.partial(kernels.asking_kernel, problem=problem, blocks=blocks),
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
    return pl.BlockSpec((None, None, block or length), lambda i, n, b: (b, n, i if block else 0))


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
