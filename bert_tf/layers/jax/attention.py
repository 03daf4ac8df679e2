"""Attention with dropout as one kernel on a GPU: chooses it, fits arrays to it, differentiates it.

Comes in: what the matrix product gives, (B, length, P * W), its parts side by side. Goes out: the
context, (B, F, W). Letters in shapes as in `bert_tf.layers.attention`.
"""

import contextlib
import functools
import threading
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import jax
import keras
from jax import numpy as jnp

from bert_tf.layers.jax import attention_calls
from bert_tf.layers.jax.attention_kernels import Blocks, Problem

HEAD_SIZES = (16, 32, 64, 128)
SMALLEST_BLOCK = 16  # of a matrix unit
OLDEST_GPU = 8  # compute capability: A100

Use = Literal["on_gpu", "never", "always", "interpreted"]

_scope = threading.local()


@contextlib.contextmanager
def attention_kernel(use: Use) -> Iterator[None]:
    """Say when the layers traced inside take the kernel.

    Args:
        use: "on_gpu" (what holds outside, too) where it fits and jax's default device is a GPU of
            NVIDIA; "never"; "always" where it fits, to compile for a GPU that is not here;
            "interpreted" likewise, computed by jax's interpreter, slowly, on any device.
    """
    previous = _use()
    _scope.use = use
    try:
        yield
    finally:
        _scope.use = previous


def takes_kernel(*, head_size: int) -> bool:
    """Whether attention is to be computed by `attend`."""
    use = _use()
    if use == "never" or head_size not in HEAD_SIZES:
        return False
    return use != "on_gpu" or (_is_on_gpu() and keras.distribution.distribution() is None)


def attend(
    projected: tuple[Any, ...],
    mask: Any,
    seed: Any,
    *,
    num_heads: int,
    factor: float,
    masked_score: float,
    rate: float,
    scale: float,
) -> Any:
    """What softmax(factor Q K^T + mask), dropout and the product with V give: (B, F, W).

    Args:
        projected: in self-attention one array (B, T, 3 * W): all heads' Q, then K, then V; else
            two, (B, F, W) with Q and (B, T, 2 * W) with K and V.
        mask: bool, broadcastable to (B, N, F, T), True where attention is allowed; or None. It is
            never broadcast but along T.
        seed: int32, (2,), with `rate` and `scale` of `dropout_mask`; None for no dropout.
    """
    num_asking, num_answering = projected[0].shape[1], projected[-1].shape[1]
    width = projected[-1].shape[-1] // (3 if len(projected) == 1 else 2)
    itemsize = projected[0].dtype.itemsize
    blocks = _blocks(num_asking, num_answering, width // num_heads, itemsize)
    asking_step = max(each.asking for each in blocks)
    answering_step = max(each.answering for each in blocks)
    if len(projected) == 1:
        asking_step = answering_step = max(asking_step, answering_step)
    arrays = tuple(
        _filled(_split(x, num_heads, width), {1: step})
        for x, step in zip(projected, (asking_step, answering_step), strict=False)
    )
    if mask is not None:
        mask = _fitted_mask(mask, num_answering, asking_step, answering_step)
    first_part = int(len(projected) == 1)  # of K
    problem = Problem(
        num_asking=num_asking,
        num_answering=num_answering,
        query_part=0,
        key_part=first_part,
        value_part=first_part + 1,
        factor=factor,
        masked_score=masked_score,
        rate=rate,
        scale=scale if seed is not None else 1.0,
        is_filled=arrays[-1].shape[1] != num_answering,
        is_interpreted=_use() == "interpreted",
    )
    context = _attend(arrays, mask, seed, problem, blocks)[:, :num_asking]
    return jnp.reshape(context, (*context.shape[:2], width))


class _BlocksOfAll(NamedTuple):
    forward: Blocks
    answering: Blocks
    asking: Blocks


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _attend(arrays, mask, seed, problem, blocks):
    return _forward(arrays, mask, seed, problem, blocks)[0]


def _forward(arrays, mask, seed, problem, blocks):
    context, row = attention_calls.forward(
        arrays[0], arrays[-1], mask, seed, problem, blocks.forward
    )
    return context, (arrays, mask, seed, context, row)


def _backward(problem, blocks, kept, gradient):
    arrays, mask, seed, context, row = kept
    delta = jnp.sum(context.astype("float32") * gradient.astype("float32"), axis=-1)  # (B, F, N)
    delta = jnp.swapaxes(delta, 1, 2) / problem.scale
    given = (arrays[0], arrays[-1], mask, seed, (gradient, row, delta), problem)
    of_answering = attention_calls.backward_answering(*given, blocks.answering)
    if len(arrays) == 1:
        of_all = attention_calls.backward_asking(*given, blocks.asking, into=of_answering)
        return (of_all,), None, None
    of_asking = attention_calls.backward_asking(*given, blocks.asking)
    return (of_asking, of_answering), None, None


_attend.defvjp(_forward, _backward)


def _blocks(num_asking, num_answering, head_size, itemsize):
    """Blocks that fit the 99 KiB of shared memory of the least of these GPUs, and its registers.

    A program keeps a block of its own side; those of the other side stream past it.
    """

    def fitted(asking, answering, num_warps):
        return Blocks(
            asking=_smaller(asking, num_asking),
            answering=_smaller(answering, num_answering),
            num_warps=num_warps,
            num_stages=2,
        )

    if itemsize == 2 and head_size <= 64:
        return _BlocksOfAll(fitted(128, 64, 8), fitted(64, 64, 4), fitted(64, 64, 4))
    if itemsize == 2:
        return _BlocksOfAll(fitted(128, 32, 8), fitted(32, 64, 4), fitted(64, 32, 4))
    return _BlocksOfAll(fitted(64, 32, 4), fitted(32, 32, 4), fitted(32, 32, 4))


def _smaller(block, length):
    """`block`, or for a shorter row the power of two that holds it."""
    return min(block, max(SMALLEST_BLOCK, 1 << (length - 1).bit_length()))


def _split(x, num_heads, width):
    """(B, length, P * W) -> (B, length, P, N, H), without a copy."""
    batch, length, parts = x.shape[0], x.shape[1], x.shape[2] // width
    return jnp.reshape(x, (batch, length, parts, num_heads, width // num_heads))


def _fitted_mask(mask, num_answering, asking_step, answering_step):
    """int8, (B or 1, N or 1, F or 1, T), F and T in whole blocks."""
    mask = jnp.reshape(mask, (1,) * (4 - mask.ndim) + mask.shape)
    mask = jnp.broadcast_to(mask, (*mask.shape[:3], num_answering)).astype("int8")
    return _filled(
        mask, {3: answering_step} if mask.shape[2] == 1 else {2: asking_step, 3: answering_step}
    )


def _filled(x, steps):
    """`x` with zeros behind, so that these axes are multiples of these steps."""
    widths = [(0, -size % steps.get(axis, 1)) for axis, size in enumerate(x.shape)]
    return jnp.pad(x, widths) if any(more for _, more in widths) else x


def _use() -> Use:
    return getattr(_scope, "use", "on_gpu")


def _is_on_gpu() -> bool:
    """Whether the default device is a GPU of NVIDIA that Triton compiles for."""
    device = jax.config.jax_default_device or jax.devices()[0]
    if isinstance(device, str):
        device = jax.devices(device)[0]
    major = getattr(device, "compute_capability", "").partition(".")[0]  # no such thing on a CPU
    return major.isdecimal() and int(major) >= OLDEST_GPU
