"""How many examples a second does fine-tuning take in, beside keras-nlp's classifier?

    python -m benchmarks.finetuning_step --data nsmc/train.tsv --text-field document
        [--size base --batch-size 8 --precision bfloat16]

Real texts, whole steps (text in, preprocessing, forward, backward, update; dropout 0.1), models of
one size with one vocabulary, learned from the texts. bert_tf: as `bert-tf finetune` runs, batches
by length and plainly shuffled; its texts are tokenized once before, which is timed apart.
keras-nlp: `BertTextClassifier.fit` with its own preprocessor, which pads to a fixed length. All in
turn, in one process; medians over the rounds. The first round traces and compiles: bert_tf, for
each length of batches.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from benchmarks.machine import describe_machine
from benchmarks.makers import DROPOUT, OurStep, keras_nlp_backbone, our_train_step
from benchmarks.workload import POLICIES
from bert_tf.config import FinetuningConfig, ModelConfig, TokenizerConfig, VocabularyConfig
from bert_tf.data.batches import length_groups
from bert_tf.data.batches.labelled import encode_texts, labelled_batches
from bert_tf.data.tables.reading import read_table
from bert_tf.data.text.vocabulary import learn_vocabulary
from bert_tf.data.text.windows import TextLimits
from bert_tf.data.text.wordpiece import WordPieceTokenizer
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.classification import Classification
from bert_tf.tasks.examples import Examples, sorted_names
from bert_tf.training.engine.strategy import split_batches

LEARNING_RATE = 5e-5
TakeSteps = Callable[[], int]
"""Takes some steps; returns how many."""


def main() -> None:
    """Time the peers in turn and print a Markdown table."""
    arguments = _parse()
    section = FinetuningConfig(text_field=arguments.text_field, label_field=arguments.label_field)
    data = Classification().read(read_table(arguments.data, key="--data"), section)
    texts = data.inputs["text"]
    tokens = learn_vocabulary(
        iter(texts), config=VocabularyConfig(size=arguments.vocab_size), tokenizer=TokenizerConfig()
    )
    config = ModelConfig(size=arguments.size, vocab_size=len(tokens))
    makers: dict[str, Callable[[], TakeSteps]] = {
        "bert_tf, by length": lambda: our_steps(arguments, data, tokens, config, by_length=True),
        "bert_tf, shuffled": lambda: our_steps(arguments, data, tokens, config, by_length=False),
        "keras-nlp BertTextClassifier": lambda: keras_nlp_steps(arguments, data, tokens, config),
    }
    started = time.perf_counter()
    WordPieceTokenizer(tokens).tokenize(list(texts))
    print(f"{len(texts):,} texts tokenized in {time.perf_counter() - started:.1f} s\n")
    takers, first, seconds = {}, {}, {}
    for name, make in makers.items():
        started = time.perf_counter()
        takers[name] = make()
        takers[name]()
        first[name] = time.perf_counter() - started
    for name, take_steps in list(takers.items()) * arguments.rounds:
        started = time.perf_counter()
        num_steps = take_steps()
        seconds.setdefault(name, []).append((time.perf_counter() - started) / num_steps)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    _print(arguments, medians, first)


def our_steps(
    arguments: argparse.Namespace,
    data: Examples,
    tokens: list[str],
    config: ModelConfig,
    *,
    by_length: bool,
) -> TakeSteps:
    """The package's own batches and step; a window of batches has its share of every length."""
    names = sorted_names(set(data.targets))
    step, strategy, *_ = _our_step(arguments, config, names)
    encoded = encode_texts(
        data.inputs["text"],
        targets={"labels": np.array([names.index(name) for name in data.targets], np.int32)},
        tokenizer=WordPieceTokenizer(tokens),
        limits=TextLimits(arguments.length),
    )
    batches = labelled_batches(
        encoded,
        batch_size=arguments.batch_size,
        is_training=True,
        group_by_length=by_length,
        seed=0,
    )
    iterator = iter(split_batches(lambda: batches, strategy))
    num_steps = length_groups.WINDOW_BATCHES if by_length else arguments.steps

    def take_steps() -> int:
        for index in range(num_steps):
            result = step(iterator, tf.constant(index, tf.int64))
        tf.nest.map_structure(lambda value: value.numpy(), result)
        return num_steps

    return take_steps


def _our_step(arguments: argparse.Namespace, config: ModelConfig, names: list[str]) -> OurStep:
    description = ModelDescription(
        kind="classification",
        architecture=config,
        max_seq_length=arguments.length,
        class_names=tuple(names),
        classifier_dropout_prob=DROPOUT,
    )
    return our_train_step(
        description,
        Classification().objective(description),
        policy=POLICIES[arguments.precision],
        learning_rate=LEARNING_RATE,
        head_flops=Classification().head_flops(description),
    )


def keras_nlp_steps(
    arguments: argparse.Namespace, data: Examples, tokens: list[str], config: ModelConfig
) -> TakeSteps:
    """`BertTextClassifier` with its preprocessor and Keras' AdamW through `fit`."""
    import keras_nlp

    preprocessor = keras_nlp.models.BertTextClassifierPreprocessor(
        keras_nlp.models.BertTokenizer(vocabulary=tokens), sequence_length=arguments.length
    )
    backbone = keras_nlp_backbone(config, policy=POLICIES[arguments.precision])
    names = sorted_names(set(data.targets))
    model = keras_nlp.models.BertTextClassifier(
        backbone, num_classes=len(names), preprocessor=preprocessor, dropout=DROPOUT
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(LEARNING_RATE, weight_decay=0.01, global_clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=arguments.peer_jit_compile,
    )
    order = np.random.default_rng(0).permutation(len(data))
    texts = np.array(data.inputs["text"], object)[order]
    labels = np.array([names.index(label) for label in data.targets], np.int32)[order]
    batches = tf.data.Dataset.from_tensor_slices((texts, labels)).repeat()
    batches = batches.batch(arguments.batch_size)

    def take_steps() -> int:
        model.fit(batches, steps_per_epoch=arguments.steps, verbose=0)
        return int(arguments.steps)

    return take_steps


def _print(
    arguments: argparse.Namespace, medians: dict[str, float], first: dict[str, float]
) -> None:
    print(
        f"{arguments.size}, batches of {arguments.batch_size}, at most {arguments.length} tokens, "
        f"{arguments.precision}, median of {arguments.rounds}; {describe_machine()}; "
        f"{datetime.now(UTC):%Y-%m-%d}\n"
    )
    print("| | seconds a step | examples/s | first round, s | bert_tf by length is faster by |")
    print("|---|---|---|---|---|")
    for name, seconds in medians.items():
        rate = arguments.batch_size / seconds
        ratio = seconds / medians["bert_tf, by length"]
        print(f"| {name} | {seconds:.3f} | {rate:.1f} | {first[name]:.1f} | {ratio:.2f} |")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="a labelled .tsv or .jsonl")
    parser.add_argument("--text-field", default="text")
    parser.add_argument("--label-field", default="label")
    parser.add_argument("--vocab-size", type=int, default=8000)
    parser.add_argument("--size", default="mini")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument(
        "--steps", type=int, default=10, help="a round, where lengths do not matter"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--peer-jit-compile", action="store_true", help="keras-nlp's step through XLA as a whole"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
