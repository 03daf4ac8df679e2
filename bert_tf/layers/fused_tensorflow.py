"""Fast paths of training on TensorFlow: chains of element-wise operations as one kernel each.

Serving does not come here: a SavedModel must not ask TF Serving to compile anything.
"""

import math
from collections.abc import Callable

import tensorflow as tf

_ROOT = math.sqrt(2.0 / math.pi)
_CUBIC = 0.044715


@tf.function(jit_compile=True)
@tf.custom_gradient
def gelu(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """The tanh approximation of GELU with its derivative written out; float32 inside.

    Any shape; output in the type of `x`. The derivative reuses the tanh: in bfloat16 on a CPU it
    takes about a third of the time of the one that autodiff makes.
    """
    wide = tf.cast(x, tf.float32)
    square = wide * wide
    tanh = tf.tanh(_ROOT * wide * (1.0 + _CUBIC * square))

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        slope = _ROOT * (1.0 + 3.0 * _CUBIC * square)
        derivative = 0.5 * (1.0 + tanh) + 0.5 * wide * (1.0 - tanh * tanh) * slope
        return tf.cast(tf.cast(upstream, tf.float32) * derivative, x.dtype)

    return tf.cast(0.5 * wide * (1.0 + tanh), x.dtype), gradient
