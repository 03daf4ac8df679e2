"""How long is one pretraining step, beside keras-nlp's and tf-models-official's?

    python -m benchmarks.pretraining_step [--size base --batch-size 8 --precision bfloat16]

Every peer runs a whole step (forward, backward, update; dropout 0.1; masked tokens at gathered
positions) on the same random batch, in turn, in one process; medians over the rounds. keras-nlp
has no next-sentence head, so its step does less than the others'. Hugging Face's PyTorch model
takes part where torch and transformers are installed (extra `bench`); its masked-token head scores
every position, as published. The share of the matrix rate is the model's own arithmetic, without
what is computed twice, by that of one large product of the same type, measured in the same run.
In float32 the step's matrix products alone take part: nobody's step can be shorter.
"""

import argparse
import importlib.util
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from benchmarks.huggingface_step import huggingface_step
from benchmarks.machine import describe_machine
from benchmarks.makers import DROPOUT, OurStep, keras_nlp_backbone, our_train_step
from benchmarks.step_products import products_step
from benchmarks.workload import POLICIES, make_batch, model_flops
from bert_tf.config import ModelConfig
from bert_tf.models.description import ModelDescription
from bert_tf.models.flops import classifier_flops
from bert_tf.training.engine.objective import PretrainingObjective
from bert_tf.training.engine.strategy import split_batches

LEARNING_RATE = 1e-4
MATRIX_SIZE = 2048
Step = Callable[[], Any]


def main() -> None:
    """Time the peers in turn and print a Markdown table."""
    arguments = _parse()
    policy = POLICIES[arguments.precision]
    config = ModelConfig(size=arguments.size, vocab_size=30522)
    batch = make_batch(config, batch_size=arguments.batch_size, length=arguments.length, seed=0)
    makers: dict[str, Callable[..., Step]] = {
        "bert_tf": our_step,
        "keras-nlp BertMaskedLM": keras_nlp_step,
        "tf-models-official BertPretrainerV2": model_garden_step,
    }
    if importlib.util.find_spec("transformers"):
        makers["Hugging Face BertForPreTraining"] = huggingface_step
    if arguments.precision == "float32":
        makers["(the matrix products alone)"] = lambda *given: products_step(*given[:2])
    steps = {name: make(config, batch, policy) for name, make in makers.items()}
    first = {name: _time(step) for name, step in steps.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    matrix_seconds = []
    for _ in range(arguments.rounds):
        for name, step in steps.items():
            seconds[name].append(_time(step))
        matrix_seconds.append(_matrix_product_seconds(arguments.precision))
    medians = {name: statistics.median(s) for name, s in seconds.items()}
    rate = 2 * MATRIX_SIZE**3 / statistics.median(matrix_seconds)
    _print(arguments, medians, first, flops=model_flops(config, batch), matrix_rate=rate)


def our_step(config: ModelConfig, batch: dict[str, np.ndarray], policy: str) -> Step:
    """The package's own step, as `bert-tf pretrain` runs it."""
    step, strategy, *_ = make_our_step(config, length=batch["input_ids"].shape[1], policy=policy)
    batches = iter(split_batches(lambda: tf.data.Dataset.from_tensors(batch).repeat(), strategy))
    return lambda: step(batches, tf.constant(1, tf.int64))


def make_our_step(
    config: ModelConfig, *, length: int, policy: str, rematerialize: bool = False
) -> OurStep:
    """The training step of a new model."""
    return our_train_step(
        ModelDescription(kind="pretraining", architecture=config, max_seq_length=length),
        PretrainingObjective(),
        policy=policy,
        learning_rate=LEARNING_RATE,
        head_flops=classifier_flops(config, num_outputs=2),
        rematerialize=rematerialize,
    )


def keras_nlp_step(config: ModelConfig, batch: dict[str, np.ndarray], policy: str) -> Step:
    """`BertMaskedLM` with Keras' AdamW through `train_on_batch`, as its users train it."""
    import keras_nlp

    backbone = keras_nlp_backbone(config, policy=policy)
    model = keras_nlp.models.BertMaskedLM(backbone, preprocessor=None)
    model.compile(
        optimizer=keras.optimizers.AdamW(LEARNING_RATE, weight_decay=0.01, global_clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    inputs = {
        "token_ids": batch["input_ids"],
        "padding_mask": batch["input_mask"],
        "segment_ids": batch["segment_ids"],
        "mask_positions": batch["masked_lm_positions"],
    }
    return lambda: model.train_on_batch(
        inputs, batch["masked_lm_ids"], sample_weight=batch["masked_lm_weights"]
    )


def model_garden_step(config: ModelConfig, batch: dict[str, np.ndarray], policy: str) -> Step:
    """`BertPretrainerV2` with tf_keras' AdamW in a custom loop, as Model Garden's task runs it."""
    import tf_keras
    from official.nlp import modeling

    tf_keras.mixed_precision.set_global_policy(policy)
    encoder = modeling.networks.BertEncoderV2(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        max_sequence_length=config.max_position_embeddings,
        inner_dim=config.intermediate_size,
        type_vocab_size=config.type_vocab_size,
        output_dropout=DROPOUT,
        attention_dropout=DROPOUT,
    )
    head = modeling.layers.ClassificationHead(
        inner_dim=config.hidden_size, num_classes=2, dropout_rate=0.0, name="next_sentence"
    )
    model = modeling.models.BertPretrainerV2(encoder, classification_heads=[head])
    optimizer = tf_keras.optimizers.AdamW(LEARNING_RATE, weight_decay=0.01, global_clipnorm=1.0)
    tensors = {name: tf.constant(value) for name, value in batch.items()}
    inputs = {
        "input_word_ids": tensors["input_ids"],
        "input_mask": tensors["input_mask"],
        "input_type_ids": tensors["segment_ids"],
        "masked_lm_positions": tensors["masked_lm_positions"],
    }

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            outputs = model(inputs, training=True)
            loss = sum(
                tf.reduce_mean(
                    tf.nn.sparse_softmax_cross_entropy_with_logits(
                        labels=labels, logits=tf.cast(logits, tf.float32)
                    )
                )
                for labels, logits in (
                    (tensors["masked_lm_ids"], outputs["mlm_logits"]),
                    (tensors["next_sentence_labels"], outputs["next_sentence"]),
                )
            )
        variables = model.trainable_variables
        gradients = tape.gradient(loss, variables)
        pairs = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
        optimizer.apply_gradients(pairs)
        return loss

    return step


def _matrix_product_seconds(precision: str) -> float:
    """One product of two square matrices."""
    matrix = tf.cast(tf.ones([MATRIX_SIZE, MATRIX_SIZE]), precision)
    tf.matmul(matrix, matrix).numpy()
    return _time(lambda: tf.matmul(matrix, matrix))


def _time(step: Step) -> float:
    started_at = time.perf_counter()
    tf.nest.map_structure(np.asarray, step())
    return time.perf_counter() - started_at


def _print(
    arguments: argparse.Namespace,
    medians: dict[str, float],
    first: dict[str, float],
    *,
    flops: float,
    matrix_rate: float,
) -> None:
    print(
        f"{arguments.size}, {arguments.batch_size} x {arguments.length}, {arguments.precision}, "
        f"median of {arguments.rounds}; {describe_machine()}; {datetime.now(UTC):%Y-%m-%d}; "
        f"matrix rate {matrix_rate / 1e9:.0f} GFLOP/s\n"
    )
    print(
        "| | seconds a step | sequences/s | share of the matrix rate | first step, s | "
        "bert_tf is faster by |\n|---|---|---|---|---|---|"
    )
    for name, seconds in medians.items():
        rate = arguments.batch_size / seconds
        share = flops / seconds / matrix_rate
        ratio = seconds / medians["bert_tf"]
        print(
            f"| {name} | {seconds:.3f} | {rate:.1f} | {share:.0%} | {first[name]:.1f} "
            f"| {ratio:.2f} |"
        )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="mini")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--rounds", type=int, default=10)
    return parser.parse_args()


if __name__ == "__main__":
    main()
