"""Scores of answers of different lengths: log-probabilities divided by a penalty of the length.

Source: Wu et al. 2016, "Google's Neural Machine Translation System", section 7, without coverage.
"""

import numpy as np
import tensorflow as tf


def length_penalties(alpha: float, *, max_length: int) -> tf.Tensor:
    """((5 + length) / 6)^alpha of lengths 0 to `max_length`: float32 (max_length + 1).

    Lengths count the end token. A table, since it must not fall anywhere: the bound by which a beam
    search ends rests on that, and a power computed in the graph may be a digit off.
    """
    lengths = np.arange(max_length + 1, dtype=np.float64)
    return tf.constant(np.power((5.0 + lengths) / 6.0, alpha).astype(np.float32))


def normalized(log_probs: tf.Tensor, num_tokens: tf.Tensor, penalties: tf.Tensor) -> tf.Tensor:
    """Scores: `log_probs`, float32, of hypotheses of `num_tokens`, int32, which broadcast."""
    return log_probs / tf.gather(penalties, num_tokens)
