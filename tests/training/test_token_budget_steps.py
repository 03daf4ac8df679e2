"""Steps on batches by token budget: replicas and micro-batches are only ways to compute them."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import OptimizerConfig
from bert_tf.data.batches.encoded_pairs import (
    EncodedPairs,
    Framing,
    HeldTokens,
    PairLimits,
    encode_pairs,
)
from bert_tf.data.batches.parallel import budgeted_batches
from bert_tf.models.objective import Sums, weighted_cross_entropy
from bert_tf.training.engine.step import make_train_step
from bert_tf.training.engine.strategy import make_strategy, split_batches
from bert_tf.training.optimizers import make_optimizer

VOCAB_SIZE, NUM_STEPS = 30, 6


class Guesser(keras.Model):
    """Scores of the next token, of the one before it and the mean of the source."""

    def __init__(self) -> None:
        super().__init__()
        options = {"embeddings_initializer": keras.initializers.RandomNormal(seed=1)}
        self.source = keras.layers.Embedding(VOCAB_SIZE, 8, **options)
        self.target = keras.layers.Embedding(VOCAB_SIZE, 8, **options)
        self.dense = keras.layers.Dense(
            VOCAB_SIZE, kernel_initializer=keras.initializers.GlorotUniform(seed=2)
        )

    def call(self, inputs: Any, training: bool = False) -> tf.Tensor:
        mask = tf.cast(inputs["input_mask"], tf.float32)[..., tf.newaxis]
        source = tf.reduce_sum(self.source(inputs["input_ids"]) * mask, axis=1, keepdims=True)
        source /= tf.reduce_sum(mask, axis=1, keepdims=True)
        return self.dense(self.target(inputs["decoder_input_ids"]) + source)


class TokenObjective:
    """One term, of target tokens."""

    def weights(self, batch: Any) -> dict[str, tf.Tensor]:
        return {"tokens": tf.reduce_sum(batch["label_weights"])}

    def sums(self, outputs: tf.Tensor, batch: Any) -> Sums:
        loss, correct = weighted_cross_entropy(outputs, batch["labels"], batch["label_weights"])
        return Sums({"tokens": loss}, {"tokens": correct})


@pytest.fixture(scope="module")
def encoded() -> EncodedPairs:
    rng = np.random.default_rng(0)
    sides = []
    for _ in range(2):
        lengths = rng.integers(1, 12, 70)
        ids = rng.integers(4, VOCAB_SIZE, lengths.sum()).astype(np.int32)
        sides.append(HeldTokens(tf.RaggedTensor.from_row_lengths(ids, lengths), lengths))
    return encode_pairs(
        *sides, framing=Framing(0, 1, 2, (1,), (2,)), limits=PairLimits(16, 16), where=str
    )


def take_steps(
    encoded: EncodedPairs, num_replicas: int, accumulation_steps: int
) -> tuple[list[list[float]], list[np.ndarray]]:
    """Loss, weight and gradient norm of each step, and the weights after the last one."""
    strategy = make_strategy(num_logical_devices=num_replicas)
    with strategy.scope():
        model = Guesser()
        model(
            {name: tf.ones([1, 2], tf.int32) for name in ("input_ids", "decoder_input_ids")}
            | {"input_mask": tf.ones([1, 2], tf.int32)}
        )
        optimizer = make_optimizer(
            model, config=OptimizerConfig(name="lamb", learning_rate=0.01), num_steps=100
        )
    step = make_train_step(
        model,
        TokenObjective(),
        optimizer,
        strategy=strategy,
        num_parts=accumulation_steps,
        max_grad_norm=1.0,
        seed=0,
    )
    batches = iter(
        split_batches(
            lambda **worker: budgeted_batches(
                encoded,
                batch_tokens=80,
                is_training=True,
                seed=1,
                num_parts=num_replicas * accumulation_steps,
                **worker,
            ),
            strategy,
            is_endless=True,
        )
    )
    numbers = []
    for number in range(NUM_STEPS):
        sums, weights, extras = step(batches, tf.constant(number, tf.int64))
        found = (sums.loss["tokens"], weights["tokens"], extras["gradient_norm"])
        numbers.append([float(value) for value in found])
    return numbers, [weight.numpy() for weight in model.weights]


@pytest.fixture(scope="module")
def of_one(encoded: EncodedPairs) -> tuple[list[list[float]], list[np.ndarray]]:
    return take_steps(encoded, 1, 1)


@pytest.mark.parametrize(("num_replicas", "accumulation_steps"), [(2, 1), (2, 3)])
def test_a_step_is_the_same_however_it_is_dealt(
    encoded: EncodedPairs,
    of_one: tuple[list[list[float]], list[np.ndarray]],
    num_replicas: int,
    accumulation_steps: int,
) -> None:
    numbers, weights = take_steps(encoded, num_replicas, accumulation_steps)
    expected, expected_weights = of_one
    np.testing.assert_allclose(numbers, expected, rtol=1e-5)
    assert len({weight for _, weight, _ in numbers}) > NUM_STEPS // 2  # batches of other sizes
    for ours, theirs in zip(weights, expected_weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
