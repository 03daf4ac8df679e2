"""The cache of a decoder: copied for the hypotheses of a text, and put into another order."""

import math
from typing import Any

import tensorflow as tf

from bert_tf.config.decoding import DecodingConfig


def repeated(cache: Any, *, times: int) -> Any:
    """The empty cache (B, 1, 0, ...) for `times` hypotheses a text."""
    return tf.nest.map_structure(lambda value: tf.repeat(value, times, axis=1), cache)


def reordered(cache: Any, parents: tf.Tensor) -> Any:
    """Hypotheses (B, H, ...) that continue `parents`, int32 (B, H)."""
    return tf.nest.map_structure(
        lambda value: tf.gather(value, parents, axis=1, batch_dims=1), cache
    )


def check_memory(cache: Any, config: DecodingConfig) -> None:
    """Refuse what takes more memory a text than `max_mb_per_text`.

    Raises:
        ValueError: it does, or a tensor of the cache has no known dimensions.
    """
    per_token = 0
    for value in tf.nest.flatten(cache):
        if value.shape.rank is None or value.shape.rank < 3 or None in value.shape[3:]:
            raise ValueError(
                "A decoder's cache must be tensors (batch, 1, 0, ...), whose dimensions after the "
                f"third are known. Received: {value.shape}. Set its shape in the decoder's begin."
            )
        per_token += value.dtype.size * math.prod(value.shape[3:])
    num_mb = config.num_hypotheses * config.max_length * per_token / 2**20
    if num_mb > config.max_mb_per_text:
        raise ValueError(
            f"The cache of a text must take at most max_mb_per_text={config.max_mb_per_text} MB. "
            f"Received: {math.ceil(num_mb)} MB for {config.num_hypotheses} hypotheses of "
            f"max_length={config.max_length} at {per_token} bytes a token. Lower beam_size (or "
            "num_answers of samples) or max_length, or raise max_mb_per_text."
        )
