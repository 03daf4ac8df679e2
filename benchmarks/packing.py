"""How many real tokens a second does pretraining take in, packed and padded, beside its peers?

    python -m benchmarks.packing --text reviews.txt [--size base --batch-size 32]

One text a line (`document_boundary: line`) becomes records of ours; a batch of them is trained on
by every peer in whole steps, in turn, in one process; medians over the rounds. The peers and ours
get the same padded batch, as their own pipelines make it; ours also gets it packed into rows.
keras-nlp has no next-sentence head, so its step does less than the others'. Making and packing the
batches runs beside the steps and is timed apart.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from benchmarks.machine import describe_machine
from benchmarks.pretraining_step import Step, keras_nlp_step, model_garden_step, our_step
from benchmarks.workload import POLICIES
from bert_tf.config import Config, ModelConfig, VocabularyConfig, validate_config
from bert_tf.data.batches.masked_batches import training_batches
from bert_tf.data.batches.row_packing import pack_batches
from bert_tf.data.preparation.prepare import prepare_records
from bert_tf.data.text.vocabulary import learn_vocabulary
from bert_tf.data.text.wordpiece import WordPieceTokenizer

Batch = dict[str, np.ndarray]
PACKED = "bert_tf, packed"
NUM_BATCHES = 20  # Over which the share of full positions and the time of packing are taken.


def main() -> None:
    """Time the peers in turn and print a Markdown table."""
    arguments = _parse()
    policy = POLICIES[arguments.precision]
    with tempfile.TemporaryDirectory() as folder:
        config = _prepare(arguments, Path(folder))
        padded, packed, share, seconds_to_make = _batches(config, Path(folder), arguments)
    model = ModelConfig(size=arguments.size, vocab_size=arguments.vocab_size)
    cases: dict[str, tuple[Callable[..., Step], Batch]] = {
        PACKED: (our_step, packed),
        "bert_tf, padded": (our_step, padded),
        "keras-nlp BertMaskedLM, padded": (keras_nlp_step, padded),
        "tf-models-official BertPretrainerV2, padded": (model_garden_step, padded),
    }
    steps = {name: make(model, batch, policy) for name, (make, batch) in cases.items()}
    for step in steps.values():
        _time(step)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(arguments.rounds):
        for name, step in steps.items():
            seconds[name].append(_time(step))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    _print(arguments, {name: batch for name, (_, batch) in cases.items()}, medians)
    print(
        f"\nRows of {NUM_BATCHES} packed batches: {share:.1%} filled. Reading, masking and packing "
        f"a batch: {1000 * seconds_to_make:.0f} ms, beside the steps."
    )


def _prepare(arguments: argparse.Namespace, folder: Path) -> Config:
    """Vocabulary and records of the first lines of the text."""
    with Path(arguments.text).open(encoding="utf-8") as stream:
        lines = list(itertools.islice(stream, arguments.lines))
    (folder / "text.txt").write_text("".join(lines), encoding="utf-8")
    config = validate_config(
        {
            "corpus": {"paths": [str(folder / "text.txt")], "document_boundary": "line"},
            "tokenizer": {"vocabulary": str(folder)},
            "examples": {
                "max_seq_length": arguments.length,
                "next_sentence": arguments.next_sentence,
            },
        }
    )
    vocabulary = VocabularyConfig(size=arguments.vocab_size)
    tokens = learn_vocabulary(lines, config=vocabulary, tokenizer=config.tokenizer)
    WordPieceTokenizer(tokens).save(folder)
    prepare_records(config, folder / "records")
    return config


def _batches(
    config: Config, folder: Path, arguments: argparse.Namespace
) -> tuple[Batch, Batch, float, float]:
    """The first batch padded and packed; of many packed ones the full share, seconds of each."""
    batches = training_batches(
        folder / "records", batch_size=arguments.batch_size, masking=config.masking, seed=0
    )
    rows = pack_batches(
        batches, num_parts=1, masked_lm_prob=config.masking.masked_lm_prob, pad_id=0
    )
    many: list[Any] = list(rows.take(NUM_BATCHES).as_numpy_iterator())
    stream = rows.as_numpy_iterator()
    next(stream)
    started_at = time.perf_counter()
    for _ in range(5 * NUM_BATCHES):
        next(stream)
    seconds = (time.perf_counter() - started_at) / (5 * NUM_BATCHES)
    share = float(np.concatenate([batch["input_mask"] for batch in many]).mean())
    return next(batches.as_numpy_iterator()), many[0], share, seconds


def _time(step: Step) -> float:
    started_at = time.perf_counter()
    tf.nest.map_structure(np.asarray, step())
    return time.perf_counter() - started_at


def _print(
    arguments: argparse.Namespace, batches: dict[str, Batch], medians: dict[str, float]
) -> None:
    pairs = "pairs" if arguments.next_sentence else "single texts"
    print(
        f"{Path(arguments.text).name}, {pairs}, {arguments.size}, {arguments.batch_size} sequences "
        f"of up to {arguments.length}, {arguments.precision}, median of {arguments.rounds}; "
        f"{describe_machine()}; {datetime.now(UTC):%Y-%m-%d}\n"
    )
    print("| | rows | filled | seconds a step | real tokens/s | packed is faster by |")
    print("|---|---|---|---|---|---|")
    for name, seconds in medians.items():
        mask = batches[name]["input_mask"]
        print(
            f"| {name} | {len(mask)} | {mask.mean():.1%} | {seconds:.3f} | "
            f"{mask.sum() / seconds:,.0f} | {seconds / medians[PACKED]:.2f} |"
        )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", required=True)
    parser.add_argument("--lines", type=int, default=40_000)
    parser.add_argument("--vocab-size", type=int, default=30522)
    parser.add_argument("--next-sentence", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--size", default="mini")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
