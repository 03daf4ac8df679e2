"""A training step's matrix products alone: what no step, whoever wrote it, can be shorter than.

    products_step(config, batch) is called like a peer's step

The dense layers' products forward and backward, by TensorFlow's `matmul`, one after the other;
attention's own (some percent) are left out. float32.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.config import ModelConfig


def products_step(config: ModelConfig, batch: dict[str, np.ndarray]) -> Callable[[], Any]:
    """A function that computes all of them once."""
    tokens, predictions = batch["input_ids"].size, batch["masked_lm_positions"].size
    width, inner = config.hidden_size, config.intermediate_size
    layer = ((width, 3 * width), (width, width), (width, inner), (inner, width))
    shapes = [(tokens, *kernel) for kernel in layer] * config.num_hidden_layers
    shapes += [(predictions, width, width), (predictions, width, config.vocab_size or 0)]
    factors = {shape: _factors(*shape) for shape in set(shapes)}

    def step() -> None:
        for shape in shapes:
            x, kernel, gradient = factors[shape]
            tf.matmul(x, kernel)
            tf.matmul(gradient, kernel, transpose_b=True)
            tf.matmul(x, gradient, transpose_a=True)

    return step


def _factors(rows: int, inputs: int, outputs: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Layer input, kernel and the gradient of the layer's output."""
    sizes = ((rows, inputs), (inputs, outputs), (rows, outputs))
    return tuple(tf.random.stateless_normal(size, seed=(0, 0)) for size in sizes)
