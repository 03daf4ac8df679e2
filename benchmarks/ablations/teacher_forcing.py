"""A Transformer's training step in one pass over all target positions, beside one by one."""

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bert_tf.config import ModelConfig
from bert_tf.models.objective import weighted_cross_entropy
from bert_tf.models.sequence_to_sequence import DECODER_INPUT, EncoderDecoder

BASE: dict[str, Any] = {
    "length": 16,
    "batch_size": 16,
    "num_layers": 2,
    "vocab_size": 1000,
    "rounds": 7,
}
WIDTH, NUM_HEADS = 128, 4


def measure(
    settings: Mapping[str, Any], *, seed: int, data: Path, folder: Path
) -> dict[str, float]:
    """Milliseconds of loss and gradients, medians of alternating rounds, and how far both agree.

    "one by one" computes a position after the other with what is cached of those before, as
    decoding does, and is given the right token each time: the loss is the same sum, so that only
    the order differs. `loss_difference`, `gradient_difference`: relative, of the largest.
    """
    config = ModelConfig(
        size="transformer_tiny",
        num_hidden_layers=settings["num_layers"],
        num_decoder_layers=settings["num_layers"],
        hidden_size=WIDTH,
        num_attention_heads=NUM_HEADS,
        vocab_size=settings["vocab_size"],
        max_position_embeddings=settings["length"],
        hidden_dropout_prob=0.0,
    )
    keras.utils.set_random_seed(seed)
    model = EncoderDecoder(config)
    model.build(None)
    batch = _random_batch(settings, seed=seed)
    steps = {
        "in one pass": _step(model, batch, _all_at_once),
        "one by one": _step(model, batch, _one_by_one),
    }
    (loss, gradients), (other_loss, other_gradients) = (step() for step in steps.values())
    turns: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(settings["rounds"]):
        for name, step in steps.items():
            started_at = time.perf_counter()
            float(step()[0])
            turns[name].append(1000 * (time.perf_counter() - started_at))
    return {name: statistics.median(found) for name, found in turns.items()} | {
        "loss_difference": abs(float(other_loss) / float(loss) - 1.0),
        "gradient_difference": max(
            float(tf.reduce_max(tf.abs(a - b)) / tf.reduce_max(tf.abs(a)))
            for a, b in zip(gradients, other_gradients, strict=True)
        ),
    }


def _step(model: Any, batch: Mapping[str, Any], logits_of: Callable[..., Any]) -> Callable[[], Any]:
    """A function that gives loss and gradients."""
    weights = [variable.value for variable in model.trainable_variables]

    @tf.function(autograph=False)
    def step() -> Any:
        with tf.GradientTape() as tape:
            logits = logits_of(model, batch)
            loss, _ = weighted_cross_entropy(logits, batch["labels"], batch["label_weights"])
        gradients = tape.gradient(loss, weights)
        return loss, [tf.convert_to_tensor(gradient) for gradient in gradients]

    return step


def _all_at_once(model: Any, batch: Mapping[str, Any]) -> Any:
    return model(batch, training=True)


def _one_by_one(model: Any, batch: Mapping[str, Any]) -> Any:
    memory, cache = model.begin(batch)
    logits = []
    for position in range(batch[DECODER_INPUT].shape[1]):
        ids = batch[DECODER_INPUT][:, position : position + 1]
        scores, cache = model.step(ids, tf.constant(position), memory, cache)
        logits.append(scores)
    return tf.concat(logits, axis=1)


def _random_batch(settings: Mapping[str, Any], *, seed: int) -> dict[str, tf.Tensor]:
    rng = np.random.default_rng(seed)
    shape = (settings["batch_size"], settings["length"])
    source, target = (rng.integers(5, settings["vocab_size"], shape, np.int32) for _ in range(2))
    given = np.concatenate([np.full_like(target[:, :1], 1), target[:, :-1]], axis=1)
    return {
        "input_ids": tf.constant(source),
        "input_mask": tf.ones(shape, tf.int32),
        "segment_ids": tf.zeros(shape, tf.int32),
        DECODER_INPUT: tf.constant(given),
        "labels": tf.constant(target),
        "label_weights": tf.ones(shape, tf.float32),
    }
