"""How many target tokens a second does training take in, beside three other Transformers?

    python -m benchmarks.sequence_to_sequence_step --data DATA/en/multi30k
        [--size transformer_base --rounds 3]

Whole steps (forward, cross-entropy with label smoothing of 0.1, backward, clipping, AdamW; dropout
as the size has it) on the same batches of real sentences: rows sorted by length, as many as have
`--batch-tokens` on their longer side, padding counted, as `bert-tf finetune` makes them. Models
have the same layers, widths and vocabulary, one table for both sides and the output.

    bert_tf                    the package's own step
    tf-models-official         Seq2SeqTransformer and its task's loss, also with XLA over the step
    Hugging Face               MarianMTModel in PyTorch, autocast to bfloat16, torch.compile
    PyTorch                    nn.Transformer, likewise

All in turn, in one process, medians over the rounds; a round is all batches once. Rounds before,
in which graphs are traced and compiled, are not counted. Target tokens are those of the sentences
and their ends: padding is none. `--only` names the rows to run.
"""

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks import sequence_to_sequence_peers as peers
from benchmarks.machine import describe_machine
from benchmarks.makers import our_train_step
from benchmarks.translation_pairs import (
    TRAIN,
    describe_model,
    learn_joint_tokenizer,
    open_translation,
    read_pairs,
)
from benchmarks.workload import POLICIES
from bert_tf.models.description import ModelDescription
from bert_tf.tasks.sequence_to_sequence import SequenceToSequence
from bert_tf.training.engine.strategy import split_batches

OURS = "bert_tf"


def main() -> None:
    """Time all in turn and print a Markdown table."""
    arguments = _parse()
    pairs = read_pairs(arguments.data, TRAIN)
    tokenizer = learn_joint_tokenizer(pairs, vocab_size=arguments.vocab_size)
    description = describe_model(arguments.size, vocab_size=tokenizer.vocab_size)
    task = open_translation(arguments.batch_tokens)
    encoded = task.encode(pairs, description, tokenizer=tokenizer)
    dataset = task.batches(encoded, batch_size=1).training(seed=0, start_step=0)
    batches = [
        {name: value.numpy() for name, value in batch.items()}
        for batch in itertools.islice(dataset, arguments.steps)
    ]
    rounds = _make_rounds(arguments, task, description, batches)
    seconds: dict[str, list[float]] = {name: [] for name in rounds}
    first = {name: _time(take) for name, take in rounds.items()}
    for name, take in list(rounds.items()) * arguments.rounds:
        seconds[name].append(_time(take))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    _print(arguments, medians, first, batches)


def _make_rounds(
    arguments: argparse.Namespace,
    task: SequenceToSequence,
    description: ModelDescription,
    batches: Sequence[peers.Batch],
) -> dict[str, Callable[[], None]]:
    """What takes a step with each batch, by the row's name."""
    makers: dict[str, Callable[[], Callable[[], None]]] = {
        f"{OURS}, {precision}": lambda policy=policy: our_round(task, description, batches, policy)
        for precision, policy in POLICIES.items()
    }
    makers |= {
        name: lambda make=make: _peer_round(make(description.architecture), batches)
        for name, make in peers.STEPS.items()
    }
    chosen = arguments.only or list(makers)
    return {name: make() for name, make in makers.items() if name in {f"{OURS}, bfloat16", *chosen}}


def our_round(
    task: SequenceToSequence,
    description: ModelDescription,
    batches: Sequence[peers.Batch],
    policy: str,
) -> Callable[[], None]:
    """Steps as `bert-tf finetune` takes them."""
    step, strategy, *_ = our_train_step(
        description,
        task.objective(description),
        policy=policy,
        learning_rate=peers.LEARNING_RATE,
        head_flops=task.head_flops(description),
    )
    signature = {
        name: tf.TensorSpec([None] * value.ndim, value.dtype) for name, value in batches[0].items()
    }
    dataset = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=signature)
    dataset = dataset.cache().repeat().prefetch(tf.data.AUTOTUNE)
    iterator = iter(split_batches(lambda: dataset, strategy))

    def take() -> None:
        for index in range(len(batches)):
            result = step(iterator, tf.constant(index, tf.int64))
        tf.nest.map_structure(lambda value: value.numpy(), result)

    return take


def _peer_round(step: peers.Step, batches: Sequence[peers.Batch]) -> Callable[[], None]:
    def take() -> None:
        for batch in batches:
            loss = step(batch)
        float(loss)

    return take


def _time(take: Callable[[], None]) -> float:
    started_at = time.perf_counter()
    take()
    return time.perf_counter() - started_at


def _print(
    arguments: argparse.Namespace,
    medians: dict[str, float],
    first: dict[str, float],
    batches: Sequence[peers.Batch],
) -> None:
    num_tokens = sum(float(batch["label_weights"].sum()) for batch in batches)
    num_places = sum(batch["labels"].size for batch in batches)
    print(
        f"{arguments.size}, {arguments.vocab_size} tokens, batches of {arguments.batch_tokens} "
        f"tokens, {len(batches)} of them, {1 - num_tokens / num_places:.1%} of targets padding, "
        f"median of {arguments.rounds}; {describe_machine()}; {datetime.now(UTC):%Y-%m-%d}\n"
    )
    best = min((it for name, it in medians.items() if OURS not in name), default=np.nan)
    print("| | seconds a step | target tokens/s | by the best peer's | first round, s |")
    print("|---|---|---|---|---|")
    for name, seconds in medians.items():
        print(
            f"| {name} | {seconds / len(batches):.3f} | {num_tokens / seconds:.0f} "
            f"| {best / seconds:.2f} | {first[name]:.1f} |"
        )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder as Multi30k has it")
    parser.add_argument("--size", default="transformer_tiny")
    parser.add_argument("--vocab-size", type=int, default=10_000)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=12, help="batches of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="names of rows beside bert_tf in bfloat16")
    return parser.parse_args()


if __name__ == "__main__":
    main()
