"""Kernels: functions of tensors that TensorFlow compiles as one, and their gradients.

A gradient inside of a compiled function would be costly: what it reads of the function's inputs
becomes an output, and the compiler copies what is both, a pass and a tensor each. So a kernel and
its gradient are two compiled functions, and between them the graph holds the inputs as they are.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

Kept = Sequence[tf.Tensor]


def compiled(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """`kernel` of tensors (or None) and keyword settings, compiled as one."""
    function = tf.function(kernel, jit_compile=True, autograph=False)

    @functools.wraps(kernel)
    def call(*tensors: Any, **settings: Any) -> Any:
        # A graph keeps a variable that it is given: all layers would use the first one's.
        return function(*(x if x is None else tf.convert_to_tensor(x) for x in tensors), **settings)

    return call


def with_gradient(
    backward: Callable[..., Any], *, reads: Sequence[int] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates a kernel of tensors (or None) and keyword settings: compiled, with a gradient.

    The kernel returns its output and, in a tuple, what it computed that the gradient needs.
    `backward(*kept, *upstream gradients, **settings)` returns a gradient for each input, None where
    there is none; its chains are compiled by themselves. `kept` are the inputs numbered in
    `reads`, then the kernel's tuple: nothing else is held for it.
    """

    def decorate(kernel: Callable[..., Any]) -> Callable[..., Any]:
        forward = tf.function(kernel, jit_compile=True, autograph=False)

        @functools.wraps(kernel)
        def call(*tensors: Any, **settings: float) -> Any:
            given = [x if x is None else tf.convert_to_tensor(x) for x in tensors]  # as above

            @tf.custom_gradient
            def compute(*present: tf.Tensor) -> Any:
                remaining = iter(present)
                inputs = [None if x is None else next(remaining) for x in given]
                output, computed = forward(*inputs, **settings)
                kept = (*(inputs[index] for index in reads), *computed)
                scope = f"gradient_tape/{tf.get_current_name_scope()}/"

                def gradient(*upstream: tf.Tensor) -> Any:
                    with tf.name_scope(scope):  # by which the profiler finds the layer
                        found = backward(*kept, *upstream, **settings)
                    return [g for g, x in zip(found, given, strict=True) if x is not None]

                return output, gradient

            return compute(*(x for x in given if x is not None))

        return call

    return decorate
