"""How long does beam search take, beside Hugging Face's and tf-models-official's?

    python -m benchmarks.decoding --data DATA/en/multi30k
        [--size transformer_base --lengths 16 32 64 128 --rounds 3]

A batch of real sentences, padded to the longest, in; the best answer of a beam of 4 out. All models
have the same random weights, which never end a sentence: every answer is as long as `--lengths`
says, and all must answer the same before they are timed. Each answers in float32 and bfloat16:

    bert_tf                    the search of an export, as a graph
    Hugging Face               MarianMTModel.generate in PyTorch
    tf-models-official         Seq2SeqTransformer without targets, as a graph

All in turn, in one process, medians over the rounds. Calls before, which trace and compile, are
not counted. Where time grows linearly with the length, seconds of neighbours are 2 times each
other. `--only` names the rows to run.
"""

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from benchmarks import decoding_peers as peers
from benchmarks.machine import describe_machine
from benchmarks.sequence_to_sequence_peers import Batch, random_weights
from benchmarks.translation_pairs import (
    TEST,
    TRAIN,
    describe_model,
    learn_joint_tokenizer,
    open_translation,
    read_pairs,
)
from bert_tf.config import ModelConfig
from bert_tf.decoding.decoder import SpecialTokens
from tests.models.transformer_references import SHARED_TABLE

OURS = "bert_tf, float32"
LEAST_EQUAL = 0.9
"""Share of the sentences that float32 must give as ours does: rounding may decide between two."""


def main() -> None:
    """Compare all, time them in turn and print a Markdown table."""
    arguments = _parse()
    config, tokens, batch = _make_batch(arguments)
    weights = random_weights(config)
    weights[SHARED_TABLE][tokens.end_id] = 0.0  # its score is 0, the best ones' far above
    decoders = {
        name: make(config, weights, peers.Search(tokens))
        for name, make in peers.DECODERS.items()
        if name in {OURS, *(arguments.only or peers.DECODERS)}
    }
    shares = _equal_shares(decoders, batch, min(arguments.lengths))
    seconds: dict[str, list[float]] = {name: [] for name in decoders}
    for length in arguments.lengths:
        for name, decode in decoders.items():
            _time(decode, batch, length)
            seconds[name].append(0.0)
        rounds: dict[str, list[float]] = {name: [] for name in decoders}
        for name, decode in list(decoders.items()) * arguments.rounds:
            rounds[name].append(_time(decode, batch, length))
        for name, values in rounds.items():
            seconds[name][-1] = statistics.median(values)
    _print(arguments, seconds, shares)


def _make_batch(arguments: argparse.Namespace) -> tuple[ModelConfig, SpecialTokens, Batch]:
    keras.utils.set_random_seed(0)
    tokenizer = learn_joint_tokenizer(
        read_pairs(arguments.data, TRAIN), vocab_size=arguments.vocab_size
    )
    description = describe_model(arguments.size, vocab_size=tokenizer.vocab_size)
    encoded = open_translation(batch_tokens=4096).encode(
        read_pairs(arguments.data, TEST), description, tokenizer=tokenizer
    )
    features = encoded.features(tf.range(arguments.batch_size), tf.zeros([], tf.int64))
    batch = {name: features[name].numpy() for name in ("input_ids", "input_mask")}
    # tf-models-official's answers begin with token 0, Marian's with the padding token.
    tokens = SpecialTokens(start_id=0, end_id=tokenizer.end_id, pad_id=0)
    return description.architecture, tokens, batch


def _equal_shares(decoders: dict[str, peers.Decode], batch: Batch, length: int) -> dict[str, float]:
    """Of the sentences, how many are ours of float32.

    Raises SystemExit where too few are: then models do not do the same work.
    """
    # The last token may be an end for some of them.
    answers = {name: decode(batch, length)[:, : length - 1] for name, decode in decoders.items()}
    shares = {}
    for name, answer in answers.items():
        is_equal = np.zeros(len(answer), bool)
        if answer.shape == answers[OURS].shape:
            is_equal = (answer == answers[OURS]).all(axis=1)
        shares[name] = float(is_equal.mean())
        if "float32" in name and shares[name] < LEAST_EQUAL:
            raise SystemExit(f"{name} answers {shares[name]:.0%} of the sentences as {OURS}.")
    return shares


def _time(decode: Callable[[Batch, int], np.ndarray], batch: Batch, length: int) -> float:
    started_at = time.perf_counter()
    decode(batch, length)
    return time.perf_counter() - started_at


def _print(
    arguments: argparse.Namespace, seconds: dict[str, list[float]], shares: dict[str, float]
) -> None:
    print(
        f"{arguments.size}, {arguments.vocab_size} tokens, {arguments.batch_size} sentences, beam "
        f"of 4, answers of {', '.join(map(str, arguments.lengths))} tokens, median of "
        f"{arguments.rounds}; {describe_machine()}; {datetime.now(UTC):%Y-%m-%d}\n"
    )
    peers_seconds = [values for name, values in seconds.items() if "bert_tf" not in name]
    best = np.min(peers_seconds, axis=0) if peers_seconds else np.full(len(arguments.lengths), 0)
    print("| | seconds | of neighbours | sentences/s | by the best peer's | answers as float32 |")
    print("|---|---|---|---|---|---|")
    for name, values in seconds.items():
        of_neighbours = [after / before for before, after in itertools.pairwise(values)]
        print(
            f"| {name} | {_joined(values, 3)} | {_joined(of_neighbours, 2)} "
            f"| {_joined([arguments.batch_size / it for it in values], 1)} "
            f"| {_joined(best / values, 2)} | {shares[name]:.0%} |"
        )


def _joined(values: list[float] | np.ndarray, digits: int) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder as Multi30k has it")
    parser.add_argument("--size", default="transformer_tiny")
    parser.add_argument("--vocab-size", type=int, default=10_000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 32, 64, 128])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="names of rows beside bert_tf in float32")
    return parser.parse_args()


if __name__ == "__main__":
    main()
