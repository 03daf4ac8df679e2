"""Checks a model's batches for out-of-range numbers, see `data.batches.ranges`."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from bert_tf.data.batches.ranges import Sizes, check_batches


def checked(
    make_batches: Callable[..., tf.data.Dataset], model: Any
) -> Callable[..., tf.data.Dataset]:
    """`make_batches`, whose batches raise an error where a number is out of the model's range."""
    sizes = Sizes(
        vocab_size=model.config.vocab_size,
        type_vocab_size=model.config.type_vocab_size,
        max_position_embeddings=model.config.max_position_embeddings,
        num_classes=getattr(model, "num_classes", None),
        target_vocab_size=model.config.target_vocab_size or model.config.vocab_size,
    )
    return lambda **worker: check_batches(make_batches(**worker), sizes)
