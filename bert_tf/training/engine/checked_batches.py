"""Checks a model's batches for out-of-range numbers, see `data.batches.ranges`."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from bert_tf.data.batches.ranges import Sizes, check_batches


def checked(
    make_batches: Callable[..., tf.data.Dataset], model: Any
) -> Callable[..., tf.data.Dataset]:
    """`make_batches`, whose batches raise an error where a number is out of the model's range."""
    config = model.config
    target_vocab_size = config.target_vocab_size or config.vocab_size
    sizes = Sizes(
        vocab_size=config.vocab_size,
        type_vocab_size=config.type_vocab_size,
        max_position_embeddings=config.max_position_embeddings,
        # A decoder's labels are tokens.
        num_classes=target_vocab_size
        if config.num_decoder_layers
        else getattr(model, "num_classes", None),
        target_vocab_size=target_vocab_size,
    )
    return lambda **worker: check_batches(make_batches(**worker), sizes)
